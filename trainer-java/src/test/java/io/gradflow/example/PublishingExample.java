package io.gradflow.example;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import io.gradflow.trainer.GradientPublisher;
import io.gradflow.trainer.PublisherOptions;
import java.util.List;
import java.util.Map;

/** One rank of a training that publishes its gradients. */
public final class PublishingExample {
  private PublishingExample() {}

  /** What your framework does; gradients are one array per layer, in the manifest's order. */
  public interface Trainer {
    /** Forward and backward pass of this rank's batch. */
    float[][] backward(long step);

    /** Loss of that batch. */
    double loss();

    /** Samples in that batch. */
    int samples();

    /** The mean of the gradients over all ranks: whole layers, or this rank's slices of them. */
    float[][] reduce(float[][] gradients);

    /** Applies the reduced gradients. */
    void update(float[][] gradients);
  }

  /** Trains this rank, publishing to where the environment says. */
  public static void train(Trainer trainer, long steps, int ranks) {
    PublisherOptions options = PublisherOptions.fromEnvironment(System.getenv());
    try (GradientPublisher publisher = GradientPublisher.start(options)) {
      train(publisher, options, replicated(options, ranks), trainer, steps);
    }
  }

  public static void train(
      GradientPublisher publisher,
      PublisherOptions options,
      Manifest manifest,
      Trainer trainer,
      long steps) {
    boolean speaksForTheRun = options.rank() == 0;
    if (speaksForTheRun) {
      publisher.announce(manifest);
      publisher.event(RunEvent.Type.STARTED, Map.of("learningRate", "0.1"));
    } else {
      publisher.refer(manifest);
    }
    for (long step = 0; step < steps; step++) {
      float[][] local = trainer.backward(step);
      var report = publisher.step(step).local(local); // measured here; the array is yours again
      float[][] reduced = trainer.reduce(local);
      report
          .reduced(reduced) // before clipping
          .loss(trainer.loss())
          .weight(trainer.samples())
          .learningRates(0.1)
          .publish();
      trainer.update(reduced);
    }
    // Only at the end of a whole training: without it, it has died.
    if (speaksForTheRun) {
      publisher.event(RunEvent.Type.FINISHED, Map.of());
    }
  }

  /** One step by its values: they are measured where they are read. */
  public static void publishValues(GradientPublisher publisher, Trainer trainer, long step) {
    float[][] local = trainer.backward(step);
    var report = publisher.step(step).rawLocal(local); // copied here; the array is yours again
    float[][] reduced = trainer.reduce(local);
    report.rawReduced(reduced).loss(trainer.loss()).weight(trainer.samples()).publish();
    trainer.update(reduced);
  }

  /** DDP: after the reduction every rank holds all of every layer. Coordinates: the rank. */
  public static Manifest replicated(PublisherOptions options, int ranks) {
    return manifest(
        options, ranks, List.of(new MeshAxis("dp_replicate", ranks)), List.of(Placement.REPLICATE));
  }

  /**
   * FSDP over the ranks of a host, DDP over hosts: after the reduction every rank holds a slice of
   * every layer. Coordinates: host, rank within the host.
   */
  public static Manifest sharded(PublisherOptions options, int hosts, int ranksPerHost) {
    return manifest(
        options,
        hosts * ranksPerHost,
        List.of(new MeshAxis("dp_replicate", hosts), new MeshAxis("dp_shard", ranksPerHost)),
        List.of(Placement.REPLICATE, Placement.SHARD));
  }

  private static Manifest manifest(
      PublisherOptions options, int ranks, List<MeshAxis> mesh, List<Placement> placement) {
    List<Layer> layers =
        List.of(
            layer("encoder.0.weight", "encoder.0", 0, LayerKind.WEIGHT, 64 * 32, placement),
            layer("encoder.0.bias", "encoder.0", 0, LayerKind.BIAS, 64, placement),
            layer("head.weight", "head", 1, LayerKind.WEIGHT, 8 * 64, placement));
    return new Manifest(
            options.runId(),
            options.attempt(),
            options.stream(),
            0, // manifestId: computed by identified() below
            0, // part 0 of 1: a manifest that is too large is split when it is written
            1,
            0, // first layer
            layers.size(),
            ranks,
            mesh,
            // All ranks (null) publish both stages of every step.
            List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32", // gradients
            "float32", // reduction
            "float32", // master weights
            "sgd",
            null, // Adam's epsilon
            layers)
        .identified();
  }

  private static Layer layer(
      String name,
      String block,
      int depth,
      LayerKind kind,
      long elements,
      List<Placement> placement) {
    boolean trainable = true;
    boolean sparse = false;
    boolean zeroInit = false;
    String tiedTo = null;
    return new Layer(
        name, block, depth, kind, elements, "float32", trainable, sparse, zeroInit, tiedTo,
        placement);
  }
}
