package io.gradflow.core.norm;

import java.util.Arrays;
import java.util.List;

/**
 * Numbers of single ranks, one array per statistic; NaN is unknown. Columns that release 0.1 did
 * not have are null in what it left behind.
 *
 * @param ranks ascending
 * @param localSquares sum of squares of the rank's LOCAL gradient; NaN without
 * @param lagMs time from the first shard that the broker had of its group to the rank's last
 * @param dropped records its producer has dropped so far
 * @param reducedSquares sum of squares of what the rank itself holds of the REDUCED gradient
 * @param dots dot product of the rank's LOCAL with the reduced gradient, over all its layers
 * @param reported the global gradient norm that the rank's trainer reports
 * @param sketches sum of the sketches of the rank's LOCAL gradient over its layers; a row is null
 *     without
 * @param weights tokens or samples of the rank
 * @param clipCoefs what the rank says that it multiplies the gradient by
 * @param losses what the rank says that the loss of its own batch is
 * @param places where the ranks run; null where none says
 */
public record RankRows(
    int[] ranks,
    double[] localSquares,
    long[] lagMs,
    long[] dropped,
    double[] reducedSquares,
    double[] dots,
    double[] reported,
    double[][] sketches,
    double[] weights,
    double[] clipCoefs,
    double[] losses,
    RankPlaces places) {
  /** No rank. */
  public static final RankRows NONE = empty(0);

  private static RankRows empty(int size) {
    return new RankRows(
        new int[size],
        new double[size],
        new long[size],
        new long[size],
        new double[size],
        new double[size],
        new double[size],
        new double[size][],
        new double[size],
        new double[size],
        new double[size],
        null);
  }

  /** One rank. */
  static RankRows of(
      int rank,
      double localSquares,
      long lagMs,
      long dropped,
      double reducedSquares,
      double dot,
      double reported,
      double[] sketch,
      double weight,
      double clipCoef,
      double loss,
      RankPlaces place) {
    return new RankRows(
        new int[] {rank},
        new double[] {localSquares},
        new long[] {lagMs},
        new long[] {dropped},
        new double[] {reducedSquares},
        new double[] {dot},
        new double[] {reported},
        new double[][] {sketch},
        new double[] {weight},
        new double[] {clipCoef},
        new double[] {loss},
        place);
  }

  /** The rows of both; those of one rank become one. */
  RankRows with(RankRows other) {
    RankRows all = empty(ranks.length + other.ranks.length);
    int size = 0;
    int i = 0;
    int j = 0;
    while (i < ranks.length || j < other.ranks.length) {
      boolean mine = j == other.ranks.length || (i < ranks.length && ranks[i] <= other.ranks[j]);
      boolean both = mine && j < other.ranks.length && ranks[i] == other.ranks[j];
      all.set(size, mine ? this : other, mine ? i++ : j++);
      if (both) {
        all.add(size, other, j++);
      }
      size++;
    }
    int[] merged = Arrays.copyOf(all.ranks, size);
    return new RankRows(
        merged,
        Arrays.copyOf(all.localSquares, size),
        Arrays.copyOf(all.lagMs, size),
        Arrays.copyOf(all.dropped, size),
        Arrays.copyOf(all.reducedSquares, size),
        Arrays.copyOf(all.dots, size),
        Arrays.copyOf(all.reported, size),
        Arrays.copyOf(all.sketches, size),
        Arrays.copyOf(all.weights, size),
        Arrays.copyOf(all.clipCoefs, size),
        Arrays.copyOf(all.losses, size),
        placesWith(other, merged));
  }

  private RankPlaces placesWith(RankRows other, int[] merged) {
    if (places == null && other.places == null) {
      return null;
    }
    String[] hosts = new String[merged.length];
    String[] devices = new String[merged.length];
    for (RankRows rows : List.of(this, other)) {
      int at = 0;
      for (int i = 0; rows.places != null && i < rows.ranks.length; i++) {
        while (merged[at] < rows.ranks[i]) {
          at++;
        }
        hosts[at] = hosts[at] == null ? rows.places.host(i) : hosts[at];
        devices[at] = devices[at] == null ? rows.places.device(i) : devices[at];
      }
    }
    return RankPlaces.of(hosts, devices);
  }

  private void set(int at, RankRows from, int row) {
    ranks[at] = from.ranks[row];
    localSquares[at] = from.localSquares[row];
    lagMs[at] = from.lagMs[row];
    dropped[at] = from.dropped[row];
    reducedSquares[at] = value(from.reducedSquares, row);
    dots[at] = value(from.dots, row);
    reported[at] = value(from.reported, row);
    sketches[at] = from.sketches == null ? null : from.sketches[row];
    weights[at] = value(from.weights, row);
    clipCoefs[at] = value(from.clipCoefs, row);
    losses[at] = value(from.losses, row);
  }

  private void add(int at, RankRows from, int row) {
    lagMs[at] = Math.max(lagMs[at], from.lagMs[row]);
    dropped[at] = Math.max(dropped[at], from.dropped[row]);
    localSquares[at] = sum(localSquares[at], from.localSquares[row]);
    reducedSquares[at] = sum(reducedSquares[at], value(from.reducedSquares, row));
    dots[at] = sum(dots[at], value(from.dots, row));
    reported[at] = Double.isNaN(reported[at]) ? value(from.reported, row) : reported[at];
    sketches[at] = sum(sketches[at], from.sketches == null ? null : from.sketches[row]);
    weights[at] = Double.isNaN(weights[at]) ? value(from.weights, row) : weights[at];
    clipCoefs[at] = Double.isNaN(clipCoefs[at]) ? value(from.clipCoefs, row) : clipCoefs[at];
    losses[at] = Double.isNaN(losses[at]) ? value(from.losses, row) : losses[at];
  }

  private static double value(double[] column, int row) {
    return column == null ? Double.NaN : column[row];
  }

  /** The sum of what is known; NaN of nothing. */
  static double sum(double a, double b) {
    return Double.isNaN(a) ? b : Double.isNaN(b) ? a : a + b;
  }

  /** Likewise of rows; null of nothing, and of rows that do not fit. */
  static double[] sum(double[] a, double[] b) {
    if (a == null || b == null) {
      return a == null ? b : a;
    }
    if (a.length != b.length) {
      return null;
    }
    double[] sum = a.clone();
    for (int k = 0; k < sum.length; k++) {
      sum[k] += b[k];
    }
    return sum;
  }
}
