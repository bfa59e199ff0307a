package io.gradflow.core.norm;

/**
 * How the ranks of a step agree beyond their norms. Columns aligned with ranks are null where no
 * rank says; NaN is unknown.
 *
 * @param reducedNorm aligned with the evidence's ranks: L2 norm of what the rank itself holds of
 *     the REDUCED gradient
 * @param reportedNorm aligned likewise: the global gradient norm that the rank's trainer reports
 * @param coherence aligned likewise: cosine of the rank's LOCAL gradient with the mean of the
 *     others, over all layers
 * @param sketchCoherence aligned likewise: the same, estimated from sketches
 * @param spectrum shares of the eigenvalues of the ranks' Gram matrix, from sketches, largest
 *     first; null without
 * @param effectiveRanks (sum of these eigenvalues)^2 over the sum of their squares: 1 when all
 *     ranks point the same way, their number when none has to do with another; null without
 * @param perLayer row length of the two columns below; 0 without
 * @param leastCoherentRanks layers x perLayer: ranks whose gradient of the layer agrees least with
 *     the mean of the others, least first; -1 where there are fewer; null without
 * @param leastCoherence aligned: that cosine
 * @param weight aligned with the evidence's ranks: tokens or samples of the rank; null also where
 *     all have as many
 * @param clipCoef aligned likewise: what the rank says that it multiplies the gradient by; null
 *     also where all say the same
 * @param loss aligned likewise: the loss of the rank's own batch; null also where all say the same
 */
public record RankComparison(
    double[] reducedNorm,
    double[] reportedNorm,
    float[] coherence,
    float[] sketchCoherence,
    double[] spectrum,
    Double effectiveRanks,
    int perLayer,
    int[] leastCoherentRanks,
    float[] leastCoherence,
    double[] weight,
    double[] clipCoef,
    double[] loss) {

  private static final RankComparison NOTHING =
      new RankComparison(null, null, null, null, null, null, 0, null, null, null, null, null);

  /** This, or null if it says nothing. */
  public RankComparison orNull() {
    return equals(NOTHING) ? null : this;
  }
}
