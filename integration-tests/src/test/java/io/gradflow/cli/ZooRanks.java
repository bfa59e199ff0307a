package io.gradflow.cli;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import io.gradflow.trainer.GradientPublisher;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.SignalPolicy;
import io.gradflow.training.zoo.Parameter;
import io.gradflow.training.zoo.ZooObserver;
import io.gradflow.training.zoo.ZooStep;
import io.gradflow.training.zoo.ZooTraining;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/** The ranks of a training of the zoo, of one stream and attempt, each with a real publisher. */
final class ZooRanks implements ZooObserver {
  /** Between steps: publishers drop what is faster than Kafka. */
  private static final long PAUSE_NANOS = 4_000_000;

  private final List<GradientPublisher> publishers = new ArrayList<>();

  ZooRanks(String bootstrapServers, String runId, ZooTraining training) {
    int ranks = training.options().ranks();
    List<Layer> layers = new ArrayList<>();
    for (Parameter parameter : training.parameters()) {
      layers.add(
          new Layer(
              parameter.name(),
              parameter.block(),
              parameter.depth(),
              parameter.kind(),
              parameter.elements(),
              "float32",
              parameter.trainable(),
              parameter.sparse(),
              parameter.zeroInit(),
              null,
              List.of(Placement.REPLICATE)));
    }
    Manifest manifest =
        new Manifest(
                runId,
                1,
                "main",
                0,
                0,
                1,
                0,
                layers.size(),
                ranks,
                List.of(new MeshAxis("dp_replicate", ranks)),
                List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
                "mean",
                "float32",
                "float32",
                "float32",
                training.options().optimiser().label(),
                null,
                layers)
            .identified();
    for (int rank = 0; rank < ranks; rank++) {
      GradientPublisher publisher =
          GradientPublisher.start(
              PublisherOptions.of(bootstrapServers, runId, 1, rank)
                  .with(SignalPolicy.parse("moments,weights,dots")));
      if (rank == 0) {
        publisher.announce(manifest);
      } else {
        publisher.refer(manifest);
      }
      publishers.add(publisher);
    }
  }

  @Override
  public void step(ZooStep step) {
    for (int rank = 0; rank < publishers.size(); rank++) {
      var report =
          publishers
              .get(rank)
              .step(step.step())
              .gradients(step.local()[rank], step.reduced())
              .globalNorm(step.reportedNorm()[rank])
              .weights(step.weights())
              .updateNorms(floats(step.updateNorms()))
              .loss(step.losses()[rank])
              .learningRates(step.learningRate())
              .weight(step.samples()[rank]);
      report.publish();
    }
    LockSupport.parkNanos(PAUSE_NANOS);
  }

  @Override
  public void event(
      int attempt, int stream, long step, RunEvent.Type type, Map<String, String> attributes) {
    publishers.get(0).event(type, attributes);
  }

  /** Sends what waits; returns what was dropped. */
  long finish() {
    publishers.forEach(GradientPublisher::close);
    return publishers.stream()
        .mapToLong(publisher -> publisher.stats().dropped() + publisher.stats().failed())
        .sum();
  }

  private static float[] floats(double[] values) {
    if (values == null) {
      return null;
    }
    float[] floats = new float[values.length];
    for (int i = 0; i < floats.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }
}
