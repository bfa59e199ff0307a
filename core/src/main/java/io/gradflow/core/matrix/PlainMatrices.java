package io.gradflow.core.matrix;

import java.util.Arrays;
import java.util.stream.IntStream;

/** Plain loops: the reference of what is meant, and the fastest for small matrices. */
public final class PlainMatrices implements Matrices {
  private static final int MAX_SWEEPS = 50;
  private static final double ROUNDING = 1e-13;

  @Override
  public double[] slopes(double[] at, double[][] rows) {
    if (rows.length > 0 && at.length != rows[0].length) {
      throw new IllegalArgumentException(
          "slopes: expected a place for each of %d columns, got %d"
              .formatted(rows[0].length, at.length));
    }
    return Arrays.stream(Series.of(rows)).mapToDouble(row -> row.slope(at)).toArray();
  }

  @Override
  public Links links(double[][] rows, int maxLag) {
    Series[] series = Series.of(rows);
    return links(series, series, maxLag);
  }

  @Override
  public Links links(double[][] rows, double[][] others, int maxLag) {
    return links(Series.of(rows), Series.of(others), maxLag);
  }

  private static Links links(Series[] rows, Series[] others, int maxLag) {
    LinkSearch search = LinkSearch.between(rows, others, maxLag);
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j < others.length; j++) {
        for (int lag = -search.maxLag(); lag <= search.maxLag() && rows[i] != others[j]; lag++) {
          search.offer(i, j, lag, rows[i].correlation(others[j], lag));
        }
      }
    }
    return search.links();
  }

  @Override
  public RankGeometry geometry(float[][] sketches) {
    RankSketches ranks = RankSketches.of(sketches);
    return ranks.geometry(eigenvalues(gram(ranks.shorterSide())));
  }

  private static double[][] gram(double[][] rows) {
    double[][] gram = new double[rows.length][rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int j = 0; j <= i; j++) {
        double dot = 0;
        for (int k = 0; k < rows[i].length; k++) {
          dot += rows[i][k] * rows[j][k];
        }
        gram[i][j] = dot;
        gram[j][i] = dot;
      }
    }
    return gram;
  }

  /**
   * Jacobi's method: rotations of two axes at a time until what is off the diagonal is rounding.
   */
  private static double[] eigenvalues(double[][] symmetric) {
    int n = symmetric.length;
    for (int sweep = 0; sweep < MAX_SWEEPS && !isDiagonal(symmetric); sweep++) {
      for (int p = 0; p < n; p++) {
        for (int q = p + 1; q < n; q++) {
          rotate(symmetric, p, q);
        }
      }
    }
    return IntStream.range(0, n).mapToDouble(i -> symmetric[i][i]).toArray();
  }

  private static boolean isDiagonal(double[][] symmetric) {
    double diagonal = 0;
    double rest = 0;
    for (int i = 0; i < symmetric.length; i++) {
      for (int j = 0; j < symmetric.length; j++) {
        double square = symmetric[i][j] * symmetric[i][j];
        if (i == j) {
          diagonal += square;
        } else {
          rest += square;
        }
      }
    }
    return rest <= diagonal * ROUNDING * ROUNDING;
  }

  /** Turns axes p and q so that they no longer depend on each other. */
  private static void rotate(double[][] a, int p, int q) {
    if (a[p][q] == 0) {
      return;
    }
    double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
    double tangent = Math.copySign(1, theta) / (Math.abs(theta) + Math.hypot(theta, 1));
    double cosine = 1 / Math.hypot(tangent, 1);
    double sine = tangent * cosine;
    for (int k = 0; k < a.length; k++) {
      double kp = a[k][p];
      double kq = a[k][q];
      a[k][p] = cosine * kp - sine * kq;
      a[k][q] = sine * kp + cosine * kq;
    }
    double[] rowP = a[p];
    double[] rowQ = a[q];
    for (int k = 0; k < a.length; k++) {
      double pk = rowP[k];
      double qk = rowQ[k];
      rowP[k] = cosine * pk - sine * qk;
      rowQ[k] = sine * pk + cosine * qk;
    }
    a[p][q] = 0;
    a[q][p] = 0;
  }
}
