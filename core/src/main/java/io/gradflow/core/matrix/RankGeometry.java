package io.gradflow.core.matrix;

import java.util.Arrays;

/**
 * How the gradients of ranks lie to each other.
 *
 * @param coherence cosine of each rank with the mean of the others; NaN for a rank without usable
 *     sketch, for one that is zero, and if the mean of the others is
 * @param spectrum the largest eigenvalues of the Gram matrix of the ranks over its trace,
 *     descending, {@link Matrices#MAX_EIGENVALUES} at most and no more than there are usable ranks;
 *     all near 1/R if R ranks are orthogonal, one of 1 if all point the same way; empty if all are
 *     zero
 * @param effectiveRanks how many directions there are, (sum of eigenvalues)^2 over sum of squared
 *     eigenvalues: 1 to the number of ranks; NaN if all are zero
 */
public record RankGeometry(double[] coherence, double[] spectrum, double effectiveRanks) {
  /**
   * From the eigenvalues of the Gram matrix, in any order; rounding may have made some negative.
   */
  static RankGeometry of(double[] coherence, double[] eigenvalues) {
    double[] descending =
        Arrays.stream(eigenvalues)
            .map(value -> -Math.max(0, value))
            .sorted()
            .map(value -> -value)
            .toArray();
    double sum = Arrays.stream(descending).sum();
    if (!(sum > 0)) {
      return new RankGeometry(coherence, new double[0], Double.NaN);
    }
    double[] shares = Arrays.stream(descending).map(value -> value / sum).toArray();
    return new RankGeometry(
        coherence,
        Arrays.copyOf(shares, Math.min(shares.length, Matrices.MAX_EIGENVALUES)),
        1 / Arrays.stream(shares).map(share -> share * share).sum());
  }
}
