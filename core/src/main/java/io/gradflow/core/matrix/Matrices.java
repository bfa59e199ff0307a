package io.gradflow.core.matrix;

/**
 * What is computed on matrices. Every implementation gives the same results to 1e-9; they differ in
 * speed.
 *
 * <p>Arguments that do not fit together are an {@link IllegalArgumentException}.
 */
public interface Matrices {
  /** A correlation of fewer pairs of cells says nothing and is not computed. */
  int MIN_PAIRS = 16;

  /** How many eigenvalues a spectrum has at most. */
  int MAX_EIGENVALUES = 8;

  /**
   * Least-squares slope of each row over its cells that are no gaps.
   *
   * @param at where each column is: finite, as long as every row
   * @return unit of the row per unit of {@code at}; NaN where fewer than 3 cells are left, or all
   *     of them are at one place
   */
  double[] slopes(double[] at, double[][] rows);

  /**
   * For each row the other row that it correlates most with, either sign, at any lag up to {@code
   * maxLag} steps; see {@link Links}.
   *
   * <p>Pearson's correlation over the pairs of cells that are both no gaps. A row that does not
   * change over these pairs has none: what differs beyond the 12th digit of the row's largest value
   * is taken for rounding.
   *
   * <p>Costs time in proportion to rows x rows x columns x lags.
   *
   * @param rows of equal length
   * @param maxLag at least 0
   */
  Links links(double[][] rows, int maxLag);

  /**
   * For each row the one of the {@code others} that it correlates most with; else as {@link
   * #links(double[][], int)}.
   *
   * @param others on the same grid of steps
   */
  Links links(double[][] rows, double[][] others, int maxLag);

  /**
   * How the ranks of a step lie to each other, from their sketches.
   *
   * <p>A rank whose sketch is null or not finite is left out. Sketches are linear, so that the
   * sketch of a mean is the mean of the sketches; cosines are as exact as sketches of that width
   * are, about 1/sqrt(width).
   *
   * @param sketches of each rank, of equal width
   */
  RankGeometry geometry(float[][] sketches);
}
