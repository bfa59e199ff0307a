package io.gradflow.cli;

import io.gradflow.core.Origin;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads whole topics from their beginning, without a consumer group. For one thread, but for {@link
 * #wakeUp}.
 *
 * <p>Records that cannot be decoded are counted and passed over: their bytes stay in the topic.
 */
final class TopicReader implements AutoCloseable {
  private static final Duration CONNECTING = Duration.ofSeconds(5);

  private final String bootstrapServers;
  private final WriterSchemas writers;
  private final KafkaConsumer<byte[], byte[]> consumer;
  private final Map<Topic, Consumer<ConsumerRecord<byte[], byte[]>>> readers =
      new EnumMap<>(Topic.class);
  private final List<TopicPartition> partitions = new ArrayList<>();
  private long unreadable;

  /**
   * @param writers finds the schemas that records were written with
   */
  TopicReader(String bootstrapServers, WriterSchemas writers) {
    this.bootstrapServers = bootstrapServers;
    this.writers = writers;
    try {
      this.consumer =
          new KafkaConsumer<>(
              Map.of(
                  ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG,
                  bootstrapServers,
                  ConsumerConfig.ISOLATION_LEVEL_CONFIG,
                  "read_committed",
                  ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG,
                  20,
                  ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG,
                  false),
              new ByteArrayDeserializer(),
              new ByteArrayDeserializer());
    } catch (KafkaException e) {
      throw new CommandFailed(
          "cannot connect to Kafka at '%s': %s".formatted(bootstrapServers, Causes.innermost(e)),
          e);
    }
  }

  /** Reads a topic's values. */
  <T> TopicReader with(Codec<T> codec, Consumer<T> reader) {
    return with(codec, run -> true, reader);
  }

  /**
   * Reads a topic's values as far as they are of runs that are wanted; the others are not decoded.
   * Of a topic whose values do not begin with their run, as those of alerts, all are read.
   */
  <T> TopicReader with(Codec<T> codec, Predicate<String> wanted, Consumer<T> reader) {
    Decoder<T> decoder = codec.decoder(writers);
    return withRaw(
        codec.topic(),
        record -> {
          if (!writers.runOf(record.value()).map(wanted::test).orElse(true)) {
            return;
          }
          Decoded<T> decoded =
              decoder.decode(
                  record.value(),
                  new Origin(
                      record.topic(), record.partition(), record.offset(), record.timestamp()));
          if (decoded.value() == null) {
            unreadable++;
          } else {
            reader.accept(decoded.value());
          }
        });
  }

  /**
   * Reads a topic's records as they are.
   *
   * @throws CommandFailed if there is no such topic, or no broker
   */
  TopicReader withRaw(Topic topic, Consumer<ConsumerRecord<byte[], byte[]>> reader) {
    List<PartitionInfo> found;
    try {
      found = consumer.partitionsFor(topic.topicName(), CONNECTING);
    } catch (KafkaException e) {
      throw new CommandFailed(
          "no Kafka broker answers at %s within %d s; is it running?"
              .formatted(bootstrapServers, CONNECTING.toSeconds()),
          e);
    }
    if (found == null || found.isEmpty()) {
      throw new CommandFailed(
          "there is no topic %s at %s; create it: ./gradflow topics create --bootstrap-server %s"
              .formatted(topic.topicName(), bootstrapServers, bootstrapServers));
    }
    readers.put(topic, reader);
    List<TopicPartition> added =
        found.stream().map(info -> new TopicPartition(info.topic(), info.partition())).toList();
    partitions.addAll(added);
    consumer.assign(partitions);
    consumer.seekToBeginning(added);
    return this;
  }

  /**
   * Skips what a topic took before a time; partitions that took nothing since are read from their
   * end.
   */
  void from(Topic topic, Instant time) {
    Map<TopicPartition, Long> times = new HashMap<>();
    partitions.stream()
        .filter(partition -> partition.topic().equals(topic.topicName()))
        .forEach(partition -> times.put(partition, time.toEpochMilli()));
    consumer
        .offsetsForTimes(times, CONNECTING)
        .forEach(
            (partition, found) -> {
              if (found == null) {
                consumer.seekToEnd(List.of(partition));
              } else {
                consumer.seek(partition, found.offset());
              }
            });
  }

  /** Reads what comes within the time. */
  void poll(Duration limit) {
    consumer.poll(limit).forEach(record -> readers.get(Topic.named(record.topic())).accept(record));
  }

  /** The offsets after the last records of the topics now. */
  Map<TopicPartition, Long> ends() {
    return consumer.endOffsets(partitions, CONNECTING);
  }

  /** Reads to the end that the topics had when this was called. */
  void readToEnd() {
    Map<TopicPartition, Long> ends = ends();
    while (!reached(ends.entrySet())) {
      poll(Duration.ofMillis(100));
    }
  }

  /**
   * Reads to the end that the topics had when this was called, in the order of the records' times;
   * records of one partition stay in their order. Holds some MiB of each partition at most.
   */
  void readToEndByTime() {
    Map<TopicPartition, Long> ends = ends();
    Map<TopicPartition, ArrayDeque<ConsumerRecord<byte[], byte[]>>> waiting = new HashMap<>();
    ends.keySet().forEach(partition -> waiting.put(partition, new ArrayDeque<>()));
    while (true) {
      // What comes first is known as soon as every partition that goes on has something waiting.
      while (ends.entrySet().stream()
          .allMatch(end -> !waiting.get(end.getKey()).isEmpty() || reached(end))) {
        Optional<ArrayDeque<ConsumerRecord<byte[], byte[]>>> earliest =
            waiting.values().stream()
                .filter(records -> !records.isEmpty())
                .min(Comparator.comparingLong(records -> records.peek().timestamp()));
        if (earliest.isEmpty()) {
          consumer.resume(partitions);
          return;
        }
        ConsumerRecord<byte[], byte[]> record = earliest.get().remove();
        readers.get(Topic.named(record.topic())).accept(record);
      }
      waiting.forEach(
          (partition, records) -> {
            if (records.isEmpty()) {
              consumer.resume(List.of(partition));
            } else {
              consumer.pause(List.of(partition));
            }
          });
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
        TopicPartition partition = new TopicPartition(record.topic(), record.partition());
        if (record.offset() < ends.get(partition)) {
          waiting.get(partition).add(record);
        }
      }
    }
  }

  private boolean reached(Map.Entry<TopicPartition, Long> end) {
    return consumer.position(end.getKey()) >= end.getValue();
  }

  private boolean reached(Collection<Map.Entry<TopicPartition, Long>> ends) {
    return ends.stream().allMatch(this::reached);
  }

  /** Reads until {@link #wakeUp}. */
  void follow() {
    try {
      while (true) {
        poll(Duration.ofSeconds(1));
      }
    } catch (WakeupException e) {
      // Asked to stop.
    }
  }

  /** Reads until the process is interrupted, which waits for the record that is being read. */
  void followUntilInterrupted() {
    CountDownLatch done = new CountDownLatch(1);
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  wakeUp();
                  try {
                    done.await(2, TimeUnit.SECONDS);
                  } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                  }
                },
                "ending to follow"));
    follow();
    done.countDown();
  }

  /** Ends {@link #follow}; callable from any thread. */
  void wakeUp() {
    consumer.wakeup();
  }

  /** Records that could not be decoded so far. */
  long unreadable() {
    return unreadable;
  }

  @Override
  public void close() {
    consumer.close(org.apache.kafka.clients.consumer.CloseOptions.timeout(Duration.ofSeconds(1)));
  }
}
