package io.gradflow.schema;

import java.lang.reflect.Array;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Cuts columns at the same positions and puts them together again; absent ones stay absent. */
final class Columns {
  private Columns() {}

  /** Where part {@code part} of {@code parts} begins in {@code size} positions. */
  static int start(int size, int parts, int part) {
    return (int) ((long) size * part / parts);
  }

  static int[] slice(int[] column, int from, int to) {
    return column == null ? null : Arrays.copyOfRange(column, from, to);
  }

  static long[] slice(long[] column, int from, int to) {
    return column == null ? null : Arrays.copyOfRange(column, from, to);
  }

  static float[] slice(float[] column, int from, int to) {
    return column == null ? null : Arrays.copyOfRange(column, from, to);
  }

  static double[] slice(double[] column, int from, int to) {
    return column == null ? null : Arrays.copyOfRange(column, from, to);
  }

  /**
   * A column of all parts, one after the other; null if no part has it.
   *
   * @param <C> an array of a primitive type
   */
  static <P, C> C join(List<P> parts, Function<P, C> column) {
    List<C> columns = parts.stream().map(column).filter(Objects::nonNull).toList();
    if (columns.isEmpty()) {
      return null;
    }
    int size = columns.stream().mapToInt(Array::getLength).sum();
    @SuppressWarnings("unchecked") // an array of the same component type
    C whole = (C) Array.newInstance(columns.get(0).getClass().getComponentType(), size);
    int at = 0;
    for (C part : columns) {
      System.arraycopy(part, 0, whole, at, Array.getLength(part));
      at += Array.getLength(part);
    }
    return whole;
  }

  /** The offsets of the rows of all parts, one after the other. */
  static int[] joinOffsets(List<int[]> parts) {
    IntStream.Builder offsets = IntStream.builder();
    int base = 0;
    offsets.add(0);
    for (int[] own : parts) {
      for (int i = 1; i < own.length; i++) {
        offsets.add(base + own[i]);
      }
      base += own[own.length - 1];
    }
    return offsets.build().toArray();
  }
}
