package io.gradflow.training;

/**
 * Matrix products over row-major float arrays. Written as sums of scaled rows, four at a time: the
 * JIT compiler vectorises this form and cannot vectorise dot products, as float addition is not
 * associative.
 */
public final class Products {

  private Products() {}

  /** {@code c += a b}, where a is rows x inner, b is inner x columns. */
  public static void add(float[] c, float[] a, float[] b, int rows, int inner, int columns) {
    for (int r = 0; r < rows; r++) {
      addScaledRows(c, r * columns, a, r * inner, 1, b, inner, columns);
    }
  }

  /** {@code c += transpose(a) b}, where a is inner x rows, b is inner x columns. */
  public static void addTransposed(
      float[] c, float[] a, float[] b, int rows, int inner, int columns) {
    for (int r = 0; r < rows; r++) {
      addScaledRows(c, r * columns, a, r, rows, b, inner, columns);
    }
  }

  /** {@code to = transpose(from)}, where from is rows x columns. */
  public static void transpose(float[] from, float[] to, int rows, int columns) {
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < columns; c++) {
        to[c * rows + r] = from[r * columns + c];
      }
    }
  }

  /** Adds to {@code sum} (one row) every row of a, which has that many columns. */
  public static void addColumnSums(float[] sum, float[] a, int rows) {
    int columns = sum.length;
    for (int r = 0; r < rows; r++) {
      int row = r * columns;
      for (int c = 0; c < columns; c++) {
        sum[c] += a[row + c];
      }
    }
  }

  /** Writes {@code row} into every row of a. */
  public static void fillRows(float[] a, float[] row, int rows) {
    for (int r = 0; r < rows; r++) {
      System.arraycopy(row, 0, a, r * row.length, row.length);
    }
  }

  private static void addScaledRows(
      float[] c, int cAt, float[] a, int aAt, int aStride, float[] b, int rowsOfB, int columns) {
    int i = 0;
    for (; i + 3 < rowsOfB; i += 4) {
      float a0 = a[aAt + i * aStride];
      float a1 = a[aAt + (i + 1) * aStride];
      float a2 = a[aAt + (i + 2) * aStride];
      float a3 = a[aAt + (i + 3) * aStride];
      int b0 = i * columns;
      int b1 = b0 + columns;
      int b2 = b1 + columns;
      int b3 = b2 + columns;
      for (int j = 0; j < columns; j++) {
        c[cAt + j] += (a0 * b[b0 + j] + a1 * b[b1 + j]) + (a2 * b[b2 + j] + a3 * b[b3 + j]);
      }
    }
    for (; i < rowsOfB; i++) {
      float a0 = a[aAt + i * aStride];
      int b0 = i * columns;
      for (int j = 0; j < columns; j++) {
        c[cAt + j] += a0 * b[b0 + j];
      }
    }
  }
}
