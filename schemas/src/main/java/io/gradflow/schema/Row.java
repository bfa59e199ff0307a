package io.gradflow.schema;

import java.util.List;
import java.util.Map;

/**
 * One Avro record in plain Java values: {@code String, Integer, Long, Double, Boolean, byte[]};
 * arrays of numbers as primitive arrays, where NaN stands for null if the items are nullable; other
 * arrays as {@code List}, maps as {@code Map}, records as {@link Row}; null for null.
 */
final class Row {
  private final RowType type;
  private final Object[] values;

  Row(RowType type, Object[] values) {
    this.type = type;
    this.values = values;
  }

  RowType type() {
    return type;
  }

  Object get(int position) {
    return values[position];
  }

  Row set(String field, Object value) {
    values[type.position(field)] = value;
    return this;
  }

  /** A row of the records this field holds, with their defaults. */
  Row nested(String field) {
    return type.nested(field).row();
  }

  String text(String field) {
    return (String) get(field);
  }

  int integer(String field) {
    return (Integer) get(field);
  }

  Integer optionalInteger(String field) {
    return (Integer) get(field);
  }

  long number(String field) {
    return (Long) get(field);
  }

  Long optionalNumber(String field) {
    return (Long) get(field);
  }

  double real(String field) {
    return (Double) get(field);
  }

  Double optionalReal(String field) {
    return (Double) get(field);
  }

  boolean flag(String field) {
    return (Boolean) get(field);
  }

  byte[] bytes(String field) {
    return (byte[]) get(field);
  }

  int[] ints(String field) {
    return (int[]) get(field);
  }

  long[] longs(String field) {
    return (long[]) get(field);
  }

  float[] floats(String field) {
    return (float[]) get(field);
  }

  double[] doubles(String field) {
    return (double[]) get(field);
  }

  Row record(String field) {
    return (Row) get(field);
  }

  @SuppressWarnings("unchecked") // RowType and RowReader put nothing else there
  List<Row> records(String field) {
    return (List<Row>) get(field);
  }

  @SuppressWarnings("unchecked") // as above
  List<String> texts(String field) {
    return (List<String>) get(field);
  }

  @SuppressWarnings("unchecked") // as above
  <V> Map<String, V> map(String field) {
    return (Map<String, V>) get(field);
  }

  /** The constant a text field names; refused where it names none. */
  <E extends Enum<E>> E constant(String field, Class<E> constants) {
    return constant(field, text(field), constants);
  }

  /** The constant a word of a field names; refused where it names none. */
  static <E extends Enum<E>> E constant(String field, String word, Class<E> constants) {
    for (E constant : constants.getEnumConstants()) {
      if (constant.name().equals(word)) {
        return constant;
      }
    }
    throw Malformed.header(
        "expected "
            + field
            + " to be one of "
            + List.of(constants.getEnumConstants())
            + ", got "
            + Excerpt.of(word));
  }

  private Object get(String field) {
    return values[type.position(field)];
  }
}
