package io.gradflow.operators.analysis;

import io.gradflow.core.matrix.Correlation;
import io.gradflow.core.matrix.LinkSearch;
import io.gradflow.core.matrix.Links;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.matrix.RankGeometry;
import io.gradflow.core.matrix.RankSketches;
import io.gradflow.core.matrix.Series;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.bytedeco.openblas.global.openblas;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Products of matrices and their eigenvalues by ND4J and the OpenBLAS it brings, in double and on
 * one thread; plain loops where these are no slower. Nothing outside the heap outlives a call.
 *
 * <p>Not to be constructed where ND4J may be missing: see {@link Analysis}.
 */
public final class Nd4jMatrices implements Matrices {
  /** With fewer rows calling ND4J takes longer than the loops: measured. */
  private static final int MIN_ROWS = 24;

  /** Rows of one product: bounds what is outside the heap, 2 MB a result. */
  private static final int MAX_ROWS = 512;

  private final Matrices plain = new PlainMatrices();

  /** Loads ND4J if nobody has yet; that takes up to two seconds. */
  public Nd4jMatrices() {
    // Without limits of its own, JavaCPP takes the memory of the whole process for its own: past
    // twice
    // the heap, which Flink's other memory reaches, it would collect garbage and then refuse.
    setIfAbsent("org.bytedeco.javacpp.maxphysicalbytes", "0");
    setIfAbsent("org.bytedeco.javacpp.maxbytes", "256m");
    ClassLoader before = Thread.currentThread().getContextClassLoader();
    // ND4J keeps the first class loader it meets, and its threads do: not one of a job.
    Thread.currentThread().setContextClassLoader(Nd4j.class.getClassLoader());
    try {
      Nd4j.factory().blas().setMaxThreads(1);
    } finally {
      Thread.currentThread().setContextClassLoader(before);
    }
  }

  private static void setIfAbsent(String property, String value) {
    System.getProperties().putIfAbsent(property, value);
  }

  /** By plain loops: copying the rows to ND4J takes longer. */
  @Override
  public double[] slopes(double[] at, double[][] rows) {
    return plain.slopes(at, rows);
  }

  @Override
  public Links links(double[][] rows, int maxLag) {
    Grouped grouped = Grouped.of(Series.of(rows));
    LinkSearch search = LinkSearch.between(grouped.series, grouped.series, maxLag);
    for (int lag = 0; lag <= search.maxLag(); lag++) {
      int after = lag;
      grouped.correlate(
          grouped,
          after,
          (row, partner, r, pairs) -> {
            if (row != partner) {
              search.offer(row, partner, after, r, pairs);
              if (after > 0) {
                // What follows another at a lag is followed by it at minus the lag.
                search.offer(partner, row, -after, r, pairs);
              }
            }
          });
    }
    return search.links();
  }

  @Override
  public Links links(double[][] rows, double[][] others, int maxLag) {
    Grouped grouped = Grouped.of(Series.of(rows));
    Grouped partners = Grouped.of(Series.of(others));
    LinkSearch search = LinkSearch.between(grouped.series, partners.series, maxLag);
    for (int lag = -search.maxLag(); lag <= search.maxLag(); lag++) {
      int after = lag;
      grouped.correlate(
          partners, after, (row, partner, r, pairs) -> search.offer(row, partner, after, r, pairs));
    }
    return search.links();
  }

  @Override
  public RankGeometry geometry(float[][] sketches) {
    RankSketches ranks = RankSketches.of(sketches);
    double[][] side = ranks.shorterSide();
    int n = side.length;
    if (n < MIN_ROWS) {
      return plain.geometry(sketches);
    }
    int width = side[0].length;
    double[] packed = new double[n * width];
    for (int i = 0; i < n; i++) {
      System.arraycopy(side[i], 0, packed, i * width, width);
    }
    double[] eigenvalues = new double[n];
    int failed =
        openblas.LAPACKE_dsyev(
            openblas.LAPACK_COL_MAJOR,
            (byte) 'N',
            (byte) 'L',
            n,
            products(packed, packed, width),
            n,
            eigenvalues);
    // LAPACK may give up. Jacobi's method does not.
    return failed == 0 ? ranks.geometry(eigenvalues) : plain.geometry(sketches);
  }

  /** What becomes of a correlation. */
  private interface Pairs {
    void offer(int row, int partner, double r, int pairs);
  }

  /**
   * Series, those together that have their gaps at the same columns.
   *
   * @param groups of enough series for a product
   * @param single those that are in no group
   */
  private record Grouped(Series[] series, List<Group> groups, boolean[] single) {
    static Grouped of(Series[] series) {
      Map<BitSet, List<Integer>> byCells = new LinkedHashMap<>();
      for (int i = 0; i < series.length; i++) {
        BitSet cells = new BitSet();
        for (int t = 0; t < series[i].length(); t++) {
          cells.set(t, !series[i].isGap(t));
        }
        byCells.computeIfAbsent(cells, any -> new ArrayList<>()).add(i);
      }
      List<Group> groups = new ArrayList<>();
      boolean[] single = new boolean[series.length];
      byCells.forEach(
          (cells, rows) -> {
            for (int from = 0; from < rows.size(); from += MAX_ROWS) {
              List<Integer> some = rows.subList(from, Math.min(from + MAX_ROWS, rows.size()));
              if (some.size() < MIN_ROWS) {
                some.forEach(row -> single[row] = true);
              } else {
                groups.add(new Group(series, some.stream().mapToInt(row -> row).toArray(), cells));
              }
            }
          });
      return new Grouped(series, groups, single);
    }

    /** Correlates each series' cells t with all of the others' cells t - lag. */
    void correlate(Grouped others, int lag, Pairs to) {
      groups.forEach(group -> others.groups.forEach(other -> group.correlate(other, lag, to)));
      for (int i = 0; i < series.length; i++) {
        for (int j = 0; j < others.series.length; j++) {
          if (single[i] || others.single[j]) {
            Correlation pair = series[i].correlation(others.series[j], lag);
            to.offer(i, j, pair.r(), pair.pairs());
          }
        }
      }
    }
  }

  /**
   * Rows whose gaps are at the same columns: all their correlations with another group at a lag are
   * over the same pairs of columns, and so one product of two matrices.
   *
   * @param series of all rows
   * @param rows of the group
   * @param cells which columns are no gaps
   */
  private record Group(Series[] series, int[] rows, BitSet cells) {
    void correlate(Group others, int lag, Pairs to) {
      int[] columns = cells.stream().filter(t -> t >= lag && others.cells.get(t - lag)).toArray();
      if (columns.length < MIN_PAIRS) {
        return;
      }
      int[] earlier = Arrays.stream(columns).map(t -> t - lag).toArray();
      double[] products =
          products(standardized(columns), others.standardized(earlier), columns.length);
      for (int j = 0; j < others.rows.length; j++) {
        for (int i = 0; i < rows.length; i++) {
          to.offer(rows[i], others.rows[j], products[j * rows.length + i], columns.length);
        }
      }
    }

    private double[] standardized(int[] columns) {
      double[] matrix = new double[rows.length * columns.length];
      for (int i = 0; i < rows.length; i++) {
        series[rows[i]].standardize(columns, matrix, i * columns.length);
      }
      return matrix;
    }
  }

  /**
   * Inner products of all rows of one matrix with all of another.
   *
   * @param left n rows of that width, one after the other
   * @param right m rows
   * @return n x m, column by column
   */
  private static double[] products(double[] left, double[] right, int width) {
    long n = left.length / width;
    long m = right.length / width;
    try (INDArray a = matrix(left, n, width);
        INDArray b = matrix(right, m, width);
        INDArray c = Nd4j.createUninitialized(DataType.DOUBLE, new long[] {n, m}, 'f')) {
      Nd4j.gemm(a, b, c, false, true, 1, 0);
      return c.data().asDouble();
    }
  }

  private static INDArray matrix(double[] cells, long rows, long columns) {
    return Nd4j.create(
        cells, new long[] {rows, columns}, new long[] {columns, 1}, 'c', DataType.DOUBLE);
  }
}
