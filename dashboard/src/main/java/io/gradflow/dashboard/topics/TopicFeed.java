package io.gradflow.dashboard.topics;

import io.gradflow.core.Hash64;
import io.gradflow.core.Origin;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoded;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.function.Supplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicAuthorizationException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Follows the output topics on one thread, without a consumer group, and comes back by itself
 * whenever the broker does. Of gradient-steps it begins a number of records before the end, of dead
 * letters at the end, of the others at the beginning.
 *
 * <p>Records that cannot be decoded are counted and passed over.
 */
public final class TopicFeed implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(TopicFeed.class);
  private static final Duration ANSWER = Duration.ofSeconds(5);
  private static final Duration POLL = Duration.ofMillis(200);
  private static final int FETCH_WAIT_MS = 100;
  private static final long CLOSING_MS = 1_000;
  private static final Duration CLOSING = Duration.ofMillis(200);
  private static final long HEARTBEAT_MS = 1_000;
  private static final long LOOK_AT_TOPICS_MS = 15_000;
  private static final long AGAIN_MS = 1_000;

  /** Read first: what steps and alerts refer to. */
  private static final Set<Topic> FIRST =
      EnumSet.of(Topic.MANIFESTS, Topic.RUNS, Topic.RULES, Topic.FEEDBACK);

  private static final Set<Topic> READ =
      EnumSet.of(
          Topic.MANIFESTS,
          Topic.RUNS,
          Topic.RULES,
          Topic.FEEDBACK,
          Topic.STEPS,
          Topic.ALERTS,
          Topic.DEAD_LETTERS);

  private final Map<String, Object> connection;
  private final long backfill;
  private final LiveRuns live;
  private final PageMetrics metrics;
  private final Map<Topic, Function<ConsumerRecord<byte[], byte[]>, Runnable>> readers =
      new EnumMap<>(Topic.class);
  private final Thread thread;
  private final CountDownLatch closing = new CountDownLatch(1);
  private volatile KafkaConsumer<byte[], byte[]> consumer;

  /** The topics as they are: of each its id and number of partitions. */
  private record Layout(int era, Map<Topic, Integer> partitions) {}

  /**
   * @param connection settings of Kafka's clients, the bootstrap servers among them
   * @param writers makes what finds the schemas that records were written with
   * @param backfill records before the end of each partition of gradient-steps to begin with
   */
  public TopicFeed(
      Map<String, Object> connection,
      Supplier<WriterSchemas> writers,
      long backfill,
      LiveRuns live,
      PageMetrics metrics) {
    this.connection = Map.copyOf(connection);
    this.backfill = backfill;
    this.live = live;
    this.metrics = metrics;
    WriterSchemas schemas = writers.get();
    reader(schemas, Codecs.MANIFESTS, (part, at, size) -> live.manifest(part, at));
    reader(schemas, Codecs.RUNS, (event, at, size) -> live.event(event, at));
    reader(schemas, Codecs.RULES, (rule, at, size) -> live.rule(rule));
    reader(schemas, Codecs.FEEDBACK, (feedback, at, size) -> live.verdict(feedback));
    reader(schemas, Codecs.STEPS, (part, at, size) -> live.step(part, at).ifPresent(metrics::step));
    reader(
        schemas,
        Codecs.ALERTS,
        (alert, at, size) -> {
          if (live.alert(alert, at, size)) {
            metrics.alert(alert);
          }
        });
    readers.put(Topic.DEAD_LETTERS, record -> () -> metrics.deadLetter(reason(record)));
    this.thread = new Thread(this::run, "reading topics");
    this.thread.setDaemon(true);
  }

  private interface Use<T> {
    void of(T value, Origin origin, int bytes);
  }

  private <T> void reader(WriterSchemas schemas, Codec<T> codec, Use<T> use) {
    Decoder<T> decoder = codec.decoder(schemas);
    Topic topic = codec.topic();
    readers.put(
        topic,
        record -> {
          if (record.value() == null && topic.isCompacted()) {
            return () -> {};
          }
          Origin origin =
              new Origin(record.topic(), record.partition(), record.offset(), record.timestamp());
          Decoded<T> decoded = decoder.decode(record.value(), origin);
          return decoded.value() == null
              ? () -> metrics.unreadable(topic)
              : () -> use.of(decoded.value(), origin, record.value().length);
        });
  }

  private static String reason(ConsumerRecord<byte[], byte[]> record) {
    Header header = record.headers().lastHeader("reason");
    return header == null || header.value() == null
        ? ""
        : new String(header.value(), StandardCharsets.UTF_8);
  }

  /** Begins to read. */
  public void start() {
    thread.start();
  }

  private void run() {
    String told = "";
    long pauseMs = 0;
    try {
      while (!closing.await(pauseMs, TimeUnit.MILLISECONDS)) {
        pauseMs = AGAIN_MS;
        try {
          follow();
          told = "";
        } catch (WakeupException e) {
          // Asked to stop, which the loop sees.
        } catch (KafkaException | ExecutionException | java.util.concurrent.TimeoutException e) {
          String sentence = "cannot read the topics: " + e + "; trying again";
          if (!sentence.equals(told)) {
            LOG.warn(sentence);
            told = sentence;
          }
        } catch (RuntimeException e) {
          LOG.error("reading the topics failed; beginning again", e);
        }
      }
    } catch (InterruptedException e) {
      // Asked to stop.
    }
  }

  private void follow()
      throws ExecutionException, InterruptedException, java.util.concurrent.TimeoutException {
    KafkaConsumer<byte[], byte[]> fresh = Clients.consumer(connection, FETCH_WAIT_MS);
    try {
      Admin admin = Admin.create(connection);
      try {
        consumer = fresh;
        follow(fresh, admin);
      } finally {
        admin.close(CLOSING);
      }
    } finally {
      fresh.close(CloseOptions.timeout(CLOSING));
    }
  }

  /** Reads until the topics are others, or until somebody wakes the consumer. */
  private void follow(KafkaConsumer<byte[], byte[]> from, Admin admin)
      throws ExecutionException, InterruptedException, java.util.concurrent.TimeoutException {
    Layout layout = layout(describe(admin));
    List<TopicPartition> all = new ArrayList<>();
    layout
        .partitions()
        .forEach(
            (topic, count) -> {
              for (int i = 0; i < count; i++) {
                all.add(new TopicPartition(topic.topicName(), i));
              }
            });
    Map<TopicPartition, Long> ends = from.endOffsets(all, ANSWER);
    Map<TopicPartition, Long> starts = starts(from.beginningOffsets(all, ANSWER), ends);
    from.assign(all);
    starts.forEach(from::seek);
    Progress progress = new Progress(layout, starts, ends);
    live.begin(progress.reading(starts, System.currentTimeMillis(), Double.NaN));
    List<TopicPartition> later =
        all.stream().filter(at -> !FIRST.contains(Topic.named(at.topic()))).toList();
    from.pause(later);
    boolean paused = true;
    long heardAt = System.currentTimeMillis();
    long askedAt = heardAt;
    long lookedAt = heardAt;
    double behind = Double.NaN;
    Map<Topic, KafkaFuture<TopicDescription>> described = null;
    while (closing.getCount() > 0) {
      ConsumerRecords<byte[], byte[]> records = from.poll(POLL);
      long now = System.currentTimeMillis();
      List<Runnable> uses = new ArrayList<>(records.count());
      for (ConsumerRecord<byte[], byte[]> record : records) {
        Topic topic = Topic.named(record.topic());
        metrics.record(topic);
        uses.add(readers.get(topic).apply(record));
      }
      heardAt = uses.isEmpty() ? heardAt : now;
      if (now - askedAt >= HEARTBEAT_MS) {
        askedAt = now;
        Double left = behind(from, all);
        if (left != null) {
          heardAt = System.currentTimeMillis();
          behind = left;
        }
      }
      Map<TopicPartition, Long> positions = new HashMap<>();
      all.forEach(at -> positions.put(at, from.position(at)));
      live.read(() -> uses.forEach(this::use), progress.reading(positions, heardAt, behind));
      if (paused && progress.reached(positions, FIRST)) {
        from.resume(later);
        paused = false;
      }
      if (described == null && now - lookedAt >= LOOK_AT_TOPICS_MS) {
        lookedAt = now;
        described = describe(admin);
      } else if (described != null && described.values().stream().allMatch(KafkaFuture::isDone)) {
        if (!isStill(layout, described)) {
          return;
        }
        described = null;
      }
    }
  }

  private void use(Runnable record) {
    try {
      record.run();
    } catch (RuntimeException e) {
      // No record known to us gets here. One that does must not end the page.
      LOG.error("a record could not be taken; passing it over", e);
    }
  }

  private static Map<Topic, KafkaFuture<TopicDescription>> describe(Admin admin) {
    Map<Topic, KafkaFuture<TopicDescription>> described = new EnumMap<>(Topic.class);
    admin
        .describeTopics(
            READ.stream().map(Topic::topicName).toList(),
            new DescribeTopicsOptions().timeoutMs((int) ANSWER.toMillis()))
        .topicNameValues()
        .forEach((name, future) -> described.put(Topic.named(name), future));
    return described;
  }

  /** The topics that there are and that may be read; without steps there is nothing to show. */
  private static Layout layout(Map<Topic, KafkaFuture<TopicDescription>> described)
      throws ExecutionException, InterruptedException, java.util.concurrent.TimeoutException {
    Map<Topic, Integer> partitions = new EnumMap<>(Topic.class);
    Hash64 ids = new Hash64();
    for (Map.Entry<Topic, KafkaFuture<TopicDescription>> entry : described.entrySet()) {
      try {
        TopicDescription found = entry.getValue().get(2 * ANSWER.toMillis(), TimeUnit.MILLISECONDS);
        partitions.put(entry.getKey(), found.partitions().size());
        ids.add(found.name()).add(found.topicId().toString()).add((long) found.partitions().size());
      } catch (ExecutionException e) {
        boolean absent =
            e.getCause() instanceof UnknownTopicOrPartitionException
                || e.getCause() instanceof TopicAuthorizationException;
        if (!absent || entry.getKey() == Topic.STEPS) {
          throw e;
        }
      }
    }
    return new Layout((int) ids.value(), partitions);
  }

  private static boolean isStill(Layout layout, Map<Topic, KafkaFuture<TopicDescription>> described)
      throws InterruptedException {
    try {
      return layout(described).equals(layout);
    } catch (ExecutionException | java.util.concurrent.TimeoutException e) {
      // Nothing is known of the topics just now.
      return true;
    }
  }

  private Map<TopicPartition, Long> starts(
      Map<TopicPartition, Long> beginnings, Map<TopicPartition, Long> ends) {
    Map<TopicPartition, Long> starts = new HashMap<>();
    beginnings.forEach(
        (at, beginning) ->
            starts.put(
                at,
                switch (Topic.named(at.topic())) {
                  case STEPS -> Math.max(beginning, ends.get(at) - backfill);
                  case DEAD_LETTERS -> ends.get(at);
                  default -> beginning;
                }));
    return starts;
  }

  /** How many records have not been read; null if the broker does not answer. */
  private static Double behind(
      KafkaConsumer<byte[], byte[]> from, Collection<TopicPartition> partitions) {
    try {
      double behind = 0;
      for (Map.Entry<TopicPartition, Long> end :
          from.endOffsets(partitions, Duration.ofMillis(HEARTBEAT_MS)).entrySet()) {
        behind += Math.max(0, end.getValue() - from.position(end.getKey()));
      }
      return behind;
    } catch (TimeoutException e) {
      return null;
    }
  }

  /** Where reading began and what was there then. */
  private record Progress(
      Layout layout, Map<TopicPartition, Long> starts, Map<TopicPartition, Long> ends) {

    Reading reading(Map<TopicPartition, Long> positions, long heardAt, double behind) {
      long all = 0;
      long left = 0;
      for (Map.Entry<TopicPartition, Long> end : ends.entrySet()) {
        all += end.getValue() - starts.get(end.getKey());
        left += Math.max(0, end.getValue() - positions.get(end.getKey()));
      }
      return new Reading(
          layout.era(),
          offsets(starts, 0),
          offsets(positions, -1),
          left == 0,
          all == 0 ? 1 : 1 - (double) left / all,
          heardAt,
          behind);
    }

    private Map<Topic, long[]> offsets(Map<TopicPartition, Long> of, long more) {
      Map<Topic, long[]> offsets = new EnumMap<>(Topic.class);
      layout
          .partitions()
          .forEach(
              (topic, count) -> {
                long[] each = new long[count];
                for (int i = 0; i < count; i++) {
                  each[i] = of.get(new TopicPartition(topic.topicName(), i)) + more;
                }
                offsets.put(topic, each);
              });
      return offsets;
    }

    boolean reached(Map<TopicPartition, Long> positions, Set<Topic> topics) {
      return ends.entrySet().stream()
          .filter(end -> topics.contains(Topic.named(end.getKey().topic())))
          .allMatch(end -> positions.get(end.getKey()) >= end.getValue());
    }
  }

  @Override
  public void close() {
    KafkaConsumer<byte[], byte[]> following = consumer;
    if (following != null) {
      following.wakeup();
    }
    closing.countDown();
    try {
      thread.join(CLOSING_MS);
      thread.interrupt();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
