package io.gradflow.benchmarks.quality;

import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.training.zoo.Trial;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What the quality benchmark makes of a training: without Kafka, without Flink. */
public final class PureMachines {
  private PureMachines() {}

  /**
   * The alerts of a training, in order.
   *
   * @param folder where its trace goes
   */
  public static List<Alert> alerts(Trial trial, Path folder) throws IOException {
    Path file = folder.resolve(trial.family().label() + ".trace");
    Traces.make(trial, file, null);
    List<Alert> alerts = new ArrayList<>();
    Watcher.Watch watch = new GradflowWatcher(alerts::add).watch(1);
    Trace.at(file)
        .read(
            new Trace.Reader() {
              @Override
              public void manifest(Manifest manifest) {
                watch.manifest(manifest);
              }

              @Override
              public void step(long at, Step step) {
                watch.step(at, step);
              }
            });
    return alerts;
  }
}
