package io.gradflow.core.detect;

/**
 * Whether the cosine of a rank's gradient with those of its peers has changed its sign: columns by
 * rank, changed in place.
 *
 * <p>C is its mean over about 20 steps, m that over about 50 before it began to fall, both of the
 * rank's own past. It has turned when m was as clearly above 0 as C is below, each by {@value
 * #BOTH_OF_THREE} thirds of {@code coherenceZ} times its scatter and by {@code coherence}, C is
 * below {@code -m / 2}, and it came within {@value #TURNING} steps: ranks that have learnt all that
 * their batches agree on come to 0 from above, and slowly to what is below.
 *
 * @param directions steps with a cosine
 * @param cosine C
 * @param cosineScatter about it
 * @param before m; stands still once C has lost half of it
 * @param turning steps in a row in which it has
 */
public record Turning(
    int[] directions, float[] cosine, float[] cosineScatter, float[] before, int[] turning) {
  private static final double GAIN = 0.05;
  private static final double SLOW_GAIN = 0.02;
  private static final double SCATTER_OF_MEAN = Math.sqrt(GAIN / (2 - GAIN));

  private static final int TURNING = 50;
  private static final int BOTH_OF_THREE = 2;

  static Turning of(int ranks) {
    return new Turning(
        new int[ranks], new float[ranks], new float[ranks], new float[ranks], new int[ranks]);
  }

  /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
  Turning moved(int[] from) {
    return new Turning(
        RankTrends.moved(directions, from, 0),
        RankTrends.moved(cosine, from),
        RankTrends.moved(cosineScatter, from),
        RankTrends.moved(before, from),
        RankTrends.moved(turning, from, 0));
  }

  /** Learns the cosine of a step; one that is unknown changes nothing. */
  void learn(int row, double c) {
    if (Double.isNaN(c)) {
      return;
    }
    int count = ++directions[row];
    double slow = Math.max(SLOW_GAIN, 1.0 / count);
    double off = Robust.DEVIATIONS_OF_MEAN * Math.abs(c - cosine[row]);
    cosineScatter[row] += (float) (slow * (off - cosineScatter[row]));
    cosine[row] += (float) (Math.max(GAIN, 1.0 / count) * (c - cosine[row]));
    boolean lost = cosine[row] < before[row] / 2;
    turning[row] = lost ? turning[row] + 1 : 0;
    if (!lost || turning[row] > TURNING) {
      before[row] += (float) (slow * (c - before[row]));
    }
  }

  /** By how much C must be below 0, and m above. */
  double least(int row, RankDivergenceDetector.Settings settings) {
    double ofMean = SCATTER_OF_MEAN * cosineScatter[row];
    return Math.max(settings.coherence(), BOTH_OF_THREE / 3.0 * settings.coherenceZ() * ofMean);
  }

  boolean hasTurned(int row, RankDivergenceDetector.Settings settings, int warmUp) {
    double least = least(row, settings);
    return directions[row] >= 2 * warmUp
        && turning[row] > 0
        && turning[row] <= TURNING
        && before[row] > least
        && cosine[row] < -least
        && cosine[row] < -before[row] / 2;
  }

  /** Whether it has lost half of what it clearly had. */
  boolean hasFallen(int row, RankDivergenceDetector.Settings settings) {
    return turning[row] > 0 && before[row] > least(row, settings) && cosine[row] < before[row] / 2;
  }
}
