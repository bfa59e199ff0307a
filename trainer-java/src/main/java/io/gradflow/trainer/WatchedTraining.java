package io.gradflow.trainer;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import org.apache.kafka.clients.producer.Producer;

/**
 * What the listeners of all frameworks have in common: a data-parallel training whose every rank
 * has the whole model, published as its framework tells of it.
 *
 * <p>The manifest is published when the first step is, and again when the model has changed; the
 * rank 0 announces it and the start of the run. A lone rank's gradient is the REDUCED one; of
 * several ranks a listener sees the LOCAL ones.
 *
 * <p>Guarantees: nothing throws into the training, and nothing but {@link #close} waits. What waits
 * for Kafka when the JVM ends is sent, for two seconds at most.
 *
 * <p>Assumes that one thread at a time tells of steps.
 */
public final class WatchedTraining implements AutoCloseable {
  private final PublisherOptions options;
  private final GradientPublisher publisher;
  private final Complaints complaints;
  private final Thread atExit;
  private final int worldSize;
  private Manifest announced;
  private boolean started;
  private long lastStep = -1;

  private WatchedTraining(PublisherOptions options, GradientPublisher publisher) {
    this.options = options;
    this.publisher = publisher;
    this.worldSize = options.worldSize() == null ? options.rank() + 1 : options.worldSize();
    this.complaints =
        new Complaints(
            "gradflow listener of run " + options.runId() + " rank " + options.rank(),
            InstantSource.system());
    this.atExit = new Thread(publisher::close, "gradflow publishes what is left");
    if (options.enabled()) {
      Runtime.getRuntime().addShutdownHook(atExit);
    }
  }

  /** Publishes with these options. */
  public static WatchedTraining start(PublisherOptions options) {
    return new WatchedTraining(options, GradientPublisher.start(options));
  }

  /** The same through producers of the caller's own making. */
  public static WatchedTraining start(
      PublisherOptions options, Supplier<Producer<byte[], byte[]>> producers) {
    return new WatchedTraining(options, GradientPublisher.start(options, producers));
  }

  /** Whether a step is measured and published. */
  public boolean isDue(long step) {
    return options.isDue(step);
  }

  /**
   * Publishes a step, if it is due and not published yet.
   *
   * @param manifest of the model as it is now, by {@link #manifest}; asked for in each step
   * @param gradient says what there is to say of the step beside its gradient, and returns that:
   *     position i is the manifest's layer i; empty of one that has none
   */
  public void step(
      long step, Supplier<Manifest> manifest, Function<StepReport, float[][]> gradient) {
    // An optimiser that searches along a line sees the gradient of a step more than once.
    if (!isDue(step) || step == lastStep) {
      return;
    }
    lastStep = step;
    try {
      StepReport report = publisher.step(step);
      describe(manifest.get());
      float[][] values = gradient.apply(report);
      if (stage() == Stage.REDUCED) {
        report.reduced(values);
      } else {
        report.local(values);
      }
      start(report);
      report.publish();
    } catch (RuntimeException | LinkageError e) {
      complaints.about("step " + step + " cannot be published", e);
    }
  }

  private void describe(Manifest manifest) {
    if (manifest.equals(announced)) {
      return;
    }
    announced = manifest;
    if (options.rank() == 0) {
      publisher.announce(manifest);
    } else {
      publisher.refer(manifest);
    }
  }

  private void start(StepReport report) {
    if (!started && options.rank() == 0) {
      Map<String, String> attributes = new TreeMap<>();
      attributes.put("batch", Long.toString(Math.round(report.weight)));
      if (report.learningRates != null && report.learningRates.length > 0) {
        attributes.put("learningRate", Double.toString(report.learningRates[0]));
      }
      publisher.event(RunEvent.Type.STARTED, attributes);
    }
    started = true;
  }

  private Stage stage() {
    return worldSize == 1 ? Stage.REDUCED : Stage.LOCAL;
  }

  /**
   * The manifest of a model of which every rank has all. Its id is left to the publisher: it takes
   * a walk over all names, and this is asked for in each step.
   *
   * @param layers without placement: it is filled in
   * @param optimizer, adamEps null if unknown
   */
  public Manifest manifest(List<Layer> layers, String optimizer, Double adamEps) {
    Set<String> dtypes = layers.stream().map(Layer::dtype).collect(Collectors.toSet());
    String dtype = dtypes.size() == 1 ? dtypes.iterator().next() : null;
    return new Manifest(
        options.runId(),
        options.attempt(),
        options.stream(),
        0,
        0,
        1,
        0,
        layers.size(),
        worldSize,
        List.of(new MeshAxis("dp_replicate", worldSize)),
        List.of(new Reporting(stage(), null, 1)),
        "mean",
        dtype,
        null,
        null,
        optimizer,
        adamEps,
        layers.stream().map(WatchedTraining::replicated).toList());
  }

  private static Layer replicated(Layer layer) {
    return new Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind(),
        layer.elements(),
        layer.dtype(),
        layer.trainable(),
        layer.sparse(),
        layer.zeroInit(),
        layer.tiedTo(),
        List.of(Placement.REPLICATE));
  }

  /** Publishes something that happened to the training, such as a checkpoint. */
  public void event(RunEvent.Type type, Map<String, String> attributes) {
    publisher.event(type, attributes);
  }

  /** Says that the training came to its end, and closes. Without it, it has died. */
  public void finished() {
    if (options.rank() == 0) {
      publisher.event(RunEvent.Type.FINISHED, Map.of());
    }
    close();
  }

  /** What became of everything published so far. */
  public PublisherStats stats() {
    return publisher.stats();
  }

  /** Sends what waits and ends, within two seconds. */
  @Override
  public void close() {
    publisher.close();
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      // The JVM is ending, and has started it.
    }
  }
}
