package io.gradflow.training;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import io.gradflow.trainer.GradientPublisher;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.SignalPolicy;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The ranks of a training, each publishing its gradients as a trainer of any kind would: LOCAL and
 * REDUCED, one publisher a rank, with every signal that a training without clipping or loss scaling
 * has.
 */
public final class PublishedRanks implements StepObserver, AutoCloseable {
  private static final SignalPolicy SIGNALS =
      SignalPolicy.parse("moments,weights,dots,histogram:10,sketch:10");

  private final List<GradientPublisher> publishers = new ArrayList<>();
  private final long[] lastSteps;

  /**
   * Opens a publisher for each rank and says that the run has started.
   *
   * @param attempt start of this attempt, ms since the epoch
   * @param layers of the training
   */
  public PublishedRanks(
      String bootstrapServers, String runId, long attempt, int ranks, List<Layer> layers) {
    Manifest manifest = manifest(runId, attempt, ranks, layers);
    lastSteps = new long[ranks];
    for (int rank = 0; rank < ranks; rank++) {
      GradientPublisher publisher =
          GradientPublisher.start(
              PublisherOptions.of(bootstrapServers, runId, attempt, rank).with(SIGNALS));
      if (rank == 0) {
        publisher.announce(manifest);
        publisher.event(RunEvent.Type.STARTED, Map.of("ranks", Integer.toString(ranks)));
      } else {
        publisher.refer(manifest);
      }
      publishers.add(publisher);
    }
  }

  /** What such a training declares: plain data parallelism, every rank reporting every step. */
  public static Manifest manifest(String runId, long attempt, int ranks, List<Layer> layers) {
    List<io.gradflow.core.shard.Layer> declared =
        layers.stream().map(PublishedRanks::declare).toList();
    return new Manifest(
            runId,
            attempt,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            declared.size(),
            ranks,
            List.of(new MeshAxis("dp_replicate", ranks)),
            List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32",
            "float32",
            "float32",
            "sgd",
            null,
            declared)
        .identified();
  }

  private static io.gradflow.core.shard.Layer declare(Layer layer) {
    return new io.gradflow.core.shard.Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind() == Layer.Kind.BIAS ? LayerKind.BIAS : LayerKind.WEIGHT,
        layer.elements(),
        "float32",
        true,
        false,
        layer.zeroInit(),
        null,
        List.of(Placement.REPLICATE));
  }

  @Override
  public void observe(RankStep step) {
    lastSteps[step.rank()] = step.step();
    publishers
        .get(step.rank())
        .step(step.step())
        .gradients(step.local(), step.reduced())
        .globalNorm(globalNorm(step.reduced()))
        .weights(step.weights())
        .updateNorms(step.updateNorms())
        .activations(step.activations(), step.saturated())
        .loss(step.loss())
        .learningRates(step.learningRate())
        .weight(step.samples())
        .publish();
  }

  /** In single precision, as frameworks do it: the norm of the layers' norms. */
  static float globalNorm(float[]... gradient) {
    float squares = 0;
    for (float[] layer : gradient) {
      float even = 0;
      float odd = 0;
      int i = 0;
      for (; i + 1 < layer.length; i += 2) {
        even += layer[i] * layer[i];
        odd += layer[i + 1] * layer[i + 1];
      }
      squares += even + odd + (i < layer.length ? layer[i] * layer[i] : 0);
    }
    return (float) Math.sqrt(squares);
  }

  /** Records that any rank's publisher dropped or could not deliver so far. */
  public long dropped() {
    return publishers.stream()
        .map(GradientPublisher::stats)
        .mapToLong(stats -> stats.dropped() + stats.failed())
        .sum();
  }

  /** Sends what waits, then says that the run is finished. Not before the training has ended. */
  public void finish() {
    // A rank that stopped reporting does not know how far the others came.
    int furthest = 0;
    for (int rank = 1; rank < lastSteps.length; rank++) {
      furthest = lastSteps[rank] > lastSteps[furthest] ? rank : furthest;
    }
    GradientPublisher last = publishers.get(furthest);
    publishers.stream().filter(publisher -> publisher != last).forEach(GradientPublisher::close);
    last.event(RunEvent.Type.FINISHED, Map.of());
    last.close();
  }

  /** Closes without a word, as a training that dies does. */
  @Override
  public void close() {
    publishers.forEach(GradientPublisher::close);
  }
}
