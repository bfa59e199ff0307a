package io.gradflow.core.matrix;

/**
 * Pearson's correlation of two series.
 *
 * @param r -1 to 1 but for rounding; NaN with fewer than {@link Matrices#MIN_PAIRS} pairs, or if a
 *     series does not change over them
 * @param pairs of cells
 */
public record Correlation(double r, int pairs) {}
