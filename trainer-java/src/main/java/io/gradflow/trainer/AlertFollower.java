package io.gradflow.trainer;

import io.gradflow.core.Origin;
import io.gradflow.core.incident.Alert;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Follows what is found in a run, so that the training can answer: each transition of an incident
 * once, in the order of {@code gradient-alerts}.
 *
 * <p>Either the training loop asks for what is {@link #pending} where it is safe to act, between
 * two steps; that is the way to choose. Or a function is called on the follower's own daemon
 * thread, as an alert comes: it must not touch what the training uses meanwhile, such as the
 * optimiser.
 *
 * <p>Guarantees: after {@link #follow} nothing throws and nothing but {@link #close} waits, whether
 * the broker is there, slow or dead; then following is taken up where it stopped. A transition that
 * is published twice is handed out once. Needs no consumer group and leaves no trace in Kafka.
 *
 * <p>Where one attempt is followed, its alerts from before the follower started are handed out too;
 * where any is, alerts from now on: old ones could not be told from new. Partitions that the topic
 * is given while it is followed are not read. Switched off by its options, there are no alerts.
 */
public final class AlertFollower implements AutoCloseable {
  private static final Duration CLOSING = Duration.ofSeconds(2);
  private static final Duration POLL = Duration.ofSeconds(1);
  private static final Duration RETRY_CONNECTING = Duration.ofSeconds(1);
  private static final int MAX_PENDING = 1_000;
  private static final int MAX_INCIDENTS = 10_000;

  private final AlertFilter filter;
  private final byte[] key;
  private final Supplier<org.apache.kafka.clients.consumer.Consumer<byte[], byte[]>> consumers;
  private final Consumer<Alert> function;
  private final Complaints complaints;
  private final Thread thread;
  private final CountDownLatch closed = new CountDownLatch(1);
  private volatile org.apache.kafka.clients.consumer.Consumer<byte[], byte[]> consumer;

  // Of the follower's thread alone.
  private final Decoder<Alert> decoder = Codecs.ALERTS.decoder(WriterSchemas.known());
  private final Map<TopicPartition, Long> positions = new HashMap<>();
  private final Map<String, Integer> transitions =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Integer> eldest) {
          return size() > MAX_INCIDENTS;
        }
      };

  // Guarded by itself.
  private final Deque<Alert> pending = new ArrayDeque<>();

  AlertFollower(
      PublisherOptions options,
      AlertFilter filter,
      Supplier<org.apache.kafka.clients.consumer.Consumer<byte[], byte[]>> consumers,
      Consumer<Alert> function,
      InstantSource clock) {
    this.filter = filter;
    this.key = Topic.key(filter.runId()).getBytes(StandardCharsets.UTF_8);
    this.consumers = consumers;
    this.function = function == null ? this::keep : function;
    String name = "gradflow follower of run " + filter.runId() + " rank " + options.rank();
    this.complaints = new Complaints(name, clock);
    this.thread = new Thread(this::run, name);
    thread.setDaemon(true);
    if (options.enabled()) {
      thread.start();
    }
  }

  /**
   * Follows the alerts of what these options publish, to be asked for what is {@link #pending}.
   * Connects in the background: neither broker nor topic need be there yet.
   */
  public static AlertFollower follow(PublisherOptions options) {
    return follow(options, AlertFilter.of(options));
  }

  /** Follows other alerts than those of what these options publish. */
  public static AlertFollower follow(PublisherOptions options, AlertFilter filter) {
    return new AlertFollower(options, filter, consumers(options), null, InstantSource.system());
  }

  /**
   * Follows alerts, and calls a function once for each transition, on the follower's own thread.
   * What it throws is logged. There is then never anything pending.
   */
  public static AlertFollower follow(
      PublisherOptions options, AlertFilter filter, Consumer<Alert> function) {
    return new AlertFollower(options, filter, consumers(options), function, InstantSource.system());
  }

  private static Supplier<org.apache.kafka.clients.consumer.Consumer<byte[], byte[]>> consumers(
      PublisherOptions options) {
    Map<String, Object> properties = consumerProperties(options);
    return () ->
        new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  static Map<String, Object> consumerProperties(PublisherOptions options) {
    Map<String, Object> properties = new HashMap<>();
    properties.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrapServers());
    properties.put(CommonClientConfigs.CLIENT_ID_CONFIG, "gradflow-alerts-rank-" + options.rank());
    properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
    // The options' properties are a producer's: what a consumer does not know is not for it.
    Set<String> producersAlone = new HashSet<>(ProducerConfig.configNames());
    producersAlone.removeAll(ConsumerConfig.configNames());
    options.kafka().forEach(properties::put);
    properties.keySet().removeAll(producersAlone);
    return properties;
  }

  /**
   * The transitions that came since the last call, in order; never waits. At most 1,000 are kept:
   * of more, the latest.
   */
  public List<Alert> pending() {
    synchronized (pending) {
      List<Alert> taken = List.copyOf(pending);
      pending.clear();
      return taken;
    }
  }

  /** Ends within two seconds; a function that is being called then is let finish on its own. */
  @Override
  public void close() {
    closed.countDown();
    var current = consumer;
    if (current != null) {
      current.wakeup();
    }
    if (Thread.currentThread() == thread) {
      return;
    }
    try {
      thread.join(CLOSING.toMillis());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private boolean isClosed() {
    return closed.getCount() == 0;
  }

  private void run() {
    while (!isClosed()) {
      try {
        consumer = consumers.get();
        read();
      } catch (WakeupException e) {
        // Closed, as the loop's condition says.
      } catch (RuntimeException e) {
        complaints.about("alerts cannot be read", e);
      } finally {
        release();
      }
      try {
        if (closed.await(RETRY_CONNECTING.toMillis(), TimeUnit.MILLISECONDS)) {
          return;
        }
      } catch (InterruptedException e) {
        return;
      }
    }
  }

  private void release() {
    var current = consumer;
    consumer = null;
    if (current != null) {
      try {
        current.close(CloseOptions.timeout(CLOSING.dividedBy(4)));
      } catch (RuntimeException e) {
        complaints.about("a reader of alerts cannot be closed", e);
      }
    }
  }

  private void read() {
    List<PartitionInfo> found = consumer.partitionsFor(Topic.ALERTS.topicName());
    if (found == null || found.isEmpty()) {
      throw new IllegalStateException(
          "expected the topic " + Topic.ALERTS.topicName() + ", found none: create it");
    }
    List<TopicPartition> partitions =
        found.stream().map(info -> new TopicPartition(info.topic(), info.partition())).toList();
    consumer.assign(partitions);
    List<TopicPartition> unread =
        partitions.stream().filter(partition -> !positions.containsKey(partition)).toList();
    if (filter.attempt() == null) {
      consumer.seekToEnd(unread);
    } else {
      consumer.seekToBeginning(unread);
    }
    positions.forEach(consumer::seek);
    // What "now" is must not depend on how often it is asked.
    unread.forEach(partition -> positions.put(partition, consumer.position(partition)));
    while (!isClosed()) {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
        if (isClosed()) {
          return;
        }
        positions.put(new TopicPartition(record.topic(), record.partition()), record.offset() + 1);
        take(record);
      }
    }
  }

  private void take(ConsumerRecord<byte[], byte[]> record) {
    // By the key, so that an alert of another run need not be readable.
    if (!Arrays.equals(record.key(), key)) {
      return;
    }
    Origin origin =
        new Origin(record.topic(), record.partition(), record.offset(), record.timestamp());
    Decoded<Alert> decoded = decoder.decode(record.value(), origin);
    Alert alert = decoded.value();
    if (alert == null) {
      complaints.about("an alert cannot be read", decoded.failure().detail());
      return;
    }
    if (!filter.lets(alert)) {
      return;
    }
    Integer before = transitions.get(alert.incidentId());
    if (before != null && before >= alert.transition()) {
      return;
    }
    transitions.put(alert.incidentId(), alert.transition());
    try {
      function.accept(alert);
    } catch (RuntimeException | Error e) {
      complaints.about("the function for alerts failed on " + alert.alertId(), e);
    }
  }

  private void keep(Alert alert) {
    synchronized (pending) {
      if (pending.size() == MAX_PENDING) {
        pending.removeFirst();
        complaints.about("alerts are lost", MAX_PENDING + " were pending, and not asked for");
      }
      pending.addLast(alert);
    }
  }
}
