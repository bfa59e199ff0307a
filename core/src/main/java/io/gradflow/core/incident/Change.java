package io.gradflow.core.incident;

import io.gradflow.core.detect.Wording;

/**
 * Something about a training that is not as it was.
 *
 * @param step the first step under it; of something announced: the last step before
 * @param what changed: one of the names below, or the trainer's own word
 * @param before value until then; null if unknown
 * @param after value since; null if it is no number
 * @param text what the trainer said of it; null if it said nothing
 * @param declared whether the trainer announced it; else it shows in what ranks report
 */
public record Change(
    long step, String what, Double before, Double after, String text, boolean declared) {
  static final String LEARNING_RATE = "learning rate";
  static final String BATCH = "batch";
  static final String LOSS_SCALE = "loss scale";
  static final String CLIP_NORM = "clip norm";
  static final String RESUMED = "resumed";
  static final String STARTED = "started";

  /** A value that is seen to be no longer what it was. */
  static Change ofValue(long step, String what, double before, double after) {
    return new Change(step, what, before, after, null, false);
  }

  /** Something the trainer announced. */
  static Change ofEvent(long step, String what, String text) {
    return new Change(
        step, Wording.plain(what), null, null, text == null ? null : Wording.plain(text), true);
  }

  /** The same, announced. */
  Change asDeclared() {
    return new Change(step, what, before, after, text, true);
  }

  /** Whether a value rose by more than it takes to be noted. */
  boolean isRise() {
    return before != null && after != null && after > before;
  }

  /** Before and after as a factor; empty where there is none. */
  String factor() {
    return before == null || after == null || before == 0 || after == 0
        ? ""
        : after > before
            ? " ×" + Wording.rough(after / before)
            : " /" + Wording.rough(before / after);
  }

  /** As it stands in an alert. */
  String line() {
    if (before != null && after != null) {
      return "step %d: %s %s -> %s (%s)"
          .formatted(
              step,
              what,
              Wording.setting(before),
              Wording.setting(after),
              declared ? "declared" : "observed");
    }
    return text == null
        ? "step %d: %s".formatted(step, what)
        : "step %d: %s %s (declared)".formatted(step, what, text);
  }
}
