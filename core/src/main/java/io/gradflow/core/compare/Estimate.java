package io.gradflow.core.compare;

/**
 * The mean of a measure over the steps of a span, and how well it is known.
 *
 * @param mean on the measure's {@link Scale}; NaN without any step
 * @param scatter standard deviation of a single step; NaN below two steps
 * @param standardError of the mean, the steps' dependence on each other included, a drift over the
 *     span not; NaN below {@link BatchMeans#MIN_STEPS} steps
 * @param degreesOfFreedom of the standard error; NaN likewise
 * @param steps that have the measure
 */
public record Estimate(
    double mean, double scatter, double standardError, double degreesOfFreedom, int steps) {}
