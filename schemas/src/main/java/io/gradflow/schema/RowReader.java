package io.gradflow.schema;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;

/**
 * Reads rows of one type of this build from bytes of one writer's schema, resolved field by field:
 * fields are matched by name, numbers widened as Avro allows, unknown fields skipped, missing ones
 * take their default. Built once per writer's schema.
 *
 * <p>A writer's schema is foreign: the plan follows this build's schema, which is not recursive,
 * and fields without a place here are skipped to a bounded depth.
 */
final class RowReader {
  private static final int MAX_SKIP_DEPTH = 64;

  private final RowType type;
  private final Read[] reads;

  /** Where each read value goes; -1 for those only skipped. */
  private final int[] targets;

  /** Reads one value of the writer's. */
  private interface Read {
    Object read(ByteReader in);
  }

  /**
   * Plans the reading.
   *
   * @throws Malformed if the writer's schema cannot be resolved to the type's
   */
  RowReader(Schema writer, RowType type) {
    this.type = type;
    Schema reader = type.schema();
    if (writer.getType() != Schema.Type.RECORD || !writer.getName().equals(reader.getName())) {
      throw wrong("expected a record " + reader.getName() + ", got " + nameOf(writer));
    }
    List<Schema.Field> fields = writer.getFields();
    reads = new Read[fields.size()];
    targets = new int[fields.size()];
    for (int i = 0; i < fields.size(); i++) {
      Schema.Field field = fields.get(i);
      Schema.Field own = reader.getField(field.name());
      targets[i] = own == null ? -1 : own.pos();
      reads[i] =
          own == null
              ? skipping(field.schema())
              : read(
                  field.schema(),
                  own.schema(),
                  type.nested(own.pos()),
                  reader.getName() + "." + own.name());
    }
    for (Schema.Field own : reader.getFields()) {
      if (writer.getField(own.name()) == null && !own.hasDefaultValue()) {
        throw wrong(
            "expected a field "
                + own.name()
                + " in the writer's "
                + reader.getName()
                + ", got none");
      }
    }
  }

  Row read(ByteReader in) {
    Object[] values = type.defaults();
    for (int i = 0; i < reads.length; i++) {
      Object value = reads[i].read(in);
      if (targets[i] >= 0) {
        values[targets[i]] = value;
      }
    }
    return new Row(type, values);
  }

  private static Read read(Schema writer, Schema reader, RowType nested, String where) {
    if (writer.getType() == Schema.Type.UNION) {
      return readUnion(writer, reader, nested, where);
    }
    if (writer.getType() == Schema.Type.NULL && RowType.isNullable(reader)) {
      return in -> null;
    }
    Schema.Type from = writer.getType();
    return switch (reader.getType()) {
      case UNION -> read(writer, RowType.other(reader), nested, where);
      case STRING ->
          only(
              ByteReader::readString, writer, reader, where, Schema.Type.STRING, Schema.Type.BYTES);
      case BYTES ->
          only(ByteReader::readBytes, writer, reader, where, Schema.Type.STRING, Schema.Type.BYTES);
      case BOOLEAN -> only(ByteReader::readBoolean, writer, reader, where, Schema.Type.BOOLEAN);
      case INT -> only(ByteReader::readInt, writer, reader, where, Schema.Type.INT);
      case LONG ->
          only(ByteReader::readLong, writer, reader, where, Schema.Type.INT, Schema.Type.LONG);
      case DOUBLE -> {
        ReadNumber number = readNumber(writer, reader, where);
        yield in -> number.read(in);
      }
      case ARRAY -> {
        require(from == Schema.Type.ARRAY, writer, reader, where);
        yield readArray(writer.getElementType(), reader.getElementType(), nested, where);
      }
      case MAP -> {
        require(from == Schema.Type.MAP, writer, reader, where);
        yield readMap(read(writer.getValueType(), reader.getValueType(), nested, where));
      }
      case RECORD -> {
        RowReader rows = new RowReader(writer, nested);
        yield in -> rows.read(in);
      }
      default -> throw new IllegalStateException("rows cannot hold " + reader);
    };
  }

  private static Read readUnion(Schema writer, Schema reader, RowType nested, String where) {
    List<Schema> branches = writer.getTypes();
    Read[] reads = new Read[branches.size()];
    for (int i = 0; i < reads.length; i++) {
      try {
        reads[i] = read(branches.get(i), reader, nested, where);
      } catch (Malformed unusable) {
        // As Avro has it, such a branch is an error only in a record that uses it.
        reads[i] =
            in -> {
              throw unusable;
            };
      }
    }
    return in -> reads[branch(in, reads.length)].read(in);
  }

  private static int branch(ByteReader in, int branches) {
    int branch = in.readInt();
    if (branch < 0 || branch >= branches) {
      throw Malformed.bytes("expected a union branch below " + branches + ", got " + branch);
    }
    return branch;
  }

  private static Read readArray(Schema writer, Schema reader, RowType nested, String where) {
    Schema.Type from = writer.getType();
    return switch (reader.getType()) {
      case FLOAT -> only(ByteReader::readFloats, writer, reader, where, Schema.Type.FLOAT);
      case DOUBLE -> {
        if (from == Schema.Type.DOUBLE) {
          yield in -> in.readDoubles();
        }
        yield readNumbers(readNumber(writer, reader, where));
      }
      case LONG ->
          only(ByteReader::readLongs, writer, reader, where, Schema.Type.LONG, Schema.Type.INT);
      case INT -> only(ByteReader::readInts, writer, reader, where, Schema.Type.INT);
      case UNION -> {
        Read doubles = readNumbers(readNumber(writer, reader, where));
        yield RowType.other(reader).getType() == Schema.Type.DOUBLE
            ? doubles
            : in -> narrowed((double[]) doubles.read(in));
      }
      default -> {
        Read item = read(writer, reader, nested, where);
        yield in -> {
          List<Object> list = new ArrayList<>();
          for (int n = in.readBlock(); n > 0; n = in.readBlock()) {
            for (int i = 0; i < n; i++) {
              list.add(item.read(in));
            }
          }
          return list;
        };
      }
    };
  }

  private static Read readMap(Read value) {
    return in -> {
      Map<String, Object> map = new HashMap<>();
      for (int n = in.readBlock(); n > 0; n = in.readBlock()) {
        for (int i = 0; i < n; i++) {
          map.put(in.readString(), value.read(in));
        }
      }
      return map;
    };
  }

  /** Reads one number as a double, NaN for null. */
  private interface ReadNumber {
    double read(ByteReader in);
  }

  private static ReadNumber readNumber(Schema writer, Schema reader, String where) {
    return switch (writer.getType()) {
      case DOUBLE -> ByteReader::readDouble;
      case FLOAT -> ByteReader::readFloat;
      case INT, LONG -> ByteReader::readLong;
      case NULL -> {
        require(RowType.isNullable(reader), writer, reader, where);
        yield in -> Double.NaN;
      }
      case UNION -> {
        List<Schema> branches = writer.getTypes();
        ReadNumber[] reads = new ReadNumber[branches.size()];
        for (int i = 0; i < reads.length; i++) {
          reads[i] = readNumber(branches.get(i), reader, where);
        }
        yield in -> reads[branch(in, reads.length)].read(in);
      }
      default -> throw mismatch(writer, reader, where);
    };
  }

  private static Read readNumbers(ReadNumber number) {
    return in -> {
      double[] column = new double[0];
      int size = 0;
      for (int n = in.readBlock(); n > 0; n = in.readBlock()) {
        if (size + n > column.length) {
          column = Arrays.copyOf(column, size == 0 ? n : ByteReader.grownLength(size, n));
        }
        for (int end = size + n; size < end; size++) {
          column[size] = number.read(in);
        }
      }
      return size == column.length ? column : Arrays.copyOf(column, size);
    };
  }

  private static float[] narrowed(double[] column) {
    float[] narrow = new float[column.length];
    for (int i = 0; i < column.length; i++) {
      narrow[i] = (float) column[i];
    }
    return narrow;
  }

  private static Read skipping(Schema writer) {
    return in -> {
      skip(writer, in, 0);
      return null;
    };
  }

  private static void skip(Schema writer, ByteReader in, int depth) {
    if (depth > MAX_SKIP_DEPTH) {
      throw Malformed.bytes("expected values nested at most " + MAX_SKIP_DEPTH + " deep, got more");
    }
    int before = in.remaining();
    switch (writer.getType()) {
      case NULL -> {}
      case BOOLEAN -> in.skip(1);
      case INT, LONG, ENUM -> in.readLong();
      case FLOAT -> in.skip(Float.BYTES);
      case DOUBLE -> in.skip(Double.BYTES);
      case FIXED -> in.skip(writer.getFixedSize());
      case STRING, BYTES -> in.skipBytes();
      case UNION -> {
        List<Schema> branches = writer.getTypes();
        skip(branches.get(branch(in, branches.size())), in, depth + 1);
      }
      case RECORD -> {
        for (Schema.Field field : writer.getFields()) {
          skip(field.schema(), in, depth + 1);
        }
      }
      case ARRAY -> {
        for (int n = in.readBlock(); n > 0; n = in.readBlock()) {
          for (int i = 0; i < n; i++) {
            skip(writer.getElementType(), in, depth + 1);
          }
        }
      }
      case MAP -> {
        for (int n = in.readBlock(); n > 0; n = in.readBlock()) {
          for (int i = 0; i < n; i++) {
            in.skipBytes();
            skip(writer.getValueType(), in, depth + 1);
          }
        }
      }
    }
    if (in.remaining() == before) {
      in.countEmptyValue();
    }
  }

  private static Read only(
      Read read, Schema writer, Schema reader, String where, Schema.Type... accepted) {
    require(List.of(accepted).contains(writer.getType()), writer, reader, where);
    return read;
  }

  private static void require(boolean compatible, Schema writer, Schema reader, String where) {
    if (!compatible) {
      throw mismatch(writer, reader, where);
    }
  }

  private static Malformed mismatch(Schema writer, Schema reader, String where) {
    return wrong("expected " + where + " to hold " + nameOf(reader) + ", got " + nameOf(writer));
  }

  private static Malformed wrong(String sentence) {
    return new Malformed(Undecodable.Reason.WRONG_SCHEMA, sentence);
  }

  private static String nameOf(Schema schema) {
    String name = schema.getType() == Schema.Type.RECORD ? schema.getFullName() : schema.toString();
    return Excerpt.of(name);
  }
}
