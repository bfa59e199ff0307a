package io.gradflow.sql;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.net.httpserver.HttpServer;
import io.gradflow.schema.Topic;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.EncoderFactory;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.groups.UnregisteredMetricsGroup;
import org.apache.flink.table.api.DataTypes;
import org.apache.flink.table.data.ArrayData;
import org.apache.flink.table.data.MapData;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.data.StringData;
import org.apache.flink.table.runtime.typeutils.InternalTypeInfo;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.ArrayType;
import org.apache.flink.table.types.logical.LogicalType;
import org.apache.flink.table.types.logical.MapType;
import org.apache.flink.table.types.logical.RowType;
import org.apache.flink.util.InstantiationUtil;
import org.apache.flink.util.SimpleUserCodeClassLoader;
import org.apache.flink.util.UserCodeClassLoader;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.EnumSource.Mode;

/** Values that Avro itself writes, as rows. */
class GradflowDeserializationSchemaTest {
  private static final DataType LOSS = DataTypes.ROW(DataTypes.FIELD("loss", DataTypes.DOUBLE()));

  private final Map<String, Counter> counters = new HashMap<>();

  @ParameterizedTest
  @EnumSource(mode = Mode.EXCLUDE, names = "DEAD_LETTERS")
  void everyFieldOfEveryRecordBecomesAColumn(Topic topic) throws Exception {
    Schema schema = topic.schema();
    RowType columns = (RowType) columnType(schema).getLogicalType();
    GradflowDeserializationSchema format = format(topic, columns, null, Unreadable.FAILS);
    Random random = new Random(7);
    for (int i = 0; i < 200; i++) {
      GenericRecord record = (GenericRecord) randomValue(schema, random);

      RowData row = format.deserialize(singleObject(record));

      assertThat(plain(row, columns)).isEqualTo(plain(record));
    }
  }

  @Test
  void aNestedFieldAloneIsReadInTheOrderOfTheColumns() throws Exception {
    DataType columns =
        DataTypes.ROW(
            DataTypes.FIELD(
                "evidence",
                DataTypes.ROW(
                    DataTypes.FIELD("writtenAt", DataTypes.BIGINT()),
                    DataTypes.FIELD("ranks", DataTypes.ARRAY(DataTypes.INT())))),
            DataTypes.FIELD("step", DataTypes.BIGINT().notNull()));
    Schema evidence = branch(Topic.STEPS.schema().getField("evidence").schema());
    GenericRecord step =
        step()
            .set("step", 41L)
            .set(
                "evidence",
                new GenericRecordBuilder(evidence)
                    .set("ranks", List.of(0, 2))
                    .set("writtenAt", 17L)
                    .build())
            .build();

    RowData row = format(Topic.STEPS, columns).deserialize(singleObject(step));

    assertThat(row.getRow(0, 2).getLong(0)).isEqualTo(17);
    assertThat(row.getRow(0, 2).getArray(1).toIntArray()).containsExactly(0, 2);
    assertThat(row.getLong(1)).isEqualTo(41);
  }

  @Test
  void nanIsNullOnlyAmongItemsThatMayBeNull() throws Exception {
    DataType columns =
        DataTypes.ROW(
            DataTypes.FIELD("loss", DataTypes.DOUBLE()),
            DataTypes.FIELD("validationLoss", DataTypes.DOUBLE()),
            DataTypes.FIELD("l2", DataTypes.ARRAY(DataTypes.DOUBLE())),
            DataTypes.FIELD("finiteL2", DataTypes.ARRAY(DataTypes.DOUBLE())));
    GenericRecord step =
        step()
            .set("loss", Double.NaN)
            .set("l2", Arrays.asList(1.0, null, Double.NaN))
            .set("finiteL2", List.of(1.0, Double.NaN))
            .build();

    RowData row = format(Topic.STEPS, columns).deserialize(singleObject(step));

    assertThat(row.getDouble(0)).isNaN();
    assertThat(row.isNullAt(1)).isTrue();
    assertThat(items(row.getArray(2))).containsExactly(1.0, null, null);
    assertThat(items(row.getArray(3))).containsExactly(1.0, Double.NaN);
  }

  @Test
  void whatAnEarlierWriterDoesNotSayHasTheDefaultOfTheSchema() throws Exception {
    DataType columns =
        DataTypes.ROW(
            DataTypes.FIELD("stream", DataTypes.STRING()),
            DataTypes.FIELD("loss", DataTypes.DOUBLE()),
            DataTypes.FIELD("step", DataTypes.BIGINT()));
    Schema earlier =
        Schema.createRecord(
            "GradientStep",
            null,
            "io.gradflow.schema",
            false,
            List.of(new Schema.Field("step", Schema.create(Schema.Type.INT))));
    GenericRecord step = new GenericRecordBuilder(earlier).set("step", 5).build();
    HttpServer registry = registry(earlier);
    try {
      RowData row =
          format(
                  Topic.STEPS,
                  (RowType) columns.getLogicalType(),
                  URI.create("http://127.0.0.1:" + registry.getAddress().getPort()),
                  Unreadable.FAILS)
              .deserialize(confluent(12, step));

      assertThat(row.getString(0)).hasToString("main");
      assertThat(row.isNullAt(1)).isTrue();
      assertThat(row.getLong(2)).isEqualTo(5);
    } finally {
      registry.stop(0);
    }
  }

  @Test
  void aSchemaIdWithoutARegistrySaysWhichOptionIsMissing() {
    assertThatThrownBy(() -> format(Topic.STEPS, LOSS).deserialize(confluent(12, step().build())))
        .isInstanceOf(IOException.class)
        .hasMessageMatching(
            "cannot read a value of \\d+ bytes; gradient-steps: expected a configured schema"
                + " registry for a record with schema id 12, got none: set"
                + " gradflow.schema.registry.url; 'ignore-parse-errors' of format 'gradflow' passes"
                + " over such values");
  }

  @Test
  void aValueOfAnotherTopicIsNoNull() throws Exception {
    GenericRecord capture = (GenericRecord) randomValue(Topic.CAPTURES.schema(), new Random(1));

    assertThatThrownBy(() -> format(Topic.STEPS, LOSS).deserialize(singleObject(capture)))
        .hasMessageContaining(
            "gradient-steps: expected a record GradientStep, got"
                + " \"io.gradflow.schema.GradientCapture\"");
  }

  @Test
  void whatIsPassedOverIsCounted() throws Exception {
    byte[] good = singleObject(step().set("loss", 0.5).build());
    GradflowDeserializationSchema format =
        format(Topic.STEPS, (RowType) LOSS.getLogicalType(), null, Unreadable.PASSED_OVER);

    assertThat(format.deserialize("nothing".getBytes(StandardCharsets.UTF_8))).isNull();
    assertThat(format.deserialize(Arrays.copyOf(good, good.length - 1))).isNull();
    assertThat(format.deserialize(good).getDouble(0)).isEqualTo(0.5);

    assertThat(counters.get(GradflowDeserializationSchema.PASSED_OVER_METRIC).getCount())
        .isEqualTo(2);
  }

  @Test
  void aDeletionIsNoRowAndNoError() throws Exception {
    assertThat(format(Topic.MANIFESTS, DataTypes.ROW()).deserialize(null)).isNull();
    assertThat(counters.get(GradflowDeserializationSchema.PASSED_OVER_METRIC).getCount()).isZero();
  }

  @Test
  void aTableOfNoFieldsHasARowForEveryValue() throws Exception {
    RowData row = format(Topic.STEPS, DataTypes.ROW()).deserialize(singleObject(step().build()));

    assertThat(row.getArity()).isZero();
  }

  private GradflowDeserializationSchema format(Topic topic, DataType columns) throws Exception {
    return format(topic, (RowType) columns.getLogicalType(), null, Unreadable.FAILS);
  }

  /** As it comes to a task: serialised and opened. */
  private GradflowDeserializationSchema format(
      Topic topic, RowType columns, URI registry, Unreadable unreadable) throws Exception {
    GradflowDeserializationSchema format =
        InstantiationUtil.clone(
            new GradflowDeserializationSchema(
                topic, columns, InternalTypeInfo.of(columns), registry, unreadable));
    format.open(
        new DeserializationSchema.InitializationContext() {
          @Override
          public MetricGroup getMetricGroup() {
            return new UnregisteredMetricsGroup() {
              @Override
              public Counter counter(String name) {
                return counters.computeIfAbsent(name, super::counter);
              }
            };
          }

          @Override
          public UserCodeClassLoader getUserCodeClassLoader() {
            return SimpleUserCodeClassLoader.create(getClass().getClassLoader());
          }
        });
    return format;
  }

  private static GenericRecordBuilder step() {
    return new GenericRecordBuilder(Topic.STEPS.schema())
        .set("runId", "run")
        .set("attempt", 1L)
        .set("step", 0L)
        .set("manifestId", 1L)
        .set("revision", 1L)
        .set("closedBy", "COMPLETE")
        .set("completeness", 1.0)
        .set("worldSize", 4);
  }

  private static HttpServer registry(Schema schema) throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    byte[] answer =
        "{\"schema\":\"%s\"}"
            .formatted(schema.toString().replace("\"", "\\\""))
            .getBytes(StandardCharsets.UTF_8);
    server.createContext(
        "/schemas/ids/12",
        exchange -> {
          exchange.sendResponseHeaders(200, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    server.start();
    return server;
  }

  private static byte[] singleObject(GenericRecord record) throws IOException {
    byte[] header =
        ByteBuffer.allocate(10)
            .order(ByteOrder.LITTLE_ENDIAN)
            .put((byte) 0xC3)
            .put((byte) 1)
            .putLong(SchemaNormalization.parsingFingerprint64(record.getSchema()))
            .array();
    return written(header, record);
  }

  private static byte[] confluent(int id, GenericRecord record) throws IOException {
    return written(ByteBuffer.allocate(5).put((byte) 0).putInt(id).array(), record);
  }

  private static byte[] written(byte[] header, GenericRecord record) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.write(header);
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
    new GenericDatumWriter<GenericRecord>(record.getSchema()).write(record, encoder);
    encoder.flush();
    return out.toByteArray();
  }

  private static Schema branch(Schema union) {
    return union.getTypes().stream()
        .filter(type -> type.getType() != Schema.Type.NULL)
        .findFirst()
        .orElseThrow();
  }

  private static Object randomValue(Schema schema, Random random) {
    return switch (schema.getType()) {
      case STRING -> "é|" + random.nextInt(1000);
      case BYTES -> ByteBuffer.wrap(new byte[] {(byte) random.nextInt(), 2});
      case INT -> random.nextInt();
      case LONG -> random.nextLong();
      case FLOAT -> (float) random.nextGaussian();
      case DOUBLE -> random.nextGaussian();
      case BOOLEAN -> random.nextBoolean();
      case UNION -> random.nextInt(4) == 0 ? null : randomValue(branch(schema), random);
      case ARRAY -> {
        GenericData.Array<Object> array = new GenericData.Array<>(3, schema);
        for (int n = random.nextInt(4); n > 0; n--) {
          array.add(randomValue(schema.getElementType(), random));
        }
        yield array;
      }
      case MAP -> {
        Map<String, Object> map = new HashMap<>();
        for (int n = random.nextInt(4); n > 0; n--) {
          map.put("key" + n, randomValue(schema.getValueType(), random));
        }
        yield map;
      }
      case RECORD -> {
        GenericData.Record record = new GenericData.Record(schema);
        schema
            .getFields()
            .forEach(field -> record.put(field.pos(), randomValue(field.schema(), random)));
        yield record;
      }
      default -> throw new AssertionError("no topic has a " + schema);
    };
  }

  private static DataType columnType(Schema schema) {
    return switch (schema.getType()) {
      case STRING -> DataTypes.STRING();
      case BYTES -> DataTypes.BYTES();
      case INT -> DataTypes.INT();
      case LONG -> DataTypes.BIGINT();
      case FLOAT -> DataTypes.FLOAT();
      case DOUBLE -> DataTypes.DOUBLE();
      case BOOLEAN -> DataTypes.BOOLEAN();
      case UNION -> columnType(branch(schema));
      case ARRAY -> DataTypes.ARRAY(columnType(schema.getElementType()));
      case MAP -> DataTypes.MAP(DataTypes.STRING(), columnType(schema.getValueType()));
      case RECORD ->
          DataTypes.ROW(
              schema.getFields().stream()
                  .map(field -> DataTypes.FIELD(field.name(), columnType(field.schema())))
                  .toList());
      default -> throw new AssertionError("no topic has a " + schema);
    };
  }

  /** Avro's values as lists, maps and plain values. */
  private static Object plain(Object value) {
    if (value instanceof GenericRecord record) {
      List<Object> fields = new ArrayList<>();
      record.getSchema().getFields().forEach(field -> fields.add(plain(record.get(field.pos()))));
      return fields;
    }
    if (value instanceof List<?> list) {
      List<Object> items = new ArrayList<>();
      list.forEach(item -> items.add(plain(item)));
      return items;
    }
    return value;
  }

  /** Flink's values likewise. */
  private static Object plain(Object value, LogicalType type) {
    if (value instanceof RowData row) {
      List<Object> fields = new ArrayList<>();
      for (int i = 0; i < row.getArity(); i++) {
        LogicalType field = type.getChildren().get(i);
        fields.add(plain(RowData.createFieldGetter(field, i).getFieldOrNull(row), field));
      }
      return fields;
    }
    if (value instanceof ArrayData array) {
      LogicalType item = ((ArrayType) type).getElementType();
      ArrayData.ElementGetter getter = ArrayData.createElementGetter(item);
      List<Object> items = new ArrayList<>();
      for (int i = 0; i < array.size(); i++) {
        items.add(plain(getter.getElementOrNull(array, i), item));
      }
      return items;
    }
    if (value instanceof MapData map) {
      MapType types = (MapType) type;
      Map<Object, Object> items = new HashMap<>();
      ArrayData.ElementGetter keys = ArrayData.createElementGetter(types.getKeyType());
      ArrayData.ElementGetter values = ArrayData.createElementGetter(types.getValueType());
      for (int i = 0; i < map.size(); i++) {
        items.put(
            keys.getElementOrNull(map.keyArray(), i).toString(),
            plain(values.getElementOrNull(map.valueArray(), i), types.getValueType()));
      }
      return items;
    }
    if (value instanceof byte[] bytes) {
      return ByteBuffer.wrap(bytes);
    }
    return value instanceof StringData ? value.toString() : value;
  }

  private static List<Object> items(ArrayData array) {
    List<Object> items = new ArrayList<>();
    for (int i = 0; i < array.size(); i++) {
      items.add(array.isNullAt(i) ? null : array.getDouble(i));
    }
    return items;
  }
}
