package io.gradflow.dashboard.forward;

import io.gradflow.core.Origin;
import io.gradflow.core.incident.Alert;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Consumer;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * The alerts of the topic, from its beginning, for one target: those before the position that its
 * consumer group holds are history, which only has to be remembered. For one thread, but for {@link
 * #wakeUp}. A group belongs to one process at a time; nothing but that use keeps others out.
 */
final class AlertFeed implements AutoCloseable {
  private static final Duration CONNECTING = Duration.ofSeconds(5);

  private final KafkaConsumer<byte[], byte[]> consumer;
  private final Decoder<Alert> decoder = Codecs.ALERTS.decoder(WriterSchemas.known());
  private final Consumer<String> complaints;
  private final List<TopicPartition> partitions;

  /** Where history ends. */
  private final Map<TopicPartition, Long> told = new HashMap<>();

  private final Map<TopicPartition, Long> committed = new HashMap<>();
  private final Map<TopicPartition, Long> endsAtStart;

  /**
   * Connects.
   *
   * @param kafka properties of the consumer
   * @param start where a group without a position begins
   * @param complaints what cannot be read, a line each
   * @throws ForwardingFailed if there is no broker or no topic, or they may not be read
   */
  AlertFeed(
      Map<String, String> kafka,
      String group,
      ForwardSettings.Start start,
      Consumer<String> complaints) {
    this.complaints = complaints;
    Map<String, Object> properties = new HashMap<>();
    properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    properties.put(ConsumerConfig.MAX_POLL_RECORDS_CONFIG, 50);
    properties.putAll(kafka);
    properties.put(ConsumerConfig.GROUP_ID_CONFIG, group);
    properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
    String brokers = kafka.get(CommonClientConfigs.BOOTSTRAP_SERVERS_CONFIG);
    try {
      consumer =
          new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    } catch (KafkaException e) {
      throw new ForwardingFailed(
          "cannot connect to Kafka at '%s': %s".formatted(brokers, innermost(e)), e);
    }
    try {
      List<PartitionInfo> found = consumer.partitionsFor(Topic.ALERTS.topicName(), CONNECTING);
      if (found == null || found.isEmpty()) {
        throw new ForwardingFailed(
            "there is no topic %s at %s; create it: ./gradflow topics create --bootstrap-server %s"
                .formatted(Topic.ALERTS.topicName(), brokers, brokers),
            null);
      }
      partitions =
          found.stream().map(info -> new TopicPartition(info.topic(), info.partition())).toList();
      consumer.assign(partitions);
      consumer.seekToBeginning(partitions);
      endsAtStart = consumer.endOffsets(partitions, CONNECTING);
      Map<TopicPartition, OffsetAndMetadata> positions =
          consumer.committed(Set.copyOf(partitions), CONNECTING);
      for (TopicPartition partition : partitions) {
        OffsetAndMetadata position = positions.get(partition);
        long end = endsAtStart.get(partition);
        long fresh = start == ForwardSettings.Start.EARLIEST ? 0 : end;
        // A topic that was made anew is shorter than what was read of the one before.
        told.put(partition, position == null ? fresh : Math.min(position.offset(), end));
      }
      // From now on nothing is missed, even if this process ends before anything comes.
      commit(told);
    } catch (KafkaException e) {
      consumer.close(CloseOptions.timeout(Duration.ZERO));
      throw new ForwardingFailed(
          e instanceof RetriableException
              ? "no Kafka broker answers at %s within %d s; is it running?"
                  .formatted(brokers, CONNECTING.toSeconds())
              : "the broker at %s refused: %s".formatted(brokers, innermost(e)),
          e);
    } catch (ForwardingFailed e) {
      consumer.close(CloseOptions.timeout(Duration.ZERO));
      throw e;
    }
  }

  /** Hands on what comes within the time. */
  void poll(Duration limit, Selection selection, Outbox outbox) {
    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(limit)) {
      Origin origin =
          new Origin(record.topic(), record.partition(), record.offset(), record.timestamp());
      Decoded<Alert> decoded = decoder.decode(record.value(), origin);
      TopicPartition partition = new TopicPartition(record.topic(), record.partition());
      boolean history = record.offset() < told.get(partition);
      if (decoded.value() == null) {
        if (!history) {
          complaints.accept("an alert cannot be read: " + decoded.failure().detail());
        }
      } else if (selection.takes(decoded.value())) {
        if (history) {
          outbox.remember(decoded.value(), origin);
        } else {
          outbox.take(decoded.value(), origin);
        }
      }
    }
  }

  /** Whether everything that was in the topic at the start has been handed on. */
  boolean isPastStart() {
    return endsAtStart.entrySet().stream()
        .allMatch(end -> consumer.position(end.getKey(), CONNECTING) >= end.getValue());
  }

  /**
   * How many records wait in the topic.
   *
   * @throws org.apache.kafka.common.errors.TimeoutException if no broker answers
   */
  long unread() {
    return consumer.endOffsets(partitions, CONNECTING).entrySet().stream()
        .mapToLong(end -> Math.max(0, end.getValue() - consumer.position(end.getKey(), CONNECTING)))
        .sum();
  }

  /** Commits that everything read is told, but for what waits. */
  void commitAllBut(Collection<Origin> waiting) {
    Map<TopicPartition, Long> positions = new HashMap<>();
    for (TopicPartition partition : partitions) {
      // While history is read again, the position is that of before.
      positions.put(
          partition, Math.max(told.get(partition), consumer.position(partition, CONNECTING)));
    }
    for (Origin origin : waiting) {
      positions.merge(
          new TopicPartition(origin.topic(), origin.partition()), origin.offset(), Math::min);
    }
    if (!positions.equals(committed)) {
      commit(positions);
    }
  }

  private void commit(Map<TopicPartition, Long> positions) {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    positions.forEach((partition, offset) -> offsets.put(partition, new OffsetAndMetadata(offset)));
    try {
      consumer.commitSync(offsets, CONNECTING);
    } catch (WakeupException e) {
      // Who asks it to stop wants this kept, too.
      consumer.commitSync(offsets, CONNECTING);
    }
    committed.putAll(positions);
  }

  /** Ends a {@link #poll}; callable from any thread. */
  void wakeUp() {
    consumer.wakeup();
  }

  @Override
  public void close() {
    consumer.close(CloseOptions.timeout(Duration.ofSeconds(1)));
  }

  private static String innermost(Throwable failure) {
    Throwable cause = failure;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
  }
}
