package io.gradflow.schema;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.JsonProperties;
import org.apache.avro.Schema;

/**
 * How rows of one record schema of this build are laid out and written.
 *
 * <p>Assumes a schema of the project's own: no enum, no recursion, unions only of null and one
 * other type. A schema beyond that fails here, when the class is loaded by the first test.
 */
final class RowType {
  private final Schema schema;
  private final Map<String, Integer> positions = new HashMap<>();
  private final Write[] writes;
  private final RowType[] nested;
  private final Object[] defaults;

  /** Writes one value; null only where the schema has null. */
  private interface Write {
    void write(ByteWriter out, Object value);
  }

  private RowType(Schema schema) {
    this.schema = schema;
    List<Schema.Field> fields = schema.getFields();
    writes = new Write[fields.size()];
    nested = new RowType[fields.size()];
    defaults = new Object[fields.size()];
    for (int i = 0; i < fields.size(); i++) {
      Schema.Field field = fields.get(i);
      positions.put(field.name(), i);
      Schema record = recordIn(field.schema());
      nested[i] = record == null ? null : new RowType(record);
      writes[i] = write(field.schema());
      defaults[i] = field.hasDefaultValue() ? plain(field.schema(), field.defaultVal()) : null;
    }
  }

  /** The type of the schema in the resource {@code <name>.avsc} of this package. */
  static RowType load(String name) {
    String resource = name + ".avsc";
    try (InputStream in = RowType.class.getResourceAsStream(resource)) {
      if (in == null) {
        throw new IllegalStateException("the jar of gradflow-schemas lacks " + resource);
      }
      return new RowType(new Schema.Parser().parse(in));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** The type of some fields of such a schema. */
  static RowType of(Schema fields) {
    return new RowType(fields);
  }

  Schema schema() {
    return schema;
  }

  int position(String field) {
    Integer position = positions.get(field);
    if (position == null) {
      throw new IllegalArgumentException(schema.getName() + " has no field " + field);
    }
    return position;
  }

  /** The type of the records that a field holds: itself, in an array, or beside null. */
  RowType nested(String field) {
    return nested[position(field)];
  }

  RowType nested(int position) {
    return nested[position];
  }

  /** A row of defaults; null where the schema has none. */
  Row row() {
    return new Row(this, defaults());
  }

  /** The defaults by position; null where the schema has none. */
  Object[] defaults() {
    return defaults.clone();
  }

  void write(ByteWriter out, Row row) {
    for (int i = 0; i < writes.length; i++) {
      Object value = row.get(i);
      if (value == null && !isNullable(schema.getFields().get(i).schema())) {
        throw new IllegalArgumentException(
            schema.getName()
                + "."
                + schema.getFields().get(i).name()
                + ": expected a value, got null");
      }
      writes[i].write(out, value);
    }
  }

  private static Write write(Schema schema) {
    return switch (schema.getType()) {
      case STRING -> (out, v) -> out.writeString((String) v);
      case BYTES -> (out, v) -> out.writeBytes((byte[]) v);
      case INT -> (out, v) -> out.writeLong((Integer) v);
      case LONG -> (out, v) -> out.writeLong((Long) v);
      case DOUBLE -> (out, v) -> out.writeDouble((Double) v);
      case BOOLEAN -> (out, v) -> out.writeBoolean((Boolean) v);
      case RECORD -> (out, v) -> ((Row) v).type().write(out, (Row) v);
      case ARRAY -> writeArray(schema.getElementType());
      case MAP -> {
        Write value = write(schema.getValueType());
        yield (out, v) -> {
          Map<?, ?> map = (Map<?, ?>) v;
          out.startBlock(map.size());
          map.forEach(
              (key, item) -> {
                out.writeString((String) key);
                value.write(out, item);
              });
          out.endBlocks();
        };
      }
      case UNION -> {
        int nullIndex = nullIndex(schema);
        Write value = write(other(schema));
        yield (out, v) -> {
          out.writeLong(v == null ? nullIndex : 1 - nullIndex);
          if (v != null) {
            value.write(out, v);
          }
        };
      }
      default -> throw unsupported(schema);
    };
  }

  private static Write writeArray(Schema items) {
    return switch (items.getType()) {
      case FLOAT -> (out, v) -> out.writeFloats((float[]) v);
      case DOUBLE -> (out, v) -> out.writeDoubles((double[]) v);
      case LONG -> (out, v) -> out.writeLongs((long[]) v);
      case INT -> (out, v) -> out.writeInts((int[]) v);
      case UNION -> writeNullableNumbers(items);
      case STRING, RECORD -> {
        Write item = write(items);
        yield (out, v) -> {
          Collection<?> list = (Collection<?>) v;
          out.startBlock(list.size());
          list.forEach(x -> item.write(out, x));
          out.endBlocks();
        };
      }
      default -> throw unsupported(items);
    };
  }

  private static Write writeNullableNumbers(Schema items) {
    int nullIndex = nullIndex(items);
    return switch (other(items).getType()) {
      case DOUBLE ->
          (out, v) -> {
            double[] column = (double[]) v;
            out.startBlock(column.length);
            for (double value : column) {
              out.writeLong(Double.isNaN(value) ? nullIndex : 1 - nullIndex);
              if (!Double.isNaN(value)) {
                out.writeDouble(value);
              }
            }
            out.endBlocks();
          };
      case FLOAT ->
          (out, v) -> {
            float[] column = (float[]) v;
            out.startBlock(column.length);
            for (float value : column) {
              out.writeLong(Float.isNaN(value) ? nullIndex : 1 - nullIndex);
              if (!Float.isNaN(value)) {
                out.writeFloat(value);
              }
            }
            out.endBlocks();
          };
      default -> throw unsupported(items);
    };
  }

  static boolean isNullable(Schema schema) {
    return schema.getType() == Schema.Type.UNION;
  }

  static int nullIndex(Schema union) {
    return union.getTypes().get(0).getType() == Schema.Type.NULL ? 0 : 1;
  }

  /** The type beside null in a union of the project's own. */
  static Schema other(Schema union) {
    if (union.getTypes().size() != 2
        || union.getTypes().get(nullIndex(union)).getType() != Schema.Type.NULL) {
      throw unsupported(union);
    }
    return union.getTypes().get(1 - nullIndex(union));
  }

  private static Schema recordIn(Schema schema) {
    return switch (schema.getType()) {
      case RECORD -> schema;
      case ARRAY -> recordIn(schema.getElementType());
      case UNION -> recordIn(other(schema));
      default -> null;
    };
  }

  /** A default as rows hold it. */
  private static Object plain(Schema schema, Object value) {
    if (value == JsonProperties.NULL_VALUE) {
      return null;
    }
    return switch (schema.getType()) {
      case STRING, INT, LONG, DOUBLE, BOOLEAN, BYTES -> value;
      case UNION -> plain(schema.getTypes().get(0), value);
      case MAP -> Map.of();
      case ARRAY ->
          switch (schema.getElementType().getType()) {
            case FLOAT -> new float[0];
            case DOUBLE, UNION -> new double[0];
            case LONG -> new long[0];
            case INT -> new int[0];
            default -> new ArrayList<>();
          };
      default -> throw unsupported(schema);
    };
  }

  private static IllegalStateException unsupported(Schema schema) {
    return new IllegalStateException("rows cannot hold " + schema);
  }
}
