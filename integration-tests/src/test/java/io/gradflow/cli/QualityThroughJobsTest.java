package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.benchmarks.quality.PureMachines;
import io.gradflow.core.StepId;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.training.zoo.Family;
import io.gradflow.training.zoo.Trial;
import io.gradflow.training.zoo.ZooTraining;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The quality benchmark runs the pure machines. Trainings of three of its families, published by
 * real publishers to a real broker and judged by both jobs, come to the same incidents.
 */
class QualityThroughJobsTest {
  private static final List<Family> FAMILIES =
      List.of(Family.WEIGHTS_GROWING, Family.FROZEN_LAYER, Family.SIGMOID_DEPTH);
  private static final int MOST_DRAWN = 50;

  @TempDir Path folder;

  @Test
  void threeFamiliesComeToTheSameIncidentsThroughTheJobs() throws Exception {
    List<Alert> published = new ArrayList<>();
    List<StepId> lastSteps = new ArrayList<>();
    LocalStack.Settings settings =
        new LocalStack.Settings(
            new Workspace(folder.resolve("stack")), OptionalInt.of(0), OptionalInt.of(0), 2, 3);
    try (LocalStack stack =
        LocalStack.start(settings, new Progress(new PrintWriter(new StringWriter())))) {
      LocalJobs jobs = LocalJobs.start(stack);
      String brokers = stack.kafka().bootstrapServers();
      for (Family family : FAMILIES) {
        ZooTraining training = plain(family).training();
        ZooRanks ranks = new ZooRanks(brokers, family.label(), training);
        training.run(ranks);
        assertThat(ranks.finish()).as("dropped of %s", family.label()).isZero();
        lastSteps.add(
            new StepId(family.label(), 1, StepId.MAIN_STREAM, training.options().steps() - 1L));
      }
      try (Analysis analysis = new Analysis(brokers, published::add)) {
        assertThat(analysis.settle(jobs, lastSteps)).isEmpty();
      }
    }

    for (Family family : FAMILIES) {
      List<String> pure = incidents(PureMachines.alerts(plain(family), folder));
      List<String> jobs =
          incidents(
              published.stream().filter(alert -> alert.runId().equals(family.label())).toList());

      assertThat(pure).as(family.label()).isNotEmpty();
      assertThat(jobs).as(family.label()).containsExactlyElementsOf(pure);
    }
  }

  /** The first training of a family that a publisher of one stream and attempt can publish. */
  private static Trial plain(Family family) {
    for (long seed = 500; seed < 500 + MOST_DRAWN; seed++) {
      Trial trial = family.draw(seed);
      ZooTraining training = trial.training();
      boolean plain =
          training.streams().size() == 1
              && trial.options().tensorParallel() == 1
              && trial.options().scaling() == null
              && trial.options().every() == 1
              && trial.options().occasions().isEmpty()
              && Double.isNaN(trial.options().clipNorm());
      if (plain) {
        return trial;
      }
    }
    throw new IllegalStateException("no plain training among those drawn of " + family);
  }

  /** When each opened, what it says, and what it blames; of faults. */
  private static List<String> incidents(List<Alert> alerts) {
    return alerts.stream()
        .filter(alert -> alert.severity() != Severity.INFO)
        .filter(alert -> alert.state() == Alert.State.OPENED)
        .map(
            alert ->
                "%s %s %s %s opened %d onset %d"
                    .formatted(
                        alert.kind(),
                        alert.context().cause(),
                        alert.rootLayer(),
                        alert.rootRank(),
                        alert.openedStep(),
                        alert.onsetStep()))
        .distinct()
        .toList();
  }
}
