package io.gradflow.core.detect;

/**
 * Where a run's loss stands: exponentially weighted means with bounded influence, as of the layers'
 * baselines ({@link LogHolt}).
 *
 * <pre>
 * e     = loss - mean,   psi = clip(e, +-3 s)
 * mean  = mean + 0.02 psi,   quick = quick + 0.3 (loss - quick)
 * s^2   = 0.98 s^2 + 0.02 psi^2,   s at least 1 % of the mean
 * best  = the least mean so far
 * slow  = slow + 0.004 (mean + psi - slow)
 * </pre>
 *
 * Over a gap of d steps each gain is {@code 1 - (1 - gain)^d}; in the first steps it is at least
 * 1/n, and nothing is clipped. A step without a finite loss changes nothing.
 *
 * @param seen losses learnt from
 * @param last step of the last one, -1 before the first
 * @param believed the last loss as far as it is believed: mean + psi
 * @param slow a slower mean: as long as it lies above the mean, the run learns
 * @param raised the last loss lay more than 3 s above what was usual
 */
public record LossTrend(
    int seen,
    long last,
    double mean,
    double quick,
    double variance,
    double best,
    double believed,
    double slow,
    boolean raised) {
  private static final double GAIN = 0.02;
  private static final double QUICK_GAIN = 0.3;
  private static final double SLOW_GAIN = 0.004;

  /** Of the noise of one loss; that of the mean is a tenth of it. */
  private static final double IMPROVED = 0.3;

  private static final double CLIP = 3;
  private static final double LEAST_SCALE = 0.01;
  private static final int SETTLED = 30;
  private static final int YOUNG = 100;

  static final LossTrend UNKNOWN =
      new LossTrend(0, -1, 0, 0, 0, Double.POSITIVE_INFINITY, 0, 0, false);

  /** Whether the run sends a loss. */
  boolean isSent() {
    return seen > 0;
  }

  /** Whether the loss has risen above its own best, by more than its noise. */
  boolean isRising() {
    return mean > best + scale();
  }

  /** Whether the last losses lie below those before. */
  boolean isFalling() {
    return quick < mean;
  }

  /**
   * Whether the run learns: its loss lies below where it was a few hundred steps ago. So does a run
   * that has just begun, as long as its loss does not rise.
   */
  boolean isImproving() {
    return seen > 1 && (seen < YOUNG ? !isRising() : mean < slow - IMPROVED * scale());
  }

  /** Standard deviation of the loss about its mean, 0 for one that never moves. */
  double scatter() {
    return Math.sqrt(variance);
  }

  /** After a step with that loss. */
  LossTrend observe(Double loss, long step) {
    if (loss == null || !Double.isFinite(loss) || step <= last) {
      return this;
    }
    if (seen == 0) {
      return new LossTrend(1, step, loss, loss, 0, best, loss, loss, false);
    }
    long d = step - last;
    double e = loss - mean;
    boolean settled = seen >= SETTLED;
    double limit = CLIP * scale();
    double psi = settled ? Math.max(-limit, Math.min(limit, e)) : e;
    double gain = gain(GAIN, d);
    double newMean = mean + gain * psi;
    return new LossTrend(
        seen + 1,
        step,
        newMean,
        quick + gain(QUICK_GAIN, d) * (loss - quick),
        (1 - gain) * variance + gain * psi * psi,
        settled ? Math.min(best, newMean) : best,
        mean + psi,
        slow + gain(SLOW_GAIN, d) * (mean + psi - slow),
        settled && e > limit);
  }

  private double scale() {
    return Math.max(Math.sqrt(variance), LEAST_SCALE * Math.abs(mean));
  }

  private double gain(double perStep, long d) {
    return Math.max(1 - Math.pow(1 - perStep, d), 1.0 / (seen + 1));
  }
}
