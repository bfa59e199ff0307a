package io.gradflow.trainer;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongSupplier;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Publishes one rank's gradients to Kafka.
 *
 * <p>Guaranteed: {@link #publish} and {@link #event} never block on the network and never throw,
 * whatever happens to Kafka. What they take goes into a bounded queue; a daemon thread encodes and
 * sends it in order. When the queue is full the newest record is dropped, when Kafka gives one up
 * it is lost: both are counted, and the count travels in every later shard.
 *
 * <p>The manifest is published first, by the lowest reporting rank alone, and again until Kafka has
 * taken it. Several threads may publish, but steps must be published in order.
 */
public final class GradientPublisher implements AutoCloseable {
  private static final Duration CLOSING = Duration.ofSeconds(2);
  private static final Duration RETRY = Duration.ofSeconds(1);

  private final PublisherOptions options;
  private final Manifest manifest;
  private final LongSupplier clock;
  private final Supplier<Producer<byte[], byte[]>> connect;
  private final BlockingQueue<Item> queue;
  private final Thread sender;
  private final AtomicLong offered = new AtomicLong();
  private final AtomicLong sent = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();
  private final Map<Stage, Long> previousSteps = new HashMap<>();
  private volatile boolean closing;
  private volatile long closeDeadline = Long.MAX_VALUE;
  private volatile boolean manifestTaken;
  private volatile String lastError;
  private long producerSeq;

  /** What waits: a shard to be, or an event; the other is null. */
  private record Item(StepReport report, Stage stage, long previousStep, RunEvent event) {}

  GradientPublisher(
      PublisherOptions options,
      Manifest manifest,
      LongSupplier clock,
      Supplier<Producer<byte[], byte[]>> connect) {
    this.options = options;
    this.manifest = manifest.manifestId() == 0 ? manifest.identified() : manifest;
    this.clock = clock;
    this.connect = connect;
    this.queue = new ArrayBlockingQueue<>(options.queueCapacity());
    this.manifestTaken = options.rank() != lowestReportingRank(manifest);
    this.sender = new Thread(this::send, "gradflow-publisher-" + options.rank());
    this.sender.setDaemon(true);
    this.sender.start();
  }

  /**
   * Opens a publisher. Kafka is connected to in the background.
   *
   * @param manifest the layers whose gradients will be published, whole
   */
  public static GradientPublisher open(PublisherOptions options, Manifest manifest) {
    return new GradientPublisher(
        options,
        manifest,
        System::currentTimeMillis,
        () ->
            new KafkaProducer<>(
                settings(options), new ByteArraySerializer(), new ByteArraySerializer()));
  }

  private static Map<String, Object> settings(PublisherOptions options) {
    Map<String, Object> settings = new HashMap<>();
    settings.put(
        ProducerConfig.CLIENT_ID_CONFIG, "gradflow-" + options.runId() + "-" + options.rank());
    settings.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
    settings.put(ProducerConfig.ACKS_CONFIG, "all");
    settings.put(ProducerConfig.LINGER_MS_CONFIG, 2);
    settings.put(ProducerConfig.COMPRESSION_TYPE_CONFIG, "lz4");
    settings.put(ProducerConfig.BUFFER_MEMORY_CONFIG, 16L << 20);
    settings.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, 1_000);
    settings.putAll(options.kafkaProperties());
    settings.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrapServers());
    return settings;
  }

  private static int lowestReportingRank(Manifest manifest) {
    int lowest = Integer.MAX_VALUE;
    for (Reporting reporting : manifest.reporting()) {
      lowest = Math.min(lowest, reporting.ranks() == null ? 0 : reporting.ranks()[0]);
    }
    return lowest;
  }

  /** Publishes what the report has of each stage. Returns at once, never throws. */
  public void publish(StepReport report) {
    if (report.local != null) {
      offer(report, Stage.LOCAL);
    }
    if (report.reduced != null) {
      offer(report, Stage.REDUCED);
    }
  }

  private synchronized void offer(StepReport report, Stage stage) {
    if (offer(new Item(report, stage, previousSteps.getOrDefault(stage, -1L), null))) {
      previousSteps.put(stage, report.step);
    }
  }

  /**
   * Publishes something that happened to the run. One rank should do it for all. Returns at once,
   * never throws.
   *
   * @param step the last step published before it; of {@code FINISHED} the run's last
   * @param attributes details by name
   */
  public void event(RunEvent.Type type, long step, Map<String, String> attributes) {
    offer(
        new Item(
            null,
            null,
            -1,
            new RunEvent(
                options.runId(),
                options.attempt(),
                options.stream(),
                step,
                type,
                clock.getAsLong(),
                Map.copyOf(attributes))));
  }

  private boolean offer(Item item) {
    offered.incrementAndGet();
    if (!closing && queue.offer(item)) {
      return true;
    }
    lose("the queue of " + options.queueCapacity() + " records is full");
    return false;
  }

  /** How it is doing now. */
  public PublisherStats stats() {
    long taken = sent.get();
    long lost = dropped.get();
    return new PublisherStats(taken, lost, Math.max(0, offered.get() - taken - lost), lastError);
  }

  /** Sends what waits, for two seconds at most, and closes. */
  @Override
  public void close() {
    close(CLOSING);
  }

  /**
   * Sends what waits, no longer than the limit, and closes; what is left then is dropped and
   * counted.
   */
  public void close(Duration limit) {
    closeDeadline = System.nanoTime() + limit.toNanos();
    closing = true;
    try {
      sender.join(limit.toMillis());
      if (sender.isAlive()) {
        sender.interrupt();
      }
    } catch (InterruptedException e) {
      sender.interrupt();
      Thread.currentThread().interrupt();
    }
  }

  private long closingMillisLeft() {
    return closing ? Math.max(0, (closeDeadline - System.nanoTime()) / 1_000_000) : Long.MAX_VALUE;
  }

  private void send() {
    Producer<byte[], byte[]> producer = null;
    try {
      producer = connected();
      while (producer != null && !(closing && queue.isEmpty() && manifestTaken)) {
        if (closingMillisLeft() == 0) {
          break;
        }
        if (!manifestTaken) {
          sendManifest(producer);
        }
        Item item = queue.poll(20, TimeUnit.MILLISECONDS);
        if (item != null) {
          sendItem(producer, item);
        }
      }
    } catch (InterruptedException e) {
      // Closing took too long.
    } finally {
      if (producer != null) {
        producer.close(Duration.ofMillis(Math.min(closingMillisLeft(), CLOSING.toMillis())));
      }
      queue.forEach(item -> lose("closed before it was sent"));
    }
  }

  /** Connects, however long it takes: a name that cannot be resolved yet may be later. */
  private Producer<byte[], byte[]> connected() throws InterruptedException {
    while (closingMillisLeft() > 0) {
      try {
        return connect.get();
      } catch (RuntimeException e) {
        lastError = describe(e);
        TimeUnit.MILLISECONDS.sleep(Math.min(RETRY.toMillis(), closingMillisLeft()));
      }
    }
    return null;
  }

  @SuppressWarnings("FutureReturnValueIgnored") // The callback tells the same.
  private void sendManifest(Producer<byte[], byte[]> producer) {
    // Shards that come before their manifest wait for it, but only so long: nothing goes before it.
    try {
      List<Encoded> parts = Codecs.MANIFESTS.encode(manifestOfThisAttempt());
      AtomicLong taken = new AtomicLong();
      for (Encoded part : parts) {
        producer.send(
            new ProducerRecord<>(Codecs.MANIFESTS.topic().topicName(), part.key(), part.value()),
            (metadata, failure) -> {
              if (failure != null) {
                lastError = describe(failure);
              } else if (taken.incrementAndGet() == parts.size()) {
                manifestTaken = true;
              }
            });
      }
      producer.flush();
    } catch (RuntimeException e) {
      lastError = describe(e);
    }
  }

  private Manifest manifestOfThisAttempt() {
    return new Manifest(
        manifest.runId(),
        options.attempt(),
        manifest.stream(),
        manifest.manifestId(),
        manifest.part(),
        manifest.parts(),
        manifest.firstLayer(),
        manifest.layerCount(),
        manifest.worldSize(),
        manifest.mesh(),
        manifest.reporting(),
        manifest.reduceOp(),
        manifest.gradientDtype(),
        manifest.reductionDtype(),
        manifest.masterDtype(),
        manifest.optimizer(),
        manifest.adamEps(),
        manifest.layers());
  }

  private void sendItem(Producer<byte[], byte[]> producer, Item item) {
    try {
      if (item.event() != null) {
        send(producer, Codecs.RUNS, item.event());
      } else {
        send(producer, Codecs.SHARDS, shard(item));
      }
    } catch (RuntimeException e) {
      lose(describe(e));
    }
  }

  @SuppressWarnings("FutureReturnValueIgnored") // The callback tells the same.
  private <T> void send(Producer<byte[], byte[]> producer, Codec<T> codec, T value) {
    List<Encoded> records = codec.encode(value);
    AtomicLong taken = new AtomicLong();
    for (Encoded record : records) {
      producer.send(
          new ProducerRecord<>(codec.topic().topicName(), record.key(), record.value()),
          (metadata, failure) -> {
            // A value in several records is sent when all of them are, and lost once when any is.
            if (failure == null) {
              if (taken.incrementAndGet() == records.size()) {
                sent.incrementAndGet();
              }
            } else if (taken.getAndSet(Long.MIN_VALUE) >= 0) {
              lose(describe(failure));
            }
          });
    }
  }

  private Shard shard(Item item) {
    StepReport report = item.report();
    LayerColumns columns = item.stage() == Stage.LOCAL ? report.local : report.reduced;
    return new Shard(
        new StepId(options.runId(), options.attempt(), options.stream(), report.step),
        options.rank(),
        options.coords().stream().mapToInt(Integer::intValue).toArray(),
        0,
        1,
        manifest.manifestId(),
        item.stage(),
        item.previousStep(),
        report.accumIndex,
        report.accumSteps,
        clock.getAsLong(),
        producerSeq++,
        dropped.get(),
        report.samples,
        report.lossScale,
        report.skipped,
        report.clip,
        report.globalNorm,
        report.loss,
        report.validationLoss,
        report.learningRates,
        options.host(),
        options.device(),
        columns,
        null);
  }

  private void lose(String why) {
    dropped.incrementAndGet();
    lastError = why;
  }

  private static String describe(Throwable failure) {
    return failure.getClass().getSimpleName() + ": " + failure.getMessage();
  }
}
