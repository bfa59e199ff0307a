package io.gradflow.core.norm;

import io.gradflow.core.shard.LayerColumns;
import java.util.Arrays;

/**
 * Sums of slices of layers, one array per statistic, position i being layer i. They are added to in
 * place.
 *
 * <p>Squares and magnitudes are compensated: each sum is the pair (value, low), low holding what
 * rounding took from value, so that the order of additions changes a sum by less than 1e-15 of it.
 *
 * @param elements received
 * @param squares, squaresLow sum of squared norms
 * @param abs, absLow sum of L1 norms; NaN once any slice came without
 * @param maxAbs largest magnitude
 * @param zeros sum of exact zeros; -1 once any slice came without
 * @param nonFinite three rows: NaNs, positive and negative infinities; a row is null until there is
 *     one
 * @param signals what slices say beyond norms; null in sums made by release 0.1, which stay so
 */
public record LayerSums(
    long[] elements,
    double[] squares,
    double[] squaresLow,
    double[] abs,
    double[] absLow,
    double[] maxAbs,
    long[] zeros,
    long[][] nonFinite,
    SignalSums signals) {

  /** Sums of nothing. */
  public static LayerSums empty(int layers) {
    return new LayerSums(
        new long[layers],
        new double[layers],
        new double[layers],
        new double[layers],
        new double[layers],
        new double[layers],
        new long[layers],
        new long[3][],
        SignalSums.empty());
  }

  /** Adds one slice, its non-finite elements apart. */
  void add(int i, long count, double square, double sumAbs, double largest, long zeroCount) {
    elements[i] += count;
    add(squares, squaresLow, i, square);
    add(abs, absLow, i, sumAbs);
    maxAbs[i] = Math.max(maxAbs[i], largest);
    zeros[i] = zeros[i] < 0 || zeroCount < 0 ? -1 : zeros[i] + zeroCount;
  }

  /** Adds to a count of non-finite elements; row 0 counts NaNs, 1 and 2 the infinities. */
  void addNonFinite(int row, int i, long count) {
    if (count == 0) {
      return;
    }
    if (nonFinite[row] == null) {
      nonFinite[row] = new long[elements.length];
    }
    nonFinite[row][i] += count;
  }

  /**
   * Adds what a slice says beyond norms; before the slice itself.
   *
   * @param columns the slice's, in position {@code at}
   * @param piece which slice of the layer it is
   * @param scale the gradient was multiplied by that
   */
  void addSignals(int i, LayerColumns columns, int at, int piece, double scale) {
    if (signals != null) {
      signals.add(i, elements[i] == 0, elements.length, columns, at, piece, scale);
    }
  }

  /** Adds position j of other sums. */
  void add(int i, LayerSums other, int j) {
    if (signals != null) {
      SignalSums theirs = other.signals == null ? SignalSums.empty() : other.signals;
      signals.add(i, elements[i] == 0, elements.length, theirs, j);
    }
    elements[i] += other.elements[j];
    add(squares, squaresLow, i, other.squares[j]);
    squaresLow[i] += other.squaresLow[j];
    add(abs, absLow, i, other.abs[j]);
    absLow[i] += other.absLow[j];
    maxAbs[i] = Math.max(maxAbs[i], other.maxAbs[j]);
    zeros[i] = zeros[i] < 0 || other.zeros[j] < 0 ? -1 : zeros[i] + other.zeros[j];
    for (int row = 0; row < nonFinite.length; row++) {
      addNonFinite(row, i, other.nonFinite(row, j));
    }
  }

  /** Forgets position i. */
  void clear(int i) {
    elements[i] = 0;
    squares[i] = 0;
    squaresLow[i] = 0;
    abs[i] = 0;
    absLow[i] = 0;
    maxAbs[i] = 0;
    zeros[i] = 0;
    for (long[] row : nonFinite) {
      if (row != null) {
        row[i] = 0;
      }
    }
    if (signals != null) {
      signals.clear(i);
    }
  }

  /** A count of non-finite elements. */
  long nonFinite(int row, int i) {
    return nonFinite[row] == null ? 0 : nonFinite[row][i];
  }

  /** All non-finite elements of a layer. */
  long nonFinite(int i) {
    return nonFinite(0, i) + nonFinite(1, i) + nonFinite(2, i);
  }

  /** Whether nothing is in these sums, or nothing any more. */
  boolean isEmpty() {
    return Arrays.stream(elements).allMatch(n -> n == 0)
        && Arrays.stream(nonFinite)
            .allMatch(row -> row == null || Arrays.stream(row).allMatch(n -> n == 0));
  }

  /** The sum of squares of a layer. */
  double square(int i) {
    return squares[i] + squaresLow[i];
  }

  /** Adds x to the compensated sum at i (Knuth's two-sum). */
  static void add(double[] value, double[] low, int i, double x) {
    double sum = value[i] + x;
    double part = sum - value[i];
    low[i] += (value[i] - (sum - part)) + (x - part);
    value[i] = sum;
  }
}
