package io.gradflow.core.signal;

/**
 * The gradient noise scale: the batch at which the noise of the gradient equals the gradient.
 * McCandlish, Kaplan, Amodei et al. (2018), "An empirical model of large-batch training", appendix
 * A.1.
 *
 * <p>D workers see b samples each and average their gradients plainly. With G the true gradient and
 * Sigma the covariance of one sample's,
 *
 * <pre>
 * E |g_r|^2  = |G|^2 + tr(Sigma) / b         so, with m the mean of |g_r|^2 and B = D b,
 * E |mean|^2 = |G|^2 + tr(Sigma) / B
 *
 * |G|^2     ~ (B |mean|^2 - b m) / (B - b) = (D |mean|^2 - m) / (D - 1)
 * tr(Sigma) ~ (m - |mean|^2) / (1/b - 1/B) = b D (m - |mean|^2) / (D - 1)
 * </pre>
 *
 * Both are unbiased, also for unequal numbers of samples when {@code b = 1 / mean(1 / b_r)}. One
 * step says little: the scale is the ratio of their exponential averages over {@value #MEMORY}
 * steps, never an average of ratios. The unit is that of b: samples or tokens.
 *
 * <p>The state has any number of slots, e.g. one for each layer and one for all; it is changed in
 * place. Averages start at 0; their common weight cancels in the ratio.
 *
 * @param gradientSquare weighted sum of the estimates of |G|^2
 * @param trace weighted sum of the estimates of tr(Sigma)
 */
public record NoiseScale(double[] gradientSquare, double[] trace) {
  /** Steps that an average remembers. */
  private static final int MEMORY = 100;

  private static final double GAIN = 1.0 / MEMORY;

  /** A state that knows nothing. */
  public static NoiseScale of(int slots) {
    return new NoiseScale(new double[slots], new double[slots]);
  }

  /**
   * One step's unbiased estimate of |G|^2, which may be negative. For equal samples it is the mean
   * {@linkplain Coherence#pairwiseDot dot product of the workers}, exactly.
   *
   * @param meanSquare m: the mean of the workers' squared norms
   * @param squareOfMean squared norm of the mean gradient
   * @param workers D
   * @return NaN with fewer than two workers, when something is unknown, or when the mean's square
   *     exceeds m, which no mean of these gradients can
   */
  public static double gradientSquare(double meanSquare, double squareOfMean, int workers) {
    return Coherence.pairwiseDot(meanSquare, squareOfMean, workers);
  }

  /**
   * One step's unbiased estimate of tr(Sigma).
   *
   * @param meanSquare m: the mean of the workers' squared norms
   * @param squareOfMean squared norm of the mean gradient
   * @param workers D
   * @param samples b of a worker: the harmonic mean where they differ
   * @return NaN where {@link #gradientSquare} is, and without samples
   */
  public static double trace(double meanSquare, double squareOfMean, int workers, double samples) {
    return Coherence.isMean(meanSquare, squareOfMean, workers) && samples > 0
        ? samples * workers * Math.max(0, meanSquare - squareOfMean) / (workers - 1)
        : Double.NaN;
  }

  /** Learns a step's estimates. A slot without either of them stays as it is. */
  public void observe(int slot, double gradientSquareOfStep, double traceOfStep) {
    if (Double.isFinite(gradientSquareOfStep) && Double.isFinite(traceOfStep)) {
      gradientSquare[slot] += GAIN * (gradientSquareOfStep - gradientSquare[slot]);
      trace[slot] += GAIN * (traceOfStep - trace[slot]);
    }
  }

  /**
   * The noise scale so far: tr(Sigma) / |G|^2.
   *
   * @return NaN while it is not resolved: the average of |G|^2 is not positive
   */
  public double scale(int slot) {
    return gradientSquare[slot] > 0 ? trace[slot] / gradientSquare[slot] : Double.NaN;
  }
}
