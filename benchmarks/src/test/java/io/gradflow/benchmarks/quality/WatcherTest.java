package io.gradflow.benchmarks.quality;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.detect.DetectionPolicy;
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
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every system on one bowl, sick in one way or healthy. */
class WatcherTest {
  private static final long ONSET = 300;

  @TempDir Path folder;

  /** Delays of the systems' first alarms in time; systems that gave none are left out. */
  private Map<String, Long> delays(ZooFault.Kind kind, int rank, int parameter, double strength)
      throws IOException {
    ZooFault fault = new ZooFault(kind, ONSET, Long.MAX_VALUE, rank, parameter, strength);
    Map<String, Long> delays = new LinkedHashMap<>();
    watch(List.of(fault))
        .forEach(
            (system, score) -> {
              if (score.found().get(0).any() >= 0) {
                delays.put(system, score.found().get(0).any());
              }
            });
    return delays;
  }

  private Map<String, RunScore> watch(List<ZooFault> faults) throws IOException {
    // This seed's delivery is undisturbed.
    ZooOptions options = ZooOptions.of(4, 4, 8, 500, Optimiser.sgd(), Schedule.constant(0.02));
    List<Truth.Episode> episodes =
        faults.stream()
            .map(
                fault ->
                    new Truth.Episode(
                        fault.onset(),
                        fault.end(),
                        true,
                        // These the oracle never leaves out.
                        Truth.Cause.DELIVERY,
                        List.of(),
                        fault.rank()))
            .toList();
    Trial trial =
        new Trial(
            Family.HE_DESCENT,
            4,
            options,
            faults,
            new Truth(episodes, null, false),
            () -> new Quadratic(8),
            faults.isEmpty() ? null : () -> new Quadratic(8));
    Path file = folder.resolve("run.trace");
    Traces.make(trial, file, null);
    List<Watcher> systems = new ArrayList<>(List.of(new GradflowWatcher()));
    systems.addAll(Baselines.all());
    Contest contest = new Contest(systems, true);
    Contest.Verdict verdict = contest.watch(Trace.at(file));
    contest.add(verdict, false);
    return contest.rows().stream()
        .collect(
            Collectors.toMap(
                Contest.Row::name,
                row -> row.score().runs().get(0),
                (a, b) -> a,
                LinkedHashMap::new));
  }

  @Test
  void aLayerManyTimesItsSizeIsSeenByWhatLooksAtNorms() throws IOException {
    assertThat(delays(ZooFault.Kind.WEIGHTS_ONCE, -1, 3, 20_000))
        .contains(
            Map.entry("gradflow", 0L),
            Map.entry("OLMo-core", 0L),
            Map.entry("Megatron-LM", 0L),
            Map.entry("Lightning SpikeDetection", 0L),
            Map.entry("W&B automation", 0L),
            Map.entry("fixed norm", 0L))
        .doesNotContainKey("SageMaker Debugger");
  }

  @Test
  void aNanIsSeenByWhatChecksForIt() throws IOException {
    assertThat(delays(ZooFault.Kind.NAN, 1, 3, 1))
        .contains(
            Map.entry("gradflow", 0L),
            Map.entry("SageMaker Debugger", 0L),
            Map.entry("AutoTrainer", 0L),
            Map.entry("Megatron-LM", 0L))
        .doesNotContainKeys("fixed norm", "OLMo-core");
  }

  @Test
  void aFrozenLayerIsSeenByWhatLooksAtUpdates() throws IOException {
    assertThat(delays(ZooFault.Kind.FROZEN, -1, 3, 1))
        .contains(Map.entry("SageMaker Debugger", 1L))
        .doesNotContainKeys("fixed norm", "Megatron-LM", "Lightning SpikeDetection");
  }

  @Test
  void aHealthyTrainingLeavesTheFixedRulesSilentAndTheClippersBusy() throws IOException {
    Map<String, RunScore> scores = watch(List.of());

    assertThat(scores.get("gradflow").falseAlarms()).isEmpty();
    assertThat(scores.get("fixed norm").falseAlarms()).isEmpty();
    assertThat(scores.get("Megatron-LM").falseAlarms()).isEmpty();
    assertThat(scores.get("AutoClip").falseAlarms()).isNotEmpty();
    assertThat(scores.get("AdaGC").falseAlarms()).isNotEmpty();
  }

  @Test
  void oneFactorScalesTheThresholdsAndLeavesMemoriesAlone() {
    DetectionPolicy twice = GradflowWatcher.policy(2);

    assertThat(twice.explodingSpike().z())
        .isEqualTo(2 * DetectionPolicy.DEFAULT.explodingSpike().z());
    assertThat(twice.explodingTrend().memory())
        .isEqualTo(DetectionPolicy.DEFAULT.explodingTrend().memory());
    assertThat(twice.deadLayer()).isEqualTo(DetectionPolicy.DEFAULT.deadLayer());
    assertThat(twice.adviceClip()).isEqualTo(DetectionPolicy.DEFAULT.adviceClip());
    assertThat(GradflowWatcher.policy(1)).isSameAs(DetectionPolicy.DEFAULT);
  }
}
