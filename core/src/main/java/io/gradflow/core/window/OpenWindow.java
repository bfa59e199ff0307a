package io.gradflow.core.window;

import io.gradflow.core.norm.Lane;

/**
 * The open window of a lane.
 *
 * @param firstStep its first step number
 * @param steps that have a row in it, ascending
 * @param highest step seen
 * @param changed whether it differs from what was published last
 * @param ended whether it was published last as closed by its run's end
 * @param publishedAt when that was, or when the window was opened, ms
 * @param lastStepAt when a step came last, ms
 */
public record OpenWindow(
    Lane lane,
    long firstStep,
    long[] steps,
    long highest,
    boolean changed,
    boolean ended,
    long publishedAt,
    long lastStepAt) {

  static OpenWindow fresh(Lane lane, long firstStep, long highest, long now) {
    return new OpenWindow(lane, firstStep, new long[0], highest, false, false, now, now);
  }

  /** Whether what was published last is not what a closed window must say. */
  boolean isDue() {
    return steps.length > 0 && (changed || !ended);
  }

  OpenWindow published(boolean atEnd, long now) {
    return new OpenWindow(lane, firstStep, steps, highest, false, atEnd, now, lastStepAt);
  }
}
