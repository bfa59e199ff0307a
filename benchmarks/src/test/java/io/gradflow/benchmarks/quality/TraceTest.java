package io.gradflow.benchmarks.quality;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.training.zoo.Family;
import io.gradflow.training.zoo.Optimiser;
import io.gradflow.training.zoo.Schedule;
import io.gradflow.training.zoo.Trial;
import io.gradflow.training.zoo.Truth;
import io.gradflow.training.zoo.ZooFault;
import io.gradflow.training.zoo.ZooOptions;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TraceTest {
  private static final int STEPS = 200;
  private static final int LAYERS = 6;

  @TempDir Path folder;

  private record Told(Trace trace, List<Manifest> manifests, List<Step> steps, List<Long> times) {}

  private static ZooOptions options(long seed) {
    return ZooOptions.of(seed, 4, 8, STEPS, Optimiser.sgd(), Schedule.constant(0.1));
  }

  private static Trial trial(ZooOptions options, ZooFault... faults) {
    Truth truth =
        new Truth(
            faults.length == 0
                ? List.of()
                : List.of(
                    new Truth.Episode(
                        faults[0].onset(),
                        faults[0].end(),
                        true,
                        Truth.Cause.HARDWARE,
                        List.of(),
                        faults[0].rank())),
            null,
            false);
    return new Trial(
        Family.NAN_LAYER,
        options.seed(),
        options,
        List.of(faults),
        truth,
        () -> new Quadratic(LAYERS),
        faults.length == 0 ? null : () -> new Quadratic(LAYERS));
  }

  private Told told(Trial trial) throws IOException {
    Path file = folder.resolve("a-" + trial.seed() + ".trace");
    Path twin = folder.resolve("a-" + trial.seed() + "-twin.trace");
    Traces.make(trial, file, trial.healthy() == null ? null : twin);
    Told told = new Told(Trace.at(file), new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
    told.trace()
        .read(
            new Trace.Reader() {
              @Override
              public void manifest(Manifest manifest) {
                told.manifests().add(manifest);
              }

              @Override
              public void step(long at, Step step) {
                told.steps().add(step);
                told.times().add(at);
              }
            });
    return told;
  }

  @Test
  void everyStepOfTheTrainingIsReadBackWithItsSignals() throws IOException {
    Told told = told(trial(options(1)));

    assertThat(told.trace().about().steps()).isEqualTo(STEPS);
    assertThat(told.trace().about().layerSteps()).isEqualTo((long) STEPS * LAYERS);
    assertThat(told.trace().about().healthy()).isTrue();
    assertThat(told.manifests()).hasSize(1);
    assertThat(told.steps().stream().map(step -> step.id().step()).distinct().sorted().toList())
        .isEqualTo(LongStream.range(0, STEPS).boxed().toList());
    Step last = told.steps().get(told.steps().size() - 1);
    assertThat(last.scalars().loss()).isNotNull();
    assertThat(last.signals().weightNorm()).hasSize(LAYERS);
    assertThat(last.signals().updateNorm()).hasSize(LAYERS);
    assertThat(last.signals().cosine()).hasSize(LAYERS);
    assertThat(last.evidence().comparison().coherence()).hasSize(4);
    // The trainer's own figure agrees with that of its shards.
    assertThat(last.globalNorm())
        .isCloseTo(
            last.scalars().reportedGlobalNorm(),
            org.assertj.core.data.Percentage.withPercentage(1e-4));
  }

  @Test
  void aSilentRankIsMissingAndItsStepsCloseAllTheSame() throws IOException {
    ZooFault silent = new ZooFault(ZooFault.Kind.SILENT, 100, Long.MAX_VALUE, 2, -1, 1);
    Told told = told(trial(options(2), silent));

    Step late = told.steps().stream().filter(s -> s.id().step() == 150).findFirst().orElseThrow();
    assertThat(late.missingRanks()).containsExactly(2);
    assertThat(told.times()).isSorted();
    Trace twin = Trace.at(folder.resolve("a-2-twin.trace"));
    assertThat(twin.about().twin()).isTrue();
    assertThat(twin.about().truth().episodes()).isEmpty();
  }

  @Test
  void slicesOfTensorParallelRanksAddUpToTheWhole() throws IOException {
    Told whole = told(trial(options(3)));
    Told sliced = told(trial(options(3).withTensorParallel(2).withSamples(8, 8, 8, 8)));

    Step last = sliced.steps().get(sliced.steps().size() - 1);
    assertThat(sliced.manifests().get(0).mesh()).hasSize(2);
    assertThat(last.completeness()).isEqualTo(1);
    assertThat(last.globalNorm())
        .isCloseTo(
            last.scalars().reportedGlobalNorm(),
            org.assertj.core.data.Percentage.withPercentage(1e-4));
    assertThat(whole.manifests().get(0).mesh()).hasSize(1);
  }

  @Test
  void disturbedDeliveryLosesNothingThatIsNotMeantToBeLost() throws IOException {
    int disturbed = 0;
    for (long seed = 0; seed < 12; seed++) {
      Told told = told(trial(options(seed)));
      String overlay = told.trace().about().overlay();
      disturbed += overlay == null ? 0 : 1;
      long complete =
          told.steps().stream()
              .filter(step -> step.completeness() == 1)
              .map(step -> step.id().step())
              .distinct()
              .count();
      assertThat(complete)
          .as("seed %d, %s", seed, overlay)
          .isGreaterThanOrEqualTo("missing".equals(overlay) ? STEPS * 8 / 10 : STEPS);
    }
    assertThat(disturbed).isBetween(1, 11);
  }
}
