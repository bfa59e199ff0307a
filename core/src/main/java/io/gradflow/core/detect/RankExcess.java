package io.gradflow.core.detect;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * By how much ranks are above what most of their peers are, and how sure that is: columns by rank,
 * changed in place. What is compared, and which way is up, its user knows.
 *
 * <p>d is the value of a rank less the median of its peers', s the scatter of d over about 20
 * steps, the rank's own or the median of its peers', whichever is larger.
 *
 * <pre>
 * b = mean of d over about 200 steps     what the rank is above its peers by nature
 * u = (d - w b) / s, within ±3           w = 1 - (2 / t)^2 of a b that is t of its own deviations
 *                                        above 0, 0 where t < 2: most ranks are alike
 * m = mean of u over about 40 steps      the rise, in s
 * z = m over what it scatters by chance, or over 0.7 of what is usual among the peers
 * </pre>
 *
 * <p>Dividing by s before the mean is taken keeps the values of a loss that falls by orders of
 * magnitude comparable. A rank below its peers is taken for one like them: it is of no interest
 * before it is above them.
 *
 * <p>Source of w: Efron and Morris, Stein's estimation rule and its competitors (JASA 1973).
 *
 * @param values of the rank that were compared
 * @param scatter of d about its mean
 * @param usual b
 * @param usualScatter of d over as long as b remembers
 * @param mean m
 * @param wander what m was seen to scatter upwards, over about 200 steps
 */
public record RankExcess(
    int[] values,
    float[] scatter,
    float[] usual,
    float[] usualScatter,
    float[] mean,
    float[] wander) {
  private static final int FIRST = 5;
  private static final double GAIN = 0.025;
  private static final double USUAL_GAIN = 0.005;
  private static final double SCATTER_GAIN = 0.05;
  private static final double MOST_BELIEVED = 3;
  private static final double ALIKE = 2;

  /** What is seen of wandering is an estimate from few independent values. */
  private static final double SEEN = 0.7;

  static RankExcess of(int ranks) {
    return new RankExcess(
        new int[ranks],
        new float[ranks],
        new float[ranks],
        new float[ranks],
        new float[ranks],
        new float[ranks]);
  }

  /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
  RankExcess moved(int[] from) {
    return new RankExcess(
        RankTrends.moved(values, from, 0),
        RankTrends.moved(scatter, from),
        RankTrends.moved(usual, from),
        RankTrends.moved(usualScatter, from),
        RankTrends.moved(mean, from),
        RankTrends.moved(wander, from));
  }

  /**
   * Learns the values of peers.
   *
   * @param value by row
   * @param sign 1 if up is more, -1 if it is less
   * @param stands rows of which what is usual is not to be learnt
   * @return the median of each one's peers, aligned with rows
   */
  double[] learn(int[] rows, double[] value, int sign, boolean[] stands, int warmUp) {
    double[] medians = mediansOfOthers(value, rows);
    double ofPeers = usualScatter(rows);
    for (int k = 0; k < rows.length; k++) {
      int row = rows[k];
      learn(row, sign * (value[row] - medians[k]), ofPeers, stands[row], warmUp);
    }
    return medians;
  }

  private void learn(int row, double d, double ofPeers, boolean stands, int warmUp) {
    int count = ++values[row];
    double s = Math.max(scatter[row], ofPeers);
    double natural = natural(row);
    double off = Robust.DEVIATIONS_OF_MEAN * Math.abs(d - natural - mean[row] * s);
    if (count <= FIRST || s == 0) {
      scatter[row] += (float) ((off - scatter[row]) / count);
      usualScatter[row] = scatter[row];
      wander[row] = (float) ofMean(GAIN, Integer.MAX_VALUE);
      return;
    }
    int n = count - FIRST;
    double most = MOST_BELIEVED * s;
    double believed = Math.max(-most, Math.min(most, d - natural));
    off = Math.min(most, off);
    mean[row] += (float) (Math.max(GAIN, 1.0 / n) * (believed / s - mean[row]));
    scatter[row] += (float) (Math.max(SCATTER_GAIN, 1.0 / count) * (off - scatter[row]));
    if (count > warmUp) {
      // Upwards alone: where one rank is far above, the others are below.
      double up = 2 * Robust.DEVIATIONS_OF_MEAN * Math.max(0, mean[row]);
      wander[row] += (float) (USUAL_GAIN * (up - wander[row]));
    }
    if (!stands) {
      double gain = Math.max(USUAL_GAIN, 1.0 / n);
      usual[row] += (float) (gain * (natural + believed - usual[row]));
      usualScatter[row] += (float) (gain * (off - usualScatter[row]));
    }
  }

  /** What of b is no chance. */
  private double natural(int row) {
    if (!(usual[row] > 0)) {
      return 0;
    }
    double chance =
        ALIKE * usualScatter[row] * ofMean(USUAL_GAIN, values[row] - FIRST) / usual[row];
    return Math.max(0, 1 - chance * chance) * usual[row];
  }

  /** z of peers, aligned with rows; 0 of one that is not warm yet. */
  double[] z(int[] rows, int warmUp) {
    // The lower one of the middle: of two, the sick one is the one that has risen.
    double[] seen = sorted(rows, wander);
    double wandering = SEEN * seen[(seen.length - 1) / 2];
    return IntStream.of(rows)
        .mapToDouble(
            row ->
                values[row] < warmUp
                    ? 0
                    : mean[row] / Math.max(ofMean(GAIN, values[row] - FIRST), wandering))
        .toArray();
  }

  /** The rises of peers, m s, aligned with rows. */
  double[] rises(int[] rows) {
    double ofPeers = usualScatter(rows);
    return IntStream.of(rows)
        .mapToDouble(row -> mean[row] * Math.max(scatter[row], ofPeers))
        .toArray();
  }

  private double usualScatter(int[] rows) {
    return Robust.median(sorted(rows, scatter));
  }

  private static double[] sorted(int[] rows, float[] column) {
    return IntStream.of(rows).mapToDouble(row -> column[row]).sorted().toArray();
  }

  /** Scatter of such a mean of n independent values of scatter 1. */
  private static double ofMean(double gain, int n) {
    return Math.sqrt(Math.max(gain / (2 - gain), 1.0 / Math.max(1, n)));
  }

  private static double[] mediansOfOthers(double[] value, int[] rows) {
    double[] sorted = IntStream.of(rows).mapToDouble(row -> value[row]).sorted().toArray();
    int high = (rows.length - 1) / 2;
    int low = (rows.length - 2) / 2;
    return IntStream.of(rows)
        .mapToDouble(
            row -> {
              // Without it, those above move down by one.
              int own = Arrays.binarySearch(sorted, value[row]);
              return (sorted[low < own ? low : low + 1] + sorted[high < own ? high : high + 1]) / 2;
            })
        .toArray();
  }
}
