package io.gradflow.trainer;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import io.gradflow.trainer.Sender.Notice;
import io.gradflow.trainer.Sender.PendingShard;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Supplier;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Publishes one rank's gradients.
 *
 * <p>Guarantees: after {@link #open} nothing throws and nothing but {@link #close(Duration)} waits
 * for Kafka, whether the broker is there, slow or dead. What is handed over waits in a bounded
 * queue for a daemon thread that encodes and sends it in order. A shard that finds the queue full
 * pushes the oldest one out; manifest and events stay. What is lost is counted ({@link #stats}),
 * and the count travels in every later shard.
 *
 * <p>Several threads may publish, but steps must be published in order.
 */
public final class GradientPublisher implements AutoCloseable {
  private static final Duration CLOSING = Duration.ofSeconds(2);

  private final PublisherOptions options;
  private final InstantSource clock;
  private final Tally tally = new Tally();
  private final Complaints complaints;
  private final Outbox<PendingShard, Notice> outbox;
  private final Sender sender;
  private final Thread thread;
  private volatile long manifestId;
  private long lastStep = -1;
  private long stepBeforeLast = -1;
  private long notices;

  GradientPublisher(
      PublisherOptions options,
      Manifest manifest,
      Supplier<Producer<byte[], byte[]>> producers,
      InstantSource clock) {
    this.options = options;
    this.clock = clock;
    String name =
        "gradflow publisher of run "
            + options.runId()
            + " stream "
            + options.stream()
            + " rank "
            + options.rank();
    this.complaints = new Complaints(name, clock);
    this.outbox = new Outbox<>(options.queueCapacity());
    this.sender = new Sender(options, outbox, producers, clock, tally, complaints);
    this.thread = new Thread(sender, name);
    thread.setDaemon(true);
    thread.start();
    announce(manifest);
  }

  /**
   * Opens a publisher. Kafka is connected to in the background and need not be there yet.
   *
   * @param manifest the layers whose gradients will be published, whole; see {@link #announce}
   */
  public static GradientPublisher open(PublisherOptions options, Manifest manifest) {
    Map<String, Object> properties = producerProperties(options);
    return new GradientPublisher(
        options,
        manifest,
        () -> new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer()),
        InstantSource.system());
  }

  private static Map<String, Object> producerProperties(PublisherOptions options) {
    Map<String, Object> properties = new HashMap<>();
    properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrapServers());
    properties.put(ProducerConfig.CLIENT_ID_CONFIG, "gradflow-rank-" + options.rank());
    properties.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
    properties.put(ProducerConfig.ACKS_CONFIG, "all");
    properties.put(ProducerConfig.LINGER_MS_CONFIG, 2);
    // Only the sender's own thread ever waits for these.
    properties.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, 1_000);
    properties.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000);
    properties.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 30_000);
    properties.put(ProducerConfig.BUFFER_MEMORY_CONFIG, 16L << 20);
    properties.putAll(options.kafkaProperties());
    return properties;
  }

  /**
   * Refers to this manifest from the next step on, as a changed model needs. The lowest rank that
   * reports anything publishes it, alone, before anything else; again after any loss.
   *
   * @param manifest a whole one; its id, unless it has one, is computed here
   */
  public void announce(Manifest manifest) {
    try {
      Manifest identified = manifest.manifestId() == 0 ? manifest.identified() : manifest;
      manifestId = identified.manifestId();
      if (options.rank() == lowestReportingRank(identified)) {
        put(identified, null);
      }
    } catch (RuntimeException e) {
      lose("a manifest cannot be published", e);
    }
  }

  private static int lowestReportingRank(Manifest manifest) {
    return manifest.reporting().stream()
        .mapToInt(r -> r.ranks() == null || r.ranks().length == 0 ? 0 : r.ranks()[0])
        .min()
        .orElse(0);
  }

  /** Publishes what the report has of each stage. Returns at once, never throws. */
  public void publish(StepReport report) {
    if (report.unmeasured != null) {
      lose("a gradient of step " + report.step + " cannot be measured", report.unmeasured);
    }
    publish(report, Stage.LOCAL, report.local);
    publish(report, Stage.REDUCED, report.reduced);
  }

  private void publish(StepReport report, Stage stage, LayerColumns columns) {
    if (columns != null) {
      tally.offered();
      long previous = previousStep(report.step);
      tally.dropped(
          outbox.putShard(new PendingShard(report, stage, columns, previous, manifestId)));
    }
  }

  /** The step reported before this one, -1 at the first; a training that goes back begins anew. */
  private synchronized long previousStep(long step) {
    if (step != lastStep) {
      stepBeforeLast = step > lastStep ? lastStep : -1;
      lastStep = step;
    }
    return stepBeforeLast;
  }

  /**
   * Publishes something that happened to the run. One rank should do it for all. Returns at once,
   * never throws.
   *
   * @param step the last step published before it; of {@code FINISHED} the run's last
   * @param attributes details by name, e.g. {@code learningRate, batch, checkpoint}
   */
  public void event(RunEvent.Type type, long step, Map<String, String> attributes) {
    try {
      put(
          null,
          new RunEvent(
              options.runId(),
              options.attempt(),
              options.stream(),
              step,
              type,
              clock.millis(),
              Map.copyOf(attributes)));
    } catch (RuntimeException e) {
      lose("an event cannot be published", e);
    }
  }

  /** How it is doing now. */
  public PublisherStats stats() {
    return tally.stats(complaints.last());
  }

  /**
   * Sends what waits and ends, after this long at the latest; what is left then is counted as
   * dropped. A second call does nothing.
   */
  public void close(Duration atMost) {
    // The sender's time is shorter, so that it can still count what it could not send.
    sender.close(atMost.multipliedBy(9).dividedBy(10));
    try {
      thread.join(Math.max(1, atMost.toMillis()));
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    thread.interrupt();
  }

  /** {@link #close(Duration)} within two seconds. */
  @Override
  public void close() {
    close(CLOSING);
  }

  private synchronized void put(Manifest manifest, RunEvent event) {
    tally.offered();
    tally.dropped(outbox.putNotice(new Notice(notices++, manifest, event)));
  }

  private void lose(String what, RuntimeException cause) {
    tally.offered();
    tally.dropped(1);
    complaints.about(what, cause);
  }
}
