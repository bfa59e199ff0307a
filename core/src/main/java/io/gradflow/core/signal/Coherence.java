package io.gradflow.core.signal;

/**
 * How far the gradients of R workers, whose plain mean is the reduced gradient, agree. Both hold
 * for equal weights and an exact reduction only, not for a compressed one.
 */
public final class Coherence {
  /**
   * By how much a mean's square may exceed the mean of the squares, relatively: norms come as
   * 32-bit floats.
   */
  private static final double ROUNDING = 1e-6;

  private Coherence() {}

  /**
   * The mean dot product of two different workers' gradients, exactly: {@code (R |mean|^2 - m) / (R
   * - 1)}.
   *
   * @param meanSquare m: the mean of the workers' squared norms
   * @param squareOfMean squared norm of the mean gradient
   * @param workers R
   * @return NaN with fewer than two workers, when something is unknown, or when the mean's square
   *     exceeds m, which no mean of these gradients can
   */
  public static double pairwiseDot(double meanSquare, double squareOfMean, int workers) {
    return isMean(meanSquare, squareOfMean, workers)
        ? (workers * squareOfMean - meanSquare) / (workers - 1)
        : Double.NaN;
  }

  /**
   * The cosine of one worker's gradient with the mean of the others', in [-1, 1]. Near 0 where
   * noise prevails, negative for a worker that pulls the other way.
   *
   * @param dotWithMean dot product of the worker's gradient and the mean of all
   * @param square squared norm of the worker's gradient
   * @param squareOfMean squared norm of the mean of all
   * @param workers R
   * @return NaN with fewer than two workers, when something is unknown, or when the others' mean is
   *     lost in rounding
   */
  public static double leaveOneOut(
      double dotWithMean, double square, double squareOfMean, int workers) {
    if (workers < 2) {
      return Double.NaN;
    }
    double ofAll = (double) workers * workers * squareOfMean;
    double ofOthers = ofAll - 2.0 * workers * dotWithMean + square;
    return ofOthers > ROUNDING * (ofAll + square)
        ? Direction.cosine(workers * dotWithMean - square, Math.sqrt(square), Math.sqrt(ofOthers))
        : Double.NaN;
  }

  /**
   * Whether that can be the mean of that many gradients: |mean|^2 is at most the mean of squares.
   */
  static boolean isMean(double meanSquare, double squareOfMean, int workers) {
    return workers >= 2
        && squareOfMean >= 0
        && Double.isFinite(meanSquare)
        && squareOfMean <= meanSquare * (1 + ROUNDING);
  }
}
