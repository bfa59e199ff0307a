package io.gradflow.sql;

import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.net.URI;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.metrics.Counter;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.types.logical.RowType;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Turns the values of one topic into rows of the declared columns. A deletion gives no row. */
final class GradflowDeserializationSchema implements DeserializationSchema<RowData> {
  /** Counts the values passed over, in the metric group of the source. */
  static final String PASSED_OVER_METRIC = "gradflowValuesPassedOver";

  private static final Logger LOG = LoggerFactory.getLogger(GradflowDeserializationSchema.class);

  private final Topic topic;
  private final RowType columns;
  private final TypeInformation<RowData> produced;
  private final URI registry;
  private final Unreadable unreadable;

  private transient RecordFields fields;
  private transient Decoder<Object[]> decoder;
  private transient Counter passedOver;

  /**
   * @param columns as {@link RecordFields} takes them
   * @param registry null: none
   */
  GradflowDeserializationSchema(
      Topic topic,
      RowType columns,
      TypeInformation<RowData> produced,
      URI registry,
      Unreadable unreadable) {
    this.topic = topic;
    this.columns = columns;
    this.produced = produced;
    this.registry = registry;
    this.unreadable = unreadable;
  }

  @Override
  public void open(InitializationContext context) {
    fields = RecordFields.of(topic.schema(), columns);
    WriterSchemas writers =
        registry == null ? WriterSchemas.known() : WriterSchemas.withRegistry(registry);
    decoder = Decoder.ofFields(topic, fields.schema(), writers);
    passedOver = context.getMetricGroup().counter(PASSED_OVER_METRIC);
  }

  /**
   * The row of a value; null for a deletion, and for a value that is passed over.
   *
   * @throws IOException if the value cannot be read and fails the query
   */
  @Override
  public RowData deserialize(byte[] value) throws IOException {
    if (value == null) {
      return null;
    }
    Decoded<Object[]> decoded = decoder.decode(value, null);
    if (decoded.value() != null) {
      return fields.row(decoded.value());
    }
    String why = decoded.failure().detail();
    if (unreadable == Unreadable.FAILS) {
      throw new IOException(
          "cannot read a value of %d bytes; %s; 'ignore-parse-errors' of format 'gradflow' passes over such values"
              .formatted(value.length, why));
    }
    if (passedOver.getCount() == 0) {
      LOG.warn(
          "Passing over a value of {} bytes; {}; further ones are counted only", value.length, why);
    }
    passedOver.inc();
    return null;
  }

  @Override
  public boolean isEndOfStream(RowData next) {
    return false;
  }

  @Override
  public TypeInformation<RowData> getProducedType() {
    return produced;
  }
}
