package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.NON_FINITE;

import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.NonFinite;

/**
 * {@link FindingKind#NON_FINITE}: any NaN or Inf in the gradient or the loss, at once, at any
 * completeness.
 *
 * <p>A NaN of the forward pass reaches the loss and from there every layer, so that nothing can be
 * said of its origin. A NaN of the backward pass spreads from its layer towards the input only.
 * Therefore a layer is named only when the loss is finite and some layer nearer the loss is finite;
 * it is the affected layer of the greatest depth, of several the last in forward order. A rank is
 * named only from LOCAL shards: the owner of a slice of the reduced gradient is no culprit.
 *
 * <p>A step that the trainer declares skipped (a loss scaler that overflowed) is no fault until
 * {@code skips} come in a row. {@code sustained} non-finite steps in a row are critical.
 *
 * <p>Cannot see: which of several ranks was first within one step (it names the lowest); the layer
 * in a run that sends no loss or no depths; NaN that a mask or a clip has removed; whether a
 * skipping scaler has reached its minimum.
 */
public final class NonFiniteDetector {
  /** Unit of findings of skipped steps. */
  static final String SKIPS = "steps";

  private NonFiniteDetector() {}

  /**
   * Thresholds.
   *
   * @param skips declared skips in a row that are a fault
   * @param sustained non-finite steps in a row that are critical
   */
  public record Settings(int skips, int sustained) {
    static final Settings DEFAULT = new Settings(5, 3);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(NON_FINITE, "skips", skips, 1, 1_000);
      Thresholds.require(NON_FINITE, "sustained", sustained, 1, 1_000);
    }
  }

  /**
   * State of a lane.
   *
   * @param skipped declared skips in a row
   * @param streak non-finite steps in a row
   * @param onset first step of the streak, or of the skips
   * @param hold quiet steps until it is over
   */
  public record State(int skipped, int streak, long onset, int hold) {
    static final State FRESH = new State(0, 0, -1, 0);
  }

  /** Whether anything of the step is not a finite number. */
  static boolean isIn(Step step) {
    return step.norms().nonFinite() != null || isNonFinite(step.scalars().loss());
  }

  /** Whether the step is a declared skip that is still no fault. */
  static boolean isExcused(Step step, State state, Settings settings) {
    return step.scalars().stepSkipped() && state.skipped() + 1 < settings.skips();
  }

  /** An excused skip: counted, nothing else. */
  static State skip(Step step, State state, Verdicts out) {
    if (state.hold() > 0) {
      out.active(NON_FINITE);
    }
    long onset = state.skipped() == 0 && state.streak() == 0 ? step.id().step() : state.onset();
    return new State(state.skipped() + 1, state.streak(), onset, state.hold());
  }

  /** Judges a step of the run's own order. */
  static State observe(LayerTable table, Step step, State state, Settings settings, Verdicts out) {
    boolean skipped = step.scalars().stepSkipped();
    boolean fires = isIn(step) || skipped;
    int hold = out.hold(state.hold(), fires, false);
    if (hold > 0) {
      out.active(NON_FINITE);
    }
    if (!fires) {
      return new State(0, 0, -1, hold);
    }
    boolean first = state.streak() == 0 && state.skipped() == 0;
    long onset = first ? step.id().step() : state.onset();
    int skips = skipped ? state.skipped() + 1 : 0;
    int streak = state.streak() + 1;
    if (skipped) {
      reportSkips(step, skips, onset, settings, out);
    } else {
      report(table, step, onset, streak >= settings.sustained(), out);
    }
    return new State(skips, streak, onset, hold);
  }

  /** Judges a step that came after later ones, or again with more contributions. */
  static State revise(LayerTable table, Step step, State state, Verdicts out) {
    boolean fires = isIn(step) && !step.scalars().stepSkipped();
    int hold = fires ? out.hold(state.hold(), true, false) : state.hold();
    if (hold > 0) {
      out.active(NON_FINITE);
    }
    if (fires) {
      report(table, step, step.id().step(), false, out);
    }
    return new State(state.skipped(), state.streak(), state.onset(), hold);
  }

  private static void reportSkips(
      Step step, int skips, long onset, Settings settings, Verdicts out) {
    out.run(
        NON_FINITE,
        Severity.CRITICAL,
        null,
        null,
        onset,
        skips,
        settings.skips(),
        SKIPS,
        ("The trainer has skipped the last %d steps up to step %d: its loss scaler finds no scale at"
                + " which the gradient is finite.")
            .formatted(skips, step.id().step()));
  }

  private static void report(
      LayerTable table, Step step, long onset, boolean sustained, Verdicts out) {
    Severity severity = sustained ? Severity.CRITICAL : Severity.WARNING;
    NonFinite bad = step.norms().nonFinite();
    if (bad == null) {
      out.run(
          NON_FINITE,
          severity,
          null,
          null,
          onset,
          1,
          0,
          "losses",
          "The loss is %s at step %d while every gradient is finite."
              .formatted(step.scalars().loss(), step.id().step()));
      return;
    }
    double elements = 0;
    for (int k = 0; k < bad.layers().length; k++) {
      elements += bad.nans()[k] + bad.posInfs()[k] + bad.negInfs()[k];
    }
    int deepest = deepest(table, bad);
    int layer = bad.layers()[deepest];
    int firstRank =
        step.norms().firstNonFiniteRank() == null ? -1 : step.norms().firstNonFiniteRank()[deepest];
    Integer rank = firstRank < 0 ? null : firstRank;
    String word = bad.nans()[deepest] > 0 ? "NaN" : "Inf";
    if (isBackwardFault(table, step, layer)) {
      String label = table.label(layer);
      String what =
          rank == null
              ? "%s appeared in %s at step %d".formatted(word, label, step.id().step())
              : "Rank %d computed %s in %s at step %d"
                  .formatted(rank, word, label, step.id().step());
      String message =
          what + "; the loss was still finite, so the fault is in that layer's backward pass.";
      String name = table.name(layer);
      out.run(NON_FINITE, severity, name, rank, onset, elements, 0, "elements", message);
      return;
    }
    String message =
        "%s in the gradients of %d of %d layers at step %d; %s."
            .formatted(
                word,
                bad.layers().length,
                table.size(),
                step.id().step(),
                whyUnnamed(table, step, layer));
    out.run(NON_FINITE, severity, null, rank, onset, elements, 0, "elements", message);
  }

  private static String whyUnnamed(LayerTable table, Step step, int layer) {
    Double loss = step.scalars().loss();
    if (loss == null) {
      return "the run sends no loss, so the origin may be anywhere";
    }
    if (isNonFinite(loss)) {
      return "the loss is " + loss + " too, so the origin is the forward pass or the loss";
    }
    return table.depth(layer) < 0
        ? "the order of the layers is unknown, so the origin may be anywhere"
        : "it reaches the layer nearest the loss, so the origin is the forward pass or the loss";
  }

  private static boolean isBackwardFault(LayerTable table, Step step, int layer) {
    Double loss = step.scalars().loss();
    if (loss == null || isNonFinite(loss) || table.depth(layer) < 0) {
      return false;
    }
    NormColumns norms = step.norms();
    for (int i = 0; i < table.size(); i++) {
      if (table.depth(i) > table.depth(layer) && Double.isFinite(norms.l2()[i])) {
        return true;
      }
    }
    return false;
  }

  /**
   * Position of the affected layer of the greatest depth; of several the last in forward order, for
   * a fault in what comes before would have left it finite.
   */
  private static int deepest(LayerTable table, NonFinite bad) {
    int deepest = 0;
    for (int k = 1; k < bad.layers().length; k++) {
      if (table.depth(bad.layers()[k]) >= table.depth(bad.layers()[deepest])) {
        deepest = k;
      }
    }
    return deepest;
  }

  private static boolean isNonFinite(Double loss) {
    return loss != null && !Double.isFinite(loss);
  }
}
