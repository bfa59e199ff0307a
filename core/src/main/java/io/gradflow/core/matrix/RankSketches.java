package io.gradflow.core.matrix;

import java.util.Arrays;

/** The sketches of a step's ranks, those left out that are null or not finite. */
public final class RankSketches {
  private final int ranks;
  private final int[] usable;
  private final double[][] rows;

  private RankSketches(int ranks, int[] usable, double[][] rows) {
    this.ranks = ranks;
    this.usable = usable;
    this.rows = rows;
  }

  /**
   * Takes those that are usable.
   *
   * @param sketches of each rank, of equal width
   */
  public static RankSketches of(float[][] sketches) {
    int[] usable = new int[sketches.length];
    int count = 0;
    for (int rank = 0; rank < sketches.length; rank++) {
      if (sketches[rank] != null && isFinite(sketches[rank])) {
        usable[count++] = rank;
        int width = sketches[usable[0]].length;
        if (sketches[rank].length != width) {
          throw new IllegalArgumentException(
              "rank %d: expected a sketch of %d values as that of rank %d, got %d"
                  .formatted(rank, width, usable[0], sketches[rank].length));
        }
      }
    }
    usable = Arrays.copyOf(usable, count);
    double[][] rows = new double[count][];
    for (int i = 0; i < count; i++) {
      float[] sketch = sketches[usable[i]];
      rows[i] = new double[sketch.length];
      for (int k = 0; k < sketch.length; k++) {
        rows[i][k] = sketch[k];
      }
    }
    return new RankSketches(sketches.length, usable, rows);
  }

  private static boolean isFinite(float[] sketch) {
    for (float value : sketch) {
      if (!Float.isFinite(value)) {
        return false;
      }
    }
    return true;
  }

  /**
   * The matrix whose Gram matrix has the fewer rows: the ranks, or the columns of their sketches if
   * these are fewer. The eigenvalues are the same but for zeros.
   */
  public double[][] shorterSide() {
    int width = rows.length == 0 ? 0 : rows[0].length;
    if (rows.length <= width) {
      return rows;
    }
    double[][] columns = new double[width][rows.length];
    for (int i = 0; i < rows.length; i++) {
      for (int k = 0; k < width; k++) {
        columns[k][i] = rows[i][k];
      }
    }
    return columns;
  }

  /**
   * The geometry, given what is costly of it.
   *
   * @param eigenvalues of the Gram matrix of {@link #shorterSide}, in any order
   */
  public RankGeometry geometry(double[] eigenvalues) {
    return RankGeometry.of(coherence(), eigenvalues);
  }

  /**
   * The others are added up from both ends, not taken as the sum of all less one rank: beside a
   * rank far larger than the rest that would leave rounding.
   */
  private double[] coherence() {
    double[] coherence = new double[ranks];
    Arrays.fill(coherence, Double.NaN);
    int width = rows.length == 0 ? 0 : rows[0].length;
    double[][] after = new double[rows.length + 1][width];
    for (int i = rows.length - 1; i >= 0; i--) {
      for (int k = 0; k < width; k++) {
        after[i][k] = after[i + 1][k] + rows[i][k];
      }
    }
    double[] before = new double[width];
    for (int i = 0; i < rows.length; i++) {
      double dot = 0;
      double square = 0;
      double squareOfOthers = 0;
      for (int k = 0; k < width; k++) {
        double others = before[k] + after[i + 1][k];
        dot += rows[i][k] * others;
        square += rows[i][k] * rows[i][k];
        squareOfOthers += others * others;
        before[k] += rows[i][k];
      }
      if (square > 0 && squareOfOthers > 0) {
        double cosine = dot / (Math.sqrt(square) * Math.sqrt(squareOfOthers));
        coherence[usable[i]] = Math.max(-1, Math.min(1, cosine));
      }
    }
    return coherence;
  }
}
