package io.gradflow.core.matrix;

import java.util.Arrays;

/**
 * A row of a matrix, made comparable: scaled by a power of two that brings its largest value
 * between 1 and 2, so that no square overflows or vanishes and no digit is lost. What is not finite
 * is a gap.
 */
public final class Series {
  /** In units of the largest value: smaller deviations are rounding. */
  private static final double CONSTANT = 1e-12;

  private final double[] cells;
  private final int exponent;

  private Series(double[] cells, int exponent) {
    this.cells = cells;
    this.exponent = exponent;
  }

  /** The series of rows, which are of equal length. */
  public static Series[] of(double[][] rows) {
    for (int i = 1; i < rows.length; i++) {
      if (rows[i].length != rows[0].length) {
        throw new IllegalArgumentException(
            "row %d: expected %d columns as in row 0, got %d"
                .formatted(i, rows[0].length, rows[i].length));
      }
    }
    return Arrays.stream(rows).map(Series::of).toArray(Series[]::new);
  }

  private static Series of(double[] row) {
    double largest = 0;
    for (double cell : row) {
      if (Double.isFinite(cell)) {
        largest = Math.max(largest, Math.abs(cell));
      }
    }
    int exponent = largest == 0 ? 0 : exponentOf(largest);
    // Two factors: one power of two does not reach from the smallest numbers to 1.
    double half = Math.scalb(1.0, -exponent / 2);
    double rest = Math.scalb(1.0, -(exponent - exponent / 2));
    double[] cells = new double[row.length];
    for (int t = 0; t < row.length; t++) {
      cells[t] = Double.isFinite(row[t]) ? row[t] * half * rest : Double.NaN;
    }
    return new Series(cells, exponent);
  }

  private static int exponentOf(double value) {
    return value < Double.MIN_NORMAL
        ? Math.getExponent(value * 0x1p54) - 54
        : Math.getExponent(value);
  }

  /** How many columns it has, gaps included. */
  public int length() {
    return cells.length;
  }

  public boolean isGap(int column) {
    return Double.isNaN(cells[column]);
  }

  /** Correlation of this series' cells t with the other's t - lag, where both are no gaps. */
  public Correlation correlation(Series other, int lag) {
    int from = Math.max(0, lag);
    int to = Math.min(cells.length, cells.length + lag);
    int pairs = 0;
    double x = 0;
    double y = 0;
    for (int t = from; t < to; t++) {
      if (!isGap(t) && !other.isGap(t - lag)) {
        pairs++;
        x += cells[t];
        y += other.cells[t - lag];
      }
    }
    if (pairs < Matrices.MIN_PAIRS) {
      return new Correlation(Double.NaN, pairs);
    }
    x /= pairs;
    y /= pairs;
    double xx = 0;
    double yy = 0;
    double xy = 0;
    for (int t = from; t < to; t++) {
      if (!isGap(t) && !other.isGap(t - lag)) {
        double dx = cells[t] - x;
        double dy = other.cells[t - lag] - y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
      }
    }
    double r = changes(xx, pairs) && changes(yy, pairs) ? xy / Math.sqrt(xx * yy) : Double.NaN;
    return new Correlation(r, pairs);
  }

  /**
   * Writes the cells of some columns, centred on their mean and of length 1: the inner product of
   * two such vectors is a correlation.
   *
   * @param columns without gaps
   * @param to filled from {@code at} on; with NaN if the cells do not change
   */
  public void standardize(int[] columns, double[] to, int at) {
    double mean = 0;
    for (int column : columns) {
      mean += cells[column];
    }
    mean /= columns.length;
    double squares = 0;
    for (int k = 0; k < columns.length; k++) {
      double deviation = cells[columns[k]] - mean;
      to[at + k] = deviation;
      squares += deviation * deviation;
    }
    double scale = changes(squares, columns.length) ? 1 / Math.sqrt(squares) : Double.NaN;
    for (int k = 0; k < columns.length; k++) {
      to[at + k] *= scale;
    }
  }

  private static boolean changes(double squares, int cells) {
    return squares > cells * CONSTANT * CONSTANT;
  }

  /** Least-squares slope against {@code at}; NaN with fewer than 3 cells, or all at one place. */
  double slope(double[] at) {
    int n = 0;
    double x = 0;
    double y = 0;
    for (int t = 0; t < cells.length; t++) {
      if (!isGap(t)) {
        n++;
        x += at[t];
        y += cells[t];
      }
    }
    x /= n;
    y /= n;
    double xx = 0;
    double xy = 0;
    for (int t = 0; t < cells.length; t++) {
      if (!isGap(t)) {
        xx += (at[t] - x) * (at[t] - x);
        xy += (at[t] - x) * (cells[t] - y);
      }
    }
    return n < 3 || xx == 0 ? Double.NaN : Math.scalb(xy / xx, exponent);
  }
}
