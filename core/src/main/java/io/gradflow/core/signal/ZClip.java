package io.gradflow.core.signal;

/**
 * What ZClip would clip: norms more than 2.5 deviations above their exponential mean. Kumar, Owen,
 * Chowdhury, Guera (2025), "ZClip: adaptive spike mitigation for LLM pre-training", with its
 * adaptive scaling: the further a norm lies out, the nearer to the mean it is clipped.
 *
 * <pre>
 * z    = (norm - mean) / (deviation + 1e-6)
 * norm' = mean + 2.5^2 / z * deviation           if z > 2.5, else norm
 * mean = 0.97 mean + 0.03 norm'
 * variance = 0.97 variance + 0.03 (norm' - mean)^2
 * </pre>
 *
 * Mean and variance start as those of the first {@value #WARM_UP} norms, in which nothing is
 * clipped. It is shown without the fixed limit that may be set beside it.
 *
 * @param seen norms learnt from
 * @param mean of the norms as clipped
 * @param variance of the norms as clipped
 */
public record ZClip(long seen, double mean, double variance) {
  static final ZClip FRESH = new ZClip(0, 0, 0);

  private static final int WARM_UP = 25;
  private static final double ALPHA = 0.97;
  private static final double Z = 2.5;
  private static final double EPSILON = 1e-6;

  /** What would happen to a norm. */
  Clipping clipping(double norm) {
    if (seen < WARM_UP) {
      return new Clipping(Double.NaN, 1);
    }
    double deviation = Math.sqrt(variance);
    double z = (norm - mean) / (deviation + EPSILON);
    double coefficient = z > Z ? (mean + Z * Z / z * deviation) / norm : 1;
    return new Clipping(mean + Z * (deviation + EPSILON), coefficient);
  }

  /** Learns a norm. */
  ZClip observe(double norm) {
    if (seen < WARM_UP) {
      double surprise = norm - mean;
      double nextMean = mean + surprise / (seen + 1);
      double nextVariance = (variance * seen + surprise * (norm - nextMean)) / (seen + 1);
      return new ZClip(seen + 1, nextMean, nextVariance);
    }
    double clipped = norm * clipping(norm).coefficient();
    double nextMean = ALPHA * mean + (1 - ALPHA) * clipped;
    double apart = clipped - nextMean;
    return new ZClip(seen + 1, nextMean, ALPHA * variance + (1 - ALPHA) * apart * apart);
  }
}
