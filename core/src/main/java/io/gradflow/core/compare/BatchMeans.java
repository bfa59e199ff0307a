package io.gradflow.core.compare;

/**
 * Mean and standard error of a series whose neighbours resemble each other, in bounded memory.
 *
 * <p>Gradients of one step resemble those of the next, so that {@code s / sqrt(n)} is far too small
 * (at a lag-1 correlation of .9 by a factor of 4). The span is cut into 32 batches of equally many
 * steps; what correlation is left between the means of neighbouring batches is estimated, its bias
 * in so short a series removed, and used as in a first-order autoregression:
 *
 * <pre>
 * rho  = r1 + (1 + 3 r1) / B, from 0 to .95        r1: lag-1 correlation of the B batch means
 * N    = B (1 - rho) / (1 + rho)                   batches' worth of independent ones
 * SE^2 = mean square deviation of the batch means / (N - 1),   N - 1 degrees of freedom
 * </pre>
 *
 * <p>Batch means rather than the autocorrelation of the steps themselves: they need neither every
 * step (gaps only make a batch lighter), nor the series in order, nor a model of its short range.
 * Under no change a t test at 5 % with these errors rejects in 2 to 4 % of first-order series of
 * correlation 0 to .97 from 50 steps on, and at 1 % in .5 to 1 % (1.6 % in 50 steps of correlation
 * .97); below 32 steps it would not hold, and there is no standard error. A drift over the span
 * counts as scatter: it widens the error.
 */
final class BatchMeans {
  /** Fewer steps than this are too few to know their own noise. */
  static final int MIN_STEPS = 32;

  private static final int BATCHES = 32;
  private static final int MIN_BATCHES = 16;
  private static final double MAX_CORRELATION = 0.95;
  private static final double MIN_INDEPENDENT = 1.5;

  /** What differs by less, relative to 1 or its size, differs by rounding. */
  static final double ROUNDING = 1e-12;

  private final int span;
  private final double[] sums = new double[BATCHES];
  private final int[] counts = new int[BATCHES];
  private double mean;
  private double squares;
  private int steps;

  /**
   * @param span steps of the span, with or without the measure
   */
  BatchMeans(int span) {
    this.span = span;
  }

  /**
   * Adds the value of a step; NaN is none.
   *
   * @param ordinal of the step in the span; any order
   */
  void add(int ordinal, double value) {
    if (Double.isNaN(value)) {
      return;
    }
    int batch = (int) ((long) ordinal * BATCHES / span);
    sums[batch] += value;
    counts[batch]++;
    steps++;
    double before = value - mean;
    mean += before / steps;
    squares += before * (value - mean);
  }

  /** What is known so far. */
  Estimate estimate() {
    if (steps == 0) {
      return new Estimate(Double.NaN, Double.NaN, Double.NaN, Double.NaN, 0);
    }
    double scatter =
        steps == 1 ? Double.NaN : exact() ? 0 : Math.sqrt(Math.max(0, squares) / (steps - 1));
    int batches = 0;
    for (int count : counts) {
      batches += count > 0 ? 1 : 0;
    }
    if (steps < MIN_STEPS || batches < MIN_BATCHES) {
      return new Estimate(mean, scatter, Double.NaN, Double.NaN, steps);
    }
    if (exact()) {
      return new Estimate(mean, scatter, 0, batches - 1, steps);
    }
    double square = 0;
    double lagged = 0;
    double previous = Double.NaN;
    for (int b = 0; b < BATCHES; b++) {
      double deviation = counts[b] == 0 ? Double.NaN : sums[b] / counts[b] - mean;
      if (counts[b] > 0) {
        square += (double) counts[b] / steps * deviation * deviation;
      }
      if (!Double.isNaN(deviation * previous)) {
        lagged += deviation * previous;
      }
      previous = deviation;
    }
    double r = lagged / (batches * square);
    double rho = Math.min(Math.max(r + (1 + 3 * r) / batches, 0), MAX_CORRELATION);
    double independent = Math.max(MIN_INDEPENDENT, batches * (1 - rho) / (1 + rho));
    return new Estimate(
        mean, scatter, Math.sqrt(square / (independent - 1)), Math.max(1, independent - 1), steps);
  }

  /** Whether all values are the same but for rounding, as a constant learning rate's. */
  private boolean exact() {
    return squares <= ROUNDING * ROUNDING * Math.max(1, mean * mean) * steps;
  }
}
