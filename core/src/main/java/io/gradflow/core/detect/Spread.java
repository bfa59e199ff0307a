package io.gradflow.core.detect;

import java.util.Arrays;

/**
 * Where the values of some layers lie, whatever a few of them do.
 *
 * @param median of the values
 * @param scatter 1.4826 times the median distance from it: the standard deviation of a normal
 *     distribution
 */
record Spread(double median, double scatter) {
  /** With fewer values the median says little about the rest. */
  private static final int MIN_VALUES = 5;

  private static final double DEVIATIONS = 1.4826;

  /**
   * The spread of these layers' values, NaN being none.
   *
   * @return null if fewer than five have a value
   */
  static Spread of(double[] values, int[] layers) {
    double[] known =
        Arrays.stream(layers).mapToDouble(i -> values[i]).filter(v -> !Double.isNaN(v)).toArray();
    if (known.length < MIN_VALUES) {
      return null;
    }
    double median = median(known);
    double[] apart = Arrays.stream(known).map(v -> Math.abs(v - median)).toArray();
    return new Spread(median, DEVIATIONS * median(apart));
  }

  private static double median(double[] values) {
    Arrays.sort(values);
    int half = values.length / 2;
    return values.length % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  }
}
