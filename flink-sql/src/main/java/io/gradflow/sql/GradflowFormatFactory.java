package io.gradflow.sql;

import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.net.URI;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.api.common.serialization.DeserializationSchema;
import org.apache.flink.api.common.serialization.SerializationSchema;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.table.api.ValidationException;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.format.DecodingFormat;
import org.apache.flink.table.connector.format.EncodingFormat;
import org.apache.flink.table.connector.source.DynamicTableSource;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DeserializationFormatFactory;
import org.apache.flink.table.factories.DynamicTableFactory;
import org.apache.flink.table.factories.FactoryUtil;
import org.apache.flink.table.factories.SerializationFormatFactory;
import org.apache.flink.table.types.DataType;
import org.apache.flink.table.types.logical.RowType;

/**
 * The format {@code gradflow}. Both framings are read; only declared columns are decoded; a column
 * that no record can fill fails when a query is planned. Nothing is written.
 */
public final class GradflowFormatFactory
    implements DeserializationFormatFactory, SerializationFormatFactory {
  /** The name in {@code 'format'} and {@code 'value.format'}. */
  public static final String IDENTIFIER = "gradflow";

  /** Which record the values are; by default the one that a topic of that name holds. */
  public static final ConfigOption<String> RECORD =
      ConfigOptions.key("record")
          .stringType()
          .noDefaultValue()
          .withDescription("Record of the values, e.g. GradientStep; default: by the topic's name");

  /** Base of the schema registry for values in Confluent's framing. */
  public static final ConfigOption<String> REGISTRY =
      ConfigOptions.key(WriterSchemas.REGISTRY_OPTION.substring(IDENTIFIER.length() + 1))
          .stringType()
          .noDefaultValue()
          .withDescription("Schema registry for values that begin with 00 and a schema id");

  /** Whether values that cannot be read are passed over, and counted, instead of failing. */
  public static final ConfigOption<Boolean> IGNORE_PARSE_ERRORS =
      ConfigOptions.key("ignore-parse-errors")
          .booleanType()
          .defaultValue(false)
          .withDescription("Pass over values that cannot be read instead of failing");

  @Override
  public String factoryIdentifier() {
    return IDENTIFIER;
  }

  @Override
  public Set<ConfigOption<?>> requiredOptions() {
    return Set.of();
  }

  @Override
  public Set<ConfigOption<?>> optionalOptions() {
    return Set.of(RECORD, REGISTRY, IGNORE_PARSE_ERRORS);
  }

  @Override
  public DecodingFormat<DeserializationSchema<RowData>> createDecodingFormat(
      DynamicTableFactory.Context context, ReadableConfig options) {
    FactoryUtil.validateFactoryOptions(this, options);
    Topic topic =
        topic(
            context.getObjectIdentifier().asSummaryString(),
            options.get(RECORD),
            context.getCatalogTable().getOptions().get("topic"));
    URI registry = options.getOptional(REGISTRY).map(GradflowFormatFactory::uri).orElse(null);
    Unreadable unreadable =
        options.get(IGNORE_PARSE_ERRORS) ? Unreadable.PASSED_OVER : Unreadable.FAILS;
    return new Format(topic, registry, unreadable);
  }

  @Override
  public EncodingFormat<SerializationSchema<RowData>> createEncodingFormat(
      DynamicTableFactory.Context context, ReadableConfig options) {
    throw new ValidationException(
        "table "
            + context.getObjectIdentifier().asSummaryString()
            + ": expected a query, got an INSERT: format 'gradflow' reads the topics, which only"
            + " trainers and gradflow's jobs write");
  }

  private static Topic topic(String table, String record, String topicName) {
    String records =
        records().map(topic -> topic.schema().getName()).sorted().collect(Collectors.joining(", "));
    if (record != null) {
      return records()
          .filter(topic -> topic.schema().getName().equals(record))
          .findFirst()
          .orElseThrow(
              () ->
                  new ValidationException(
                      "table %s: expected 'record' of format 'gradflow' to be one of %s, got '%s'"
                          .formatted(table, records, record)));
    }
    Topic topic = topicName == null ? null : Topic.named(topicName);
    if (topic == null || topic.schema() == null) {
      throw new ValidationException(
          ("table %s: expected one of gradflow's topics of Avro values, got '%s': set"
                  + " 'value.gradflow.record' ('gradflow.record' beside 'format') to one of %s")
              .formatted(table, topicName, records));
    }
    return topic;
  }

  private static Stream<Topic> records() {
    return Arrays.stream(Topic.values()).filter(topic -> topic.schema() != null);
  }

  private static URI uri(String text) {
    try {
      URI uri = URI.create(text);
      if (uri.getHost() != null
          && ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()))) {
        return uri;
      }
    } catch (IllegalArgumentException e) {
      // Told below, as any other text that is no address.
    }
    throw new ValidationException(
        "expected '%s' to be like http://registry:8081, got '%s'"
            .formatted(WriterSchemas.REGISTRY_OPTION, text));
  }

  private record Format(Topic topic, URI registry, Unreadable unreadable)
      implements DecodingFormat<DeserializationSchema<RowData>> {
    @Override
    public DeserializationSchema<RowData> createRuntimeDecoder(
        DynamicTableSource.Context context, DataType columns) {
      RowType type = (RowType) columns.getLogicalType();
      RecordFields.of(topic.schema(), type);
      return new GradflowDeserializationSchema(
          topic, type, context.createTypeInformation(columns), registry, unreadable);
    }

    @Override
    public ChangelogMode getChangelogMode() {
      return ChangelogMode.insertOnly();
    }
  }
}
