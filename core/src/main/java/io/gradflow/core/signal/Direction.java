package io.gradflow.core.signal;

/**
 * The angle between two gradients: of consecutive steps, or of a rank and the mean.
 *
 * <p>From a dot product and two norms it is exact. From two {@link CountSketch sketches} it is an
 * estimate with the standard error {@code (1 - rho^2) / sqrt(k)} over the hashes, and a bias of
 * {@code -rho * (1 - rho^2) / (2 k)}, to the first order in 1/k: those of a correlation of k pairs
 * of numbers (Fisher 1915). Where few elements hold most of the gradient the error is less.
 */
public final class Direction {
  /** Standard errors of an unrelated pair that an estimate must exceed to be worth telling. */
  private static final double TELLING = 3;

  private Direction() {}

  /**
   * The cosine of a and b, in [-1, 1].
   *
   * @param dot of a and b
   * @return NaN if something is not finite or a norm is 0
   */
  public static double cosine(double dot, double normA, double normB) {
    double cosine = dot / (normA * normB);
    return Double.isFinite(cosine) ? Math.max(-1, Math.min(1, cosine)) : Double.NaN;
  }

  /**
   * The cosine that two sketches of one seed estimate. Norms are the sketches' own: their errors
   * cancel part of the dot's.
   *
   * @return NaN if one of them is all zeros or not finite
   */
  public static double cosine(double[] sketchA, double[] sketchB) {
    double dot = 0;
    double squareA = 0;
    double squareB = 0;
    for (int i = 0; i < sketchA.length; i++) {
      dot += sketchA[i] * sketchB[i];
      squareA += sketchA[i] * sketchA[i];
      squareB += sketchB[i] * sketchB[i];
    }
    return cosine(dot, Math.sqrt(squareA), Math.sqrt(squareB));
  }

  /**
   * The standard error of a cosine estimated from sketches.
   *
   * @param width numbers in a sketch
   */
  public static double standardError(double cosine, int width) {
    return (1 - cosine * cosine) / Math.sqrt(width);
  }

  /**
   * Whether an estimated cosine is worth telling: unrelated gradients reach it in 3 of 1,000 steps.
   *
   * @param width numbers in a sketch
   */
  public static boolean tells(double cosine, int width) {
    return Math.abs(cosine) > TELLING / Math.sqrt(width);
  }
}
