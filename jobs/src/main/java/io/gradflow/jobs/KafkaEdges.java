package io.gradflow.jobs;

import io.gradflow.core.Origin;
import io.gradflow.operators.types.RecordTypes;
import io.gradflow.operators.wire.DeadLetters;
import io.gradflow.operators.wire.OutgoingRecord;
import io.gradflow.operators.wire.RawRecord;
import io.gradflow.schema.Topic;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Properties;
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
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;

/** Sources and sinks on Kafka. Bytes come in and go out; what they mean is decided between. */
final class KafkaEdges {
  /**
   * A fetch leaves out the partitions of which something is still to be handed on; what comes into
   * those waits for its end. So it ends soon where records come all the time.
   */
  private static final Duration HOT_FETCH = Duration.ofMillis(5);

  /** Where they seldom come, asking 200 times a second would only cost. */
  private static final Duration QUIET_FETCH = Duration.ofMillis(500);

  private final JobSettings settings;
  private final String group;

  /**
   * @param job short name of the job, the end of its consumer group
   */
  KafkaEdges(JobSettings settings, String job) {
    this.settings = settings;
    this.group = settings.get(GradflowOptions.GROUP_ID_PREFIX) + "-" + job;
  }

  /** Records of a hot topic, from where {@link GradflowOptions#START} says. */
  @SuppressWarnings("deprecation") // The connector's interface still takes the client's old type.
  KafkaSource<RawRecord> source(Topic topic) {
    OffsetsInitializer start =
        switch (settings.get(GradflowOptions.START)) {
          case EARLIEST ->
              OffsetsInitializer.committedOffsets(
                  org.apache.kafka.clients.consumer.OffsetResetStrategy.EARLIEST);
          case LATEST ->
              OffsetsInitializer.committedOffsets(
                  org.apache.kafka.clients.consumer.OffsetResetStrategy.LATEST);
        };
    return source(topic, start, HOT_FETCH);
  }

  /**
   * Records of a compacted topic, always from its beginning: what they declare holds for all that
   * follows.
   */
  KafkaSource<RawRecord> declarations(Topic topic) {
    return source(topic, OffsetsInitializer.earliest(), QUIET_FETCH);
  }

  /**
   * What the user says of the clients goes before what is usual here.
   *
   * @param fetch how long the broker may hold a fetch for which it has nothing
   */
  private KafkaSource<RawRecord> source(Topic topic, OffsetsInitializer start, Duration fetch) {
    return KafkaSource.<RawRecord>builder()
        .setBootstrapServers(settings.get(GradflowOptions.BOOTSTRAP_SERVERS))
        .setTopics(topic.topicName())
        .setGroupId(group)
        .setClientIdPrefix(group + "-" + topic.topicName())
        .setStartingOffsets(start)
        .setDeserializer(new RawRecords())
        .setProperty(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed")
        .setProperty(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, Long.toString(fetch.toMillis()))
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
    return switch (settings.get(GradflowOptions.ALERT_DELIVERY)) {
      case AT_LEAST_ONCE -> sink();
      case EXACTLY_ONCE ->
          sinkBuilder()
              .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE)
              .setTransactionalIdPrefix(settings.get(GradflowOptions.ALERT_TRANSACTION_PREFIX))
              .setTransactionNamingStrategy(TransactionNamingStrategy.INCREMENTING)
              .setProperty(
                  ProducerConfig.TRANSACTION_TIMEOUT_CONFIG,
                  Long.toString(settings.transactionTimeout().toMillis()))
              .build();
    };
  }

  /**
   * The dead letters' sink. It takes bytes that no other topic would, whatever the user says of the
   * other clients: a letter that it refused would fail the job for ever.
   */
  KafkaSink<OutgoingRecord> deadLetterSink() {
    return sinkBuilder()
        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .setProperty(
            ProducerConfig.MAX_REQUEST_SIZE_CONFIG, Integer.toString(DeadLetters.MAX_MESSAGE_BYTES))
        .setProperty(
            ProducerConfig.BUFFER_MEMORY_CONFIG, Long.toString(2L * DeadLetters.MAX_MESSAGE_BYTES))
        .build();
  }

  /**
   * Whether the brokers that all of this goes through answer.
   *
   * @param who asks
   */
  BrokerContact contact(String who) {
    Properties client = settings.kafkaProperties();
    client.setProperty(
        AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG,
        settings.get(GradflowOptions.BOOTSTRAP_SERVERS));
    return new BrokerContact(client, group + "-" + who + "-contact", Duration.ofSeconds(5));
  }

  private KafkaSinkBuilder<OutgoingRecord> sinkBuilder() {
    return KafkaSink.<OutgoingRecord>builder()
        .setBootstrapServers(settings.get(GradflowOptions.BOOTSTRAP_SERVERS))
        .setRecordSerializer(new OutgoingRecords())
        .setProperty(ProducerConfig.LINGER_MS_CONFIG, "0")
        .setProperty(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4")
        .setKafkaProducerConfig(settings.kafkaProperties());
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
