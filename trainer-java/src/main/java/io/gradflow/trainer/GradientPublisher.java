package io.gradflow.trainer;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.shard.Stage;
import io.gradflow.trainer.Sender.Notice;
import io.gradflow.trainer.Sender.PendingShard;
import java.math.BigInteger;
import java.time.Duration;
import java.time.InstantSource;
import java.util.HashMap;
import java.util.Map;
import java.util.function.IntToLongFunction;
import java.util.function.Supplier;
import org.apache.kafka.clients.CommonClientConfigs;
import org.apache.kafka.clients.MetadataRecoveryStrategy;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Publishes one rank's gradients.
 *
 * <p>Guarantees: after {@link #start} nothing throws and nothing but {@link #close(Duration)} waits
 * for Kafka, whether the broker is there, slow or dead. What finds no room is counted ({@link
 * #stats}), and the count travels with the next record. Records of one rank keep their order.
 *
 * <p>Switched off by its options, it does nothing at all: it has no thread and makes no producer.
 *
 * <p>Assumes that one thread at a time reports steps; any thread may do the rest.
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
  private final PreviousGradient previous = new PreviousGradient();
  private volatile ManifestLayers layers = ManifestLayers.NONE;
  private volatile long lastStep = -1;
  private long lastPublished = -1;
  private long publishedBefore = -1;
  private long notices;

  GradientPublisher(
      PublisherOptions options, Supplier<Producer<byte[], byte[]>> producers, InstantSource clock) {
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
    if (options.enabled()) {
      thread.start();
    }
  }

  /** Starts publishing. Connects in the background: the broker need not be there yet. */
  public static GradientPublisher start(PublisherOptions options) {
    Map<String, Object> properties = producerProperties(options);
    return start(
        options,
        () ->
            new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer()));
  }

  /**
   * The same through producers of the caller's own making: the options' servers and properties do
   * not count then. The publisher asks for one in the background, for another where one has broken,
   * and closes them.
   */
  public static GradientPublisher start(
      PublisherOptions options, Supplier<Producer<byte[], byte[]>> producers) {
    return new GradientPublisher(options, producers, InstantSource.system());
  }

  private static Map<String, Object> producerProperties(PublisherOptions options) {
    Map<String, Object> properties = new HashMap<>();
    properties.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, options.bootstrapServers());
    properties.put(ProducerConfig.CLIENT_ID_CONFIG, "gradflow-rank-" + options.rank());
    properties.put(ProducerConfig.ENABLE_IDEMPOTENCE_CONFIG, true);
    properties.put(ProducerConfig.ACKS_CONFIG, "all");
    properties.put(ProducerConfig.LINGER_MS_CONFIG, 5);
    // Only the sender's own thread ever waits for these. A burst of raw values is larger than the
    // buffer: it waits for room rather than being lost.
    properties.put(ProducerConfig.MAX_BLOCK_MS_CONFIG, 10_000);
    properties.put(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000);
    // A broker that restarts is back within a minute. Until then records wait in the producer,
    // which
    // therefore must not forget the topics when no broker answers.
    properties.put(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 120_000);
    properties.put(
        CommonClientConfigs.METADATA_RECOVERY_STRATEGY_CONFIG, MetadataRecoveryStrategy.NONE.name);
    properties.put(ProducerConfig.BUFFER_MEMORY_CONFIG, 16L << 20);
    properties.putAll(options.kafka());
    return properties;
  }

  /**
   * Publishes what the training is made of, and refers to it from the next step on. One rank is
   * enough for all that have the same layers; the others {@link #refer} to it.
   *
   * <p>Where the options sample steps, the manifest is published with that: a stage it says is
   * reported every n-th step is then reported in those that both name.
   *
   * @param manifest a whole one; its id is computed here
   */
  public void announce(Manifest manifest) {
    if (!options.enabled()) {
      return;
    }
    try {
      Manifest identified = sampled(manifest).identified();
      layers = ManifestLayers.of(identified);
      put(identified, null);
    } catch (RuntimeException e) {
      lose("a manifest cannot be published", e);
    }
  }

  /**
   * Refers to a manifest that another rank announces, from the next step on.
   *
   * @param announced a whole one, as {@link #announce} was given it; its id is computed here
   */
  public void refer(Manifest announced) {
    if (!options.enabled()) {
      return;
    }
    try {
      layers = ManifestLayers.of(sampled(announced).identified());
    } catch (RuntimeException e) {
      complaints.about("a manifest cannot be referred to", e);
    }
  }

  /**
   * Refers to a manifest of which only the id is known, from the next step on: subnormals are then
   * those of float32, and there are sketches only where {@link StepReport#slicesAt} says.
   *
   * @param announcedManifestId as it was published
   */
  public void refer(long announcedManifestId) {
    layers = new ManifestLayers(announcedManifestId, null);
  }

  /** The manifest of those of its steps that the options let through. */
  private Manifest sampled(Manifest manifest) {
    if (options.every() == 1) {
      return manifest;
    }
    return manifest.with(
        manifest.reporting().stream()
            .map(said -> new Reporting(said.stage(), said.ranks(), inCommon(said.every())))
            .toList());
  }

  /** One step in so many is a multiple of both that number and the options'. */
  private int inCommon(int every) {
    long divisor =
        BigInteger.valueOf(every).gcd(BigInteger.valueOf(options.every())).longValueExact();
    return Math.toIntExact(every / divisor * options.every());
  }

  /**
   * Publishes something that happened to the run, after the last step reported. One rank is enough.
   *
   * @param attributes details by name, e.g. {@code learningRate, batch, checkpoint}
   */
  public void event(RunEvent.Type type, Map<String, String> attributes) {
    if (!options.enabled()) {
      return;
    }
    try {
      put(
          null,
          new RunEvent(
              options.runId(),
              options.attempt(),
              options.stream(),
              lastStep,
              type,
              clock.millis(),
              Map.copyOf(attributes)));
    } catch (RuntimeException e) {
      lose("an event cannot be published", e);
    }
  }

  /** A report of a step, to be filled and published; the stream's steps count from 0. */
  public StepReport step(long step) {
    return new StepReport(this, step);
  }

  /** What became of everything handed over so far. */
  public PublisherStats stats() {
    return tally.stats();
  }

  /**
   * Sends what waits and ends, after this long at the latest; what is left then is counted as
   * dropped or failed. A second call does nothing.
   */
  public void close(Duration atMost) {
    if (!options.enabled()) {
      return;
    }
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

  boolean isDue(long step) {
    return options.isDue(step);
  }

  SignalPolicy signals() {
    return options.signals();
  }

  PreviousGradient previous() {
    return previous;
  }

  /** What slices of the layers 0, 1, 2... are slices of; see {@link ManifestLayers#slicing}. */
  Slicing slicing(int slices, IntToLongFunction elements, long... said) {
    return layers.slicing(options.runId(), slices, elements, said);
  }

  void publish(StepReport report) {
    if (report.step < lastStep) {
      // A training that goes back in steps begins anew.
      lastPublished = -1;
    }
    lastStep = report.step;
    if (!report.isDue()) {
      return;
    }
    if (report.step != lastPublished) {
      publishedBefore = lastPublished;
      lastPublished = report.step;
    }
    report
        .finished(publishedBefore)
        .forEach(
            (stage, gradient) -> {
              tally.handedOver();
              tally.dropped(
                  outbox.putShard(
                      new PendingShard(
                          report, stage, gradient, publishedBefore, layers.manifestId()),
                      gradient.room()));
            });
  }

  /** Says that a step goes without something. */
  void without(String what, long step, RuntimeException cause) {
    complaints.about(what + " of " + id(step) + " cannot be used", cause);
  }

  void unusable(long step, Stage stage, RuntimeException cause) {
    lose("the " + stage + " gradient of " + id(step) + " cannot be used", cause);
  }

  private StepId id(long step) {
    return new StepId(options.runId(), options.attempt(), options.stream(), step);
  }

  private synchronized void put(Manifest manifest, RunEvent event) {
    tally.handedOver();
    tally.dropped(outbox.putNotice(new Notice(notices++, manifest, event)));
  }

  private void lose(String what, RuntimeException cause) {
    tally.handedOver();
    tally.dropped(1);
    complaints.about(what, cause);
  }
}
