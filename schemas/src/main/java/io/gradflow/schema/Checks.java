package io.gradflow.schema;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.NonFinite;
import java.util.Arrays;
import java.util.List;

/** What every record must satisfy before it is believed; sentences say expected and got. */
final class Checks {
  /** Ranks of the largest training that is believed; bounds everything indexed by rank. */
  static final int MAX_RANKS = 1 << 20;

  static final int MAX_NAME_LENGTH = 500;
  private static final int MAX_PARTS = 100_000;

  private Checks() {}

  static StepId stepId(Row row) {
    return new StepId(
        name(row, "runId"),
        notNegative(row, "attempt"),
        name(row, "stream"),
        notNegative(row, "step"));
  }

  static String name(Row row, String field) {
    return name(field, row.text(field));
  }

  static String name(String field, String name) {
    if (name.isEmpty() || name.length() > MAX_NAME_LENGTH) {
      throw Malformed.header(
          "expected "
              + field
              + " to have 1 to "
              + MAX_NAME_LENGTH
              + " characters, got "
              + name.length());
    }
    return name;
  }

  static long notNegative(Row row, String field) {
    long value = row.number(field);
    if (value < 0) {
      throw Malformed.header("expected " + field + " not to be negative, got " + value);
    }
    return value;
  }

  /** An int field of {@code low} to {@code high}, both included. */
  static int within(Row row, String field, int low, int high) {
    int value = row.integer(field);
    if (value < low || value > high) {
      throw Malformed.header("expected " + field + " of " + low + " to " + high + ", got " + value);
    }
    return value;
  }

  static int rank(Row row, String field) {
    return within(row, field, 0, MAX_RANKS - 1);
  }

  static int parts(Row row) {
    int parts = within(row, "parts", 1, MAX_PARTS);
    within(row, "part", 0, parts - 1);
    return parts;
  }

  /** A first index and a count whose sum is still an index. */
  static int firstLayer(Row row, int count) {
    return within(row, "firstLayer", 0, Integer.MAX_VALUE - count);
  }

  static double finiteNotNegative(Row row, String field) {
    return finiteNotNegative(field, row.real(field));
  }

  /** Likewise of a field that may be null. */
  static Double optionalFiniteNotNegative(Row row, String field) {
    Double value = row.optionalReal(field);
    return value == null ? null : Double.valueOf(finiteNotNegative(field, value));
  }

  private static double finiteNotNegative(String field, double value) {
    if (!(value >= 0 && value < Double.POSITIVE_INFINITY)) {
      throw Malformed.header("expected " + field + " to be finite and not negative, got " + value);
    }
    return value;
  }

  /** A share of a whole, 0 to 1. */
  static double share(Row row, String field) {
    double value = row.real(field);
    if (!(value >= 0 && value <= 1)) {
      throw Malformed.header("expected " + field + " of 0 to 1, got " + value);
    }
    return value;
  }

  /** A column, if present, has this length. */
  static void aligned(String field, Object column, int length, int expected) {
    if (column != null && length != expected) {
      throw Malformed.columns("expected " + expected + " values in " + field + ", got " + length);
    }
  }

  static void aligned(String field, double[] column, int expected) {
    aligned(field, column, column == null ? 0 : column.length, expected);
  }

  static void aligned(String field, float[] column, int expected) {
    aligned(field, column, column == null ? 0 : column.length, expected);
  }

  static void aligned(String field, long[] column, int expected) {
    aligned(field, column, column == null ? 0 : column.length, expected);
  }

  static void aligned(String field, int[] column, int expected) {
    aligned(field, column, column == null ? 0 : column.length, expected);
  }

  static void ascending(String field, int[] column) {
    int previous = -1;
    for (int value : column) {
      if (value <= previous) {
        throw Malformed.columns(
            "expected " + field + " ascending from 0, got " + value + " after " + previous);
      }
      previous = value;
    }
  }

  static void notNegative(String field, long[] column, long lowest) {
    if (column != null) {
      for (long value : column) {
        if (value < lowest) {
          throw Malformed.columns(
              "expected no count below " + lowest + " in " + field + ", got " + value);
        }
      }
    }
  }

  /** Magnitudes: finite, not negative. */
  static void magnitudes(String field, float[] column) {
    if (column != null) {
      for (float value : column) {
        if (!(value >= 0 && value <= Float.MAX_VALUE)) {
          throw Malformed.columns(
              "expected finite magnitudes in "
                  + field
                  + " (non-finite elements are counted apart,"
                  + " an overflow is 3.4028235e38), got "
                  + value);
        }
      }
    }
  }

  /** Magnitudes as {@link #magnitudes}, or NaN where one is unknown. */
  static void knownMagnitudes(String field, float[] column) {
    if (column != null) {
      for (float value : column) {
        if (value < 0 || value > Float.MAX_VALUE) {
          throw Malformed.columns(
              "expected finite magnitudes in " + field + ", or NaN for unknown, got " + value);
        }
      }
    }
  }

  /** Finite numbers, or NaN where one is unknown. */
  static void finiteOrUnknown(String field, float[] column) {
    if (column != null) {
      for (float value : column) {
        if (Float.isInfinite(value)) {
          throw Malformed.columns(
              "expected finite numbers in " + field + ", or NaN for unknown, got " + value);
        }
      }
    }
  }

  /** How many values a column of {@code rows} rows has; they must fit an array. */
  static int cells(String field, int rows, int width) {
    long cells = (long) rows * width;
    if (cells > Integer.MAX_VALUE) {
      throw Malformed.columns("expected " + field + " to fit an array, got " + cells + " values");
    }
    return (int) cells;
  }

  /** Rows of a sparse column: as many offsets as rows and one, from 0 on, not falling. */
  static void offsets(String field, int[] offsets, int rows, int cells) {
    aligned(field, offsets, rows + 1);
    int previous = 0;
    for (int offset : offsets) {
      if (offset < previous || offset > cells) {
        throw Malformed.columns(
            "expected "
                + field
                + " not to fall and to stay within "
                + cells
                + " bins, got "
                + offset
                + " after "
                + previous);
      }
      previous = offset;
    }
  }

  /** The sparse non-finite counts; null when all is finite. */
  static NonFinite nonFinite(Row row) {
    int[] layers = row.ints("nonFiniteLayers");
    if (layers == null) {
      return null;
    }
    ascending("nonFiniteLayers", layers);
    for (String field : List.of("nans", "posInfs", "negInfs")) {
      long[] column = row.longs(field);
      if (column == null) {
        throw Malformed.columns("expected " + field + " beside nonFiniteLayers, got none");
      }
      aligned(field, column, layers.length);
      notNegative(field, column, 0);
    }
    return new NonFinite(layers, row.longs("nans"), row.longs("posInfs"), row.longs("negInfs"));
  }

  static void setNonFinite(Row row, NonFinite nonFinite) {
    if (nonFinite != null) {
      row.set("nonFiniteLayers", nonFinite.layers())
          .set("nans", nonFinite.nans())
          .set("posInfs", nonFinite.posInfs())
          .set("negInfs", nonFinite.negInfs());
    }
  }

  /** The counts of the layers from {@code first} to before {@code end}; null if there are none. */
  static NonFinite slice(NonFinite nonFinite, int first, int end) {
    if (nonFinite == null) {
      return null;
    }
    int from = lowerBound(nonFinite.layers(), first);
    int to = lowerBound(nonFinite.layers(), end);
    return from == to
        ? null
        : new NonFinite(
            Arrays.copyOfRange(nonFinite.layers(), from, to),
            Arrays.copyOfRange(nonFinite.nans(), from, to),
            Arrays.copyOfRange(nonFinite.posInfs(), from, to),
            Arrays.copyOfRange(nonFinite.negInfs(), from, to));
  }

  /** Where in an ascending array the first value not below {@code value} is or would be. */
  static int lowerBound(int[] ascending, int value) {
    int at = Arrays.binarySearch(ascending, value);
    return at >= 0 ? at : -at - 1;
  }
}
