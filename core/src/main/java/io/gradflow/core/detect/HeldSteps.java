package io.gradflow.core.detect;

import io.gradflow.core.norm.Step;
import java.util.ArrayList;
import java.util.List;

/**
 * Steps of a run that wait for their manifest, in the order they came. Immutable.
 *
 * @param steps at most {@link #MOST}
 */
public record HeldSteps(List<Held> steps) {
  /** Steps a run may hold: some seconds of a fast training. */
  public static final int MOST = 1_024;

  /** Nothing held. */
  public static final HeldSteps NONE = new HeldSteps(List.of());

  /**
   * A step and when it came.
   *
   * @param sinceMs wall time
   */
  public record Held(Step step, long sinceMs) {}

  /** Whether no further step can be held. */
  public boolean isFull() {
    return steps.size() >= MOST;
  }

  /** With one step more. */
  public HeldSteps and(Step step, long nowMs) {
    var more = new ArrayList<>(steps);
    more.add(new Held(step, nowMs));
    return new HeldSteps(List.copyOf(more));
  }

  /** Those of a manifest. */
  public List<Step> of(long manifestId) {
    return steps.stream().map(Held::step).filter(s -> s.manifestId() == manifestId).toList();
  }

  /** Without those of a manifest. */
  public HeldSteps without(long manifestId) {
    return new HeldSteps(steps.stream().filter(h -> h.step().manifestId() != manifestId).toList());
  }

  /** Those that came at that time or before it. */
  public List<Step> until(long ms) {
    return steps.stream().filter(h -> h.sinceMs() <= ms).map(Held::step).toList();
  }

  /** Those that came after that time. */
  public HeldSteps after(long ms) {
    return new HeldSteps(steps.stream().filter(h -> h.sinceMs() > ms).toList());
  }
}
