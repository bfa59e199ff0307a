package io.gradflow.core.norm;

import java.util.Arrays;

/**
 * Numbers of single ranks, one array per statistic.
 *
 * @param ranks ascending
 * @param localSquares sum of squares of the rank's LOCAL gradient; NaN without
 * @param lagMs wall time from the first shard its group had of the step to the rank's last
 * @param dropped records its producer has dropped so far
 */
public record RankRows(int[] ranks, double[] localSquares, long[] lagMs, long[] dropped) {
  /** No rank. */
  public static final RankRows NONE =
      new RankRows(new int[0], new double[0], new long[0], new long[0]);

  /** The rows of both; those of one rank become one. */
  RankRows with(RankRows other) {
    int[] all = new int[ranks.length + other.ranks.length];
    double[] squares = new double[all.length];
    long[] lag = new long[all.length];
    long[] drops = new long[all.length];
    int size = 0;
    int i = 0;
    int j = 0;
    while (i < ranks.length || j < other.ranks.length) {
      boolean mine = j == other.ranks.length || (i < ranks.length && ranks[i] <= other.ranks[j]);
      boolean both = mine && j < other.ranks.length && ranks[i] == other.ranks[j];
      RankRows from = mine ? this : other;
      int at = mine ? i++ : j++;
      all[size] = from.ranks[at];
      squares[size] = from.localSquares[at];
      lag[size] = from.lagMs[at];
      drops[size] = from.dropped[at];
      if (both) {
        double more = other.localSquares[j];
        squares[size] =
            Double.isNaN(more)
                ? squares[size]
                : Double.isNaN(squares[size]) ? more : squares[size] + more;
        lag[size] = Math.max(lag[size], other.lagMs[j]);
        drops[size] = Math.max(drops[size], other.dropped[j++]);
      }
      size++;
    }
    return new RankRows(
        Arrays.copyOf(all, size),
        Arrays.copyOf(squares, size),
        Arrays.copyOf(lag, size),
        Arrays.copyOf(drops, size));
  }
}
