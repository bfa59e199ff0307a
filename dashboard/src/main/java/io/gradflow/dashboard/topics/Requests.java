package io.gradflow.dashboard.topics;

import io.gradflow.dashboard.live.Recorded.Unavailable;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Encoded;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What people ask for on the page, on its way to the topics. Safe for use by several threads. */
public final class Requests implements AutoCloseable {
  private static final int ANSWER_MS = 10_000;
  private static final Duration CLOSING = Duration.ofMillis(500);

  private final KafkaProducer<byte[], byte[]> producer;

  /**
   * @param connection settings of Kafka's clients, the bootstrap servers among them
   */
  public Requests(Map<String, Object> connection) {
    Map<String, Object> settings = new HashMap<>(connection);
    settings.put(ProducerConfig.ACKS_CONFIG, "all");
    settings.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, ANSWER_MS);
    settings.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, ANSWER_MS / 2);
    settings.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, ANSWER_MS);
    settings.put(ProducerConfig.LINGER_MS_CONFIG, 0);
    this.producer =
        new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
  }

  /**
   * Publishes a value, and returns when the broker has it.
   *
   * @throws Unavailable if it has not within 10 s, or refuses it
   */
  public <T> void publish(Codec<T> codec, T value) {
    String topic = codec.topic().topicName();
    try {
      for (Encoded record : codec.encode(value)) {
        producer
            .send(new ProducerRecord<>(topic, record.key(), record.value()))
            .get(2 * ANSWER_MS, TimeUnit.MILLISECONDS);
      }
    } catch (ExecutionException e) {
      throw refused(topic, e.getCause());
    } catch (KafkaException | TimeoutException e) {
      throw refused(topic, e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new Unavailable("ended before the broker had the record");
    }
  }

  private static Unavailable refused(String topic, Throwable cause) {
    return new Unavailable(
        "expected the broker to take a record of "
            + topic
            + ", got "
            + cause.getClass().getSimpleName()
            + ": look at the broker and at what this client may write");
  }

  @Override
  public void close() {
    producer.close(CLOSING);
  }
}
