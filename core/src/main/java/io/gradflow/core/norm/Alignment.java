package io.gradflow.core.norm;

import java.util.Arrays;

/**
 * The ranks whose LOCAL gradient points least along the reduced one, per layer: rows of {@link
 * #MOST}, by the length of the projection, ascending; exact under merging, because the lowest of
 * both are among the lowest of each.
 *
 * @param ranks layers x {@link #MOST}; -1 where there are fewer
 * @param dots aligned: dot product of the rank's with the reduced gradient
 * @param squares aligned: squared norm of the rank's gradient
 */
public record Alignment(int[] ranks, double[] dots, double[] squares) {
  /** Ranks kept per layer. */
  public static final int MOST = 4;

  static Alignment empty(int layers) {
    int[] none = new int[layers * MOST];
    Arrays.fill(none, -1);
    return new Alignment(none, new double[none.length], new double[none.length]);
  }

  /** Adds a rank in place. */
  void add(int layer, int rank, double dot, double square) {
    int from = layer * MOST;
    int at = from + MOST;
    while (at > from && (ranks[at - 1] < 0 || isBefore(rank, dot, square, at - 1))) {
      at--;
    }
    if (at == from + MOST) {
      return;
    }
    int moved = from + MOST - 1 - at;
    System.arraycopy(ranks, at, ranks, at + 1, moved);
    System.arraycopy(dots, at, dots, at + 1, moved);
    System.arraycopy(squares, at, squares, at + 1, moved);
    ranks[at] = rank;
    dots[at] = dot;
    squares[at] = square;
  }

  private boolean isBefore(int rank, double dot, double square, int at) {
    int order = Double.compare(projection(dot, square), projection(dots[at], squares[at]));
    return order == 0 ? rank < ranks[at] : order < 0;
  }

  private static double projection(double dot, double square) {
    return square == 0 ? 0 : dot / Math.sqrt(square);
  }

  /** Both, which are of different ranks; either may be null. */
  static Alignment merged(Alignment a, Alignment b) {
    if (a == null || b == null) {
      return a == null ? b : a;
    }
    Alignment both = new Alignment(a.ranks.clone(), a.dots.clone(), a.squares.clone());
    for (int i = 0; i < b.ranks.length; i++) {
      if (b.ranks[i] >= 0) {
        both.add(i / MOST, b.ranks[i], b.dots[i], b.squares[i]);
      }
    }
    return both;
  }
}
