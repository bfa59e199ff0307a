package io.gradflow.core.detect;

import java.util.Arrays;

/** Middle and scatter of the values of a few ranks, whatever one of them does. */
final class Robust {
  /**
   * By how much the median distance from the median underestimates in small samples, from 2 values
   * on (Croux and Rousseeuw, 1992).
   */
  private static final double[] SMALL = {1.196, 1.495, 1.363, 1.206, 1.200, 1.140, 1.129, 1.107};

  private static final double DEVIATIONS = 1.4826;

  /** Standard deviation over mean distance from the mean, of a normal distribution. */
  static final double DEVIATIONS_OF_MEAN = 1.2533;

  private Robust() {}

  /** The median; NaN of nothing. */
  static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    int half = sorted.length / 2;
    if (sorted.length == 0) {
      return Double.NaN;
    }
    return sorted.length % 2 == 1 || sorted[half - 1] == sorted[half]
        ? sorted[half]
        : (sorted[half - 1] + sorted[half]) / 2;
  }

  /**
   * The standard deviation of a normal distribution with this median distance from the median; NaN
   * of fewer than two values.
   */
  static double scatter(double[] values) {
    if (values.length < 2) {
      return Double.NaN;
    }
    double median = median(values);
    double[] apart = Arrays.stream(values).map(value -> Math.abs(value - median)).toArray();
    return corrected(median(apart), values.length);
  }

  /** Likewise, of a median distance and of how many values it is. */
  static double corrected(double medianDistance, int values) {
    double small =
        values - 2 < SMALL.length ? SMALL[Math.max(0, values - 2)] : values / (values - 0.8);
    return DEVIATIONS * small * medianDistance;
  }
}
