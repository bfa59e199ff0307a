package io.gradflow.jobs;

import io.gradflow.core.Origin;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.operators.wire.OutgoingRecord;
import io.gradflow.operators.wire.RawRecord;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.sink.KafkaSinkBuilder;
import org.apache.flink.connector.kafka.sink.TransactionNamingStrategy;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Sources and sinks on Kafka. Bytes come in and go out; what they mean is decided between. */
final class KafkaEdges {
  private final JobSettings settings;
  private final String group;

  /**
   * @param job short name of the job, the end of its consumer group
   */
  KafkaEdges(JobSettings settings, String job) {
    this.settings = settings;
    this.group = settings.get(GradflowOptions.GROUP_ID_PREFIX) + "-" + job;
  }

  /** Records of the hot topics, from where {@link GradflowOptions#START} says. */
  @SuppressWarnings("deprecation") // The connector's interface still takes the client's old type.
  KafkaSource<RawRecord> source(List<String> topics) {
    OffsetsInitializer start =
        switch (settings.get(GradflowOptions.START)) {
          case EARLIEST ->
              OffsetsInitializer.committedOffsets(
                  org.apache.kafka.clients.consumer.OffsetResetStrategy.EARLIEST);
          case LATEST ->
              OffsetsInitializer.committedOffsets(
                  org.apache.kafka.clients.consumer.OffsetResetStrategy.LATEST);
        };
    return source(topics, start, group);
  }

  /**
   * Records of compacted topics, always from their beginning: what they declare holds for all that
   * follows.
   */
  KafkaSource<RawRecord> declarations(List<String> topics) {
    return source(topics, OffsetsInitializer.earliest(), group + "-declarations");
  }

  private KafkaSource<RawRecord> source(
      List<String> topics, OffsetsInitializer start, String groupId) {
    return KafkaSource.<RawRecord>builder()
        .setBootstrapServers(settings.get(GradflowOptions.BOOTSTRAP_SERVERS))
        .setTopics(topics)
        .setGroupId(groupId)
        .setClientIdPrefix(groupId)
        .setStartingOffsets(start)
        .setDeserializer(new RawRecords())
        .setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed")
        .setProperty(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, "5")
        // Partitions are read in turns of a fetch: short turns keep the ranks of a backlog side by
        // side.
        .setProperty(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG, "131072")
        .setProperties(settings.kafkaProperties())
        .build();
  }

  /**
   * A sink that repeats records after a failure: for records whose key makes them idempotent to
   * read.
   */
  KafkaSink<OutgoingRecord> sink() {
    return sinkBuilder().setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE).build();
  }

  /** The alert topic's sink, as {@link GradflowOptions#ALERT_DELIVERY} says. */
  KafkaSink<OutgoingRecord> alertSink() {
    var builder = sinkBuilder().setDeliveryGuarantee(settings.get(GradflowOptions.ALERT_DELIVERY));
    if (settings.get(GradflowOptions.ALERT_DELIVERY) == DeliveryGuarantee.EXACTLY_ONCE) {
      builder
          .setTransactionalIdPrefix(settings.get(GradflowOptions.ALERT_TRANSACTION_PREFIX))
          .setTransactionNamingStrategy(TransactionNamingStrategy.INCREMENTING)
          // The sink's own default of an hour is above the broker's limit of 15 minutes.
          .setProperty(ProducerConfig.TRANSACTION_TIMEOUT_CONFIG, "600000");
    }
    return builder.build();
  }

  private KafkaSinkBuilder<OutgoingRecord> sinkBuilder() {
    return KafkaSink.<OutgoingRecord>builder()
        .setBootstrapServers(settings.get(GradflowOptions.BOOTSTRAP_SERVERS))
        .setRecordSerializer(new OutgoingRecords())
        .setKafkaProducerConfig(settings.kafkaProperties())
        .setProperty(ProducerConfig.LINGER_MS_CONFIG, "0")
        .setProperty(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4");
  }

  /** Keeps the bytes and where they were read. */
  private static final class RawRecords implements KafkaRecordDeserializationSchema<RawRecord> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<RawRecord> out) {
      out.collect(
          new RawRecord(
              new Origin(record.topic(), record.partition(), record.offset(), record.timestamp()),
              record.key(),
              record.value()));
    }

    @Override
    public TypeInformation<RawRecord> getProducedType() {
      return RecordTypes.of(RawRecord.class);
    }
  }

  /** Writes a record as it is. */
  private static final class OutgoingRecords
      implements KafkaRecordSerializationSchema<OutgoingRecord> {
    @Override
    public ProducerRecord<byte[], byte[]> serialize(
        OutgoingRecord record, KafkaSinkContext context, Long timestamp) {
      var written = new ProducerRecord<>(record.topic(), record.key(), record.value());
      record
          .headers()
          .forEach(
              (name, text) -> written.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
      return written;
    }
  }
}
