package io.gradflow.sql;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.avro.Schema;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.data.GenericArrayData;
import org.apache.flink.table.data.GenericMapData;
import org.apache.flink.table.data.GenericRowData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.table.types.logical.VarBinaryType;
import org.apache.flink.table.types.logical.VarCharType;

/**
 * The fields of a record that a table's columns are, by their names, nested ones likewise.
 *
 * <p>Every Avro type has one SQL type: {@code STRING, BYTES, INT, BIGINT, FLOAT, DOUBLE, BOOLEAN,
 * ARRAY, MAP, ROW}; {@code NOT NULL} is possible where the field has no null.
 */
final class RecordFields {
  private final Schema schema;
  private final Convert[] converts;

  /** Turns a plain value, as {@link io.gradflow.schema.Decoder#ofFields} has it, into Flink's. */
  private interface Convert {
    Object convert(Object value);
  }

  /** The part of a schema that was asked for, and how its values become Flink's. */
  private record Field(Schema schema, Convert convert) {}

  private RecordFields(Schema schema, Convert[] converts) {
    this.schema = schema;
    this.converts = converts;
  }

  /**
   * The fields of a record that columns ask for.
   *
   * @throws ValidationException if the record has no field of a column's name, or one of another
   *     type; names the column
   */
  static RecordFields of(Schema record, RowType columns) {
    return of(record, columns, "");
  }

  private static RecordFields of(Schema record, RowType columns, String prefix) {
    List<Schema.Field> fields = new ArrayList<>();
    Convert[] converts = new Convert[columns.getFieldCount()];
    for (RowType.RowField column : columns.getFields()) {
      String name = prefix + column.getName();
      Schema.Field field = record.getField(column.getName());
      if (field == null) {
        throw unknown(name, column.getName(), record);
      }
      Field chosen = choose(field.schema(), column.getType(), name);
      converts[fields.size()] = chosen.convert();
      fields.add(new Schema.Field(field, chosen.schema()));
    }
    Schema chosen =
        Schema.createRecord(
            record.getName(), record.getDoc(), record.getNamespace(), false, fields);
    return new RecordFields(chosen, converts);
  }

  /** The chosen fields, in the order of the columns. */
  Schema schema() {
    return schema;
  }

  /** The row of the chosen fields' values. */
  RowData row(Object[] values) {
    GenericRowData row = new GenericRowData(values.length);
    for (int i = 0; i < values.length; i++) {
      row.setField(i, values[i] == null ? null : converts[i].convert(values[i]));
    }
    return row;
  }

  private static Field choose(Schema schema, LogicalType column, String name) {
    if (schema.getType() == Schema.Type.UNION) {
      // Of null and one other, as the schemas are checked for when they are loaded.
      List<Schema> branches = schema.getTypes();
      int nullIndex = branches.get(0).getType() == Schema.Type.NULL ? 0 : 1;
      require(column.isNullable(), schema, column, name);
      Field other = choose(branches.get(1 - nullIndex), column, name);
      List<Schema> chosen = new ArrayList<>(branches);
      chosen.set(1 - nullIndex, other.schema());
      return new Field(Schema.createUnion(chosen), other.convert());
    }
    return switch (column.getTypeRoot()) {
      case VARCHAR -> {
        require(
            schema.getType() == Schema.Type.STRING
                && ((VarCharType) column).getLength() == VarCharType.MAX_LENGTH,
            schema,
            column,
            name);
        yield new Field(schema, text -> StringData.fromString((String) text));
      }
      case VARBINARY -> {
        require(
            ((VarBinaryType) column).getLength() == VarBinaryType.MAX_LENGTH, schema, column, name);
        yield same(Schema.Type.BYTES, schema, column, name);
      }
      case INTEGER -> same(Schema.Type.INT, schema, column, name);
      case BIGINT -> same(Schema.Type.LONG, schema, column, name);
      case FLOAT -> same(Schema.Type.FLOAT, schema, column, name);
      case DOUBLE -> same(Schema.Type.DOUBLE, schema, column, name);
      case BOOLEAN -> same(Schema.Type.BOOLEAN, schema, column, name);
      case ROW -> {
        require(schema.getType() == Schema.Type.RECORD, schema, column, name);
        RecordFields nested = of(schema, (RowType) column, name + ".");
        yield new Field(nested.schema(), values -> nested.row((Object[]) values));
      }
      case ARRAY -> {
        require(schema.getType() == Schema.Type.ARRAY, schema, column, name);
        yield array(schema.getElementType(), ((ArrayType) column).getElementType(), name);
      }
      case MAP -> {
        require(schema.getType() == Schema.Type.MAP, schema, column, name);
        MapType map = (MapType) column;
        choose(Schema.create(Schema.Type.STRING), map.getKeyType(), name + " (keys)");
        Field item = choose(schema.getValueType(), map.getValueType(), name + " (values)");
        yield new Field(
            Schema.createMap(item.schema()), values -> map((Map<?, ?>) values, item.convert()));
      }
      default -> throw mismatch(schema, column, name);
    };
  }

  private static Field same(Schema.Type type, Schema schema, LogicalType column, String name) {
    require(schema.getType() == type, schema, column, name);
    return new Field(schema, value -> value);
  }

  private static Field array(Schema items, LogicalType column, String name) {
    Field item = choose(items, column, name + "[]");
    boolean nullable = items.getType() == Schema.Type.UNION;
    return new Field(
        Schema.createArray(item.schema()),
        values -> {
          if (values instanceof double[] numbers) {
            return nullable ? withNulls(numbers) : new GenericArrayData(numbers);
          }
          if (values instanceof float[] numbers) {
            return nullable ? withNulls(numbers) : new GenericArrayData(numbers);
          }
          if (values instanceof long[] numbers) {
            return new GenericArrayData(numbers);
          }
          if (values instanceof int[] numbers) {
            return new GenericArrayData(numbers);
          }
          return new GenericArrayData(
              ((List<?>) values).stream().map(item.convert()::convert).toArray());
        });
  }

  private static GenericArrayData withNulls(double[] numbers) {
    Object[] items = new Object[numbers.length];
    for (int i = 0; i < items.length; i++) {
      items[i] = Double.isNaN(numbers[i]) ? null : (Object) numbers[i];
    }
    return new GenericArrayData(items);
  }

  private static GenericArrayData withNulls(float[] numbers) {
    Object[] items = new Object[numbers.length];
    for (int i = 0; i < items.length; i++) {
      items[i] = Float.isNaN(numbers[i]) ? null : (Object) numbers[i];
    }
    return new GenericArrayData(items);
  }

  private static GenericMapData map(Map<?, ?> values, Convert item) {
    Map<Object, Object> map = new HashMap<>();
    values.forEach(
        (key, value) -> map.put(StringData.fromString((String) key), item.convert(value)));
    return new GenericMapData(map);
  }

  private static void require(boolean fits, Schema schema, LogicalType column, String name) {
    if (!fits) {
      throw mismatch(schema, column, name);
    }
  }

  private static ValidationException mismatch(Schema schema, LogicalType column, String name) {
    return new ValidationException(
        "column %s: expected %s, got %s"
            .formatted(name, sqlType(schema), column.asSummaryString()));
  }

  private static ValidationException unknown(String column, String field, Schema record) {
    List<String> names = record.getFields().stream().map(Schema.Field::name).toList();
    String hint =
        names.stream()
            .filter(
                name ->
                    name.toLowerCase(Locale.ROOT)
                        .equals(field.toLowerCase(Locale.ROOT).replace("_", "")))
            .map(name -> "write " + name + ", as the field is called")
            .findFirst()
            .orElse("its fields are " + String.join(", ", names));
    return new ValidationException(
        "column %s: expected a field of %s, got none of that name: %s"
            .formatted(column, record.getName(), hint));
  }

  /** The type that a column of the field is declared with. */
  static String sqlType(Schema schema) {
    return switch (schema.getType()) {
      case STRING -> "STRING";
      case BYTES -> "BYTES";
      case INT -> "INT";
      case LONG -> "BIGINT";
      case FLOAT -> "FLOAT";
      case DOUBLE -> "DOUBLE";
      case BOOLEAN -> "BOOLEAN";
      case ARRAY -> "ARRAY<" + sqlType(schema.getElementType()) + ">";
      case MAP -> "MAP<STRING, " + sqlType(schema.getValueType()) + ">";
      case UNION ->
          schema.getTypes().stream()
              .filter(branch -> branch.getType() != Schema.Type.NULL)
              .map(RecordFields::sqlType)
              .collect(Collectors.joining());
      case RECORD ->
          schema.getFields().stream()
              .map(field -> "`" + field.name() + "` " + sqlType(field.schema()))
              .collect(Collectors.joining(", ", "ROW<", ">"));
      default -> throw new IllegalStateException("columns cannot hold " + schema);
    };
  }
}
