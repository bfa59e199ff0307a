package io.gradflow.cli;

import java.time.Duration;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Publishes bytes under their keys to topics, in the order in which they come and each once. For
 * one thread.
 *
 * <p>A record that the broker does not take for good fails the command: what was published before
 * it stays.
 */
final class Republisher implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  /** What was read from a topic was taken by one: this only must not be less than any topic's. */
  private static final int MAX_REQUEST_BYTES = 64 << 20;

  private final KafkaProducer<byte[], byte[]> producer;
  private final AtomicReference<Exception> failure = new AtomicReference<>();
  private final String bootstrapServers;
  private boolean closed;

  Republisher(String bootstrapServers) {
    this.bootstrapServers = bootstrapServers;
    int patience = Math.toIntExact(PATIENCE.toMillis());
    try {
      producer =
          new KafkaProducer<>(
              Map.ofEntries(
                  Map.entry(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers),
                  Map.entry(ProducerConfig.ACKS_CONFIG, "all"),
                  Map.entry(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4"),
                  Map.entry(ProducerConfig.LINGER_MS_CONFIG, 0),
                  // A topic that was created a moment ago refuses the first batches: with several
                  // under way a later one would get in before them, and none of them ever.
                  Map.entry(ProducerConfig.MAX_IN_FLIGHT_REQUESTS_PER_CONNECTION, 1),
                  Map.entry(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, patience / 3),
                  Map.entry(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, patience),
                  Map.entry(ProducerConfig.MAX_BLOCK_MS_CONFIG, patience),
                  Map.entry(ProducerConfig.MAX_REQUEST_SIZE_CONFIG, MAX_REQUEST_BYTES),
                  Map.entry(ProducerConfig.BUFFER_MEMORY_CONFIG, 2L * MAX_REQUEST_BYTES)),
              new ByteArraySerializer(),
              new ByteArraySerializer());
    } catch (KafkaException e) {
      throw new CommandFailed(
          "cannot connect to Kafka at '%s': %s".formatted(bootstrapServers, Causes.innermost(e)),
          e);
    }
  }

  /**
   * Publishes a record, at once or as soon as the broker keeps up.
   *
   * @throws CommandFailed if this or an earlier one was not taken
   */
  void publish(String topic, byte[] key, byte[] value) {
    throwIfFailed();
    try {
      var unused =
          producer.send(
              new ProducerRecord<>(topic, key, value),
              (metadata, failed) -> {
                if (failed != null) {
                  failure.compareAndSet(null, failed);
                }
              });
    } catch (KafkaException e) {
      failure.compareAndSet(null, e);
      throwIfFailed();
    }
  }

  /**
   * Returns when the broker has taken everything.
   *
   * @throws CommandFailed if it has not
   */
  void flush() {
    producer.flush();
    throwIfFailed();
  }

  private void throwIfFailed() {
    Exception failed = failure.get();
    if (failed != null) {
      throw new CommandFailed(
          "the broker at %s did not take a record: %s%s"
              .formatted(
                  bootstrapServers,
                  Causes.innermost(failed),
                  failed instanceof RecordTooLargeException
                      ? "; raise the topic's max.message.bytes"
                      : ""),
          failed);
    }
  }

  /** Drops what was not flushed. */
  @Override
  public void close() {
    if (!closed) {
      closed = true;
      producer.close(Duration.ZERO);
    }
  }
}
