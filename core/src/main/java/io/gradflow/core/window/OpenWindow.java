package io.gradflow.core.window;

import io.gradflow.core.norm.Lane;

/**
 * The open window of a lane.
 *
 * @param firstStep its first step number
 * @param steps that have a row in it, ascending; empty once it was closed by the run's end
 * @param highest step seen
 * @param changed whether it differs from what was published last
 * @param publishedAt when that was, or when the window was opened, ms
 * @param lastStepAt when a step came last, ms
 */
public record OpenWindow(
    Lane lane,
    long firstStep,
    long[] steps,
    long highest,
    boolean changed,
    long publishedAt,
    long lastStepAt) {}
