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
import io.gradflow.trainer.PublisherStats;
import io.gradflow.trainer.StepReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * The ranks of a training, each publishing its gradients as a trainer of any kind would: LOCAL and
 * REDUCED, one publisher a rank.
 */
public final class PublishedRanks implements StepObserver, AutoCloseable {
  private final List<GradientPublisher> publishers = new ArrayList<>();

  /**
   * Opens a publisher for each rank and says that the run has started.
   *
   * @param attempt start of this attempt, ms since the epoch
   * @param layers of the training
   */
  public PublishedRanks(
      String bootstrapServers, String runId, long attempt, int ranks, List<Layer> layers) {
    Manifest manifest = manifest(runId, attempt, ranks, layers);
    PublisherOptions options = PublisherOptions.of(bootstrapServers, runId, attempt);
    for (int rank = 0; rank < ranks; rank++) {
      publishers.add(GradientPublisher.open(options.withRank(rank), manifest));
    }
    publishers.get(0).event(RunEvent.Type.STARTED, -1, Map.of("ranks", Integer.toString(ranks)));
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
    publishers
        .get(step.rank())
        .publish(
            StepReport.of(step.step())
                .local(step.local())
                .reduced(step.reduced())
                .loss(step.loss())
                .learningRates(step.learningRate())
                .samples(step.samples()));
  }

  /** Records that any rank's publisher dropped so far. */
  public long dropped() {
    return publishers.stream()
        .map(GradientPublisher::stats)
        .mapToLong(PublisherStats::dropped)
        .sum();
  }

  /** Sends what waits, then says that the run is finished. */
  public void finish(long lastStep) {
    publishers.subList(1, publishers.size()).forEach(GradientPublisher::close);
    publishers.get(0).event(RunEvent.Type.FINISHED, lastStep, Map.of());
    publishers.get(0).close();
  }

  /** Closes without a word, as a training that dies does. */
  @Override
  public void close() {
    publishers.forEach(GradientPublisher::close);
  }
}
