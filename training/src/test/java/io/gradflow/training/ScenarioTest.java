package io.gradflow.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Optional;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class ScenarioTest {

  @Test
  void labelsAreReadBack() {
    for (Scenario scenario : Scenario.values()) {
      assertThat(Scenario.ofLabel(scenario.label())).isEqualTo(scenario);
    }
    assertThatThrownBy(() -> Scenario.ofLabel("NaN"))
        .hasMessage(
            "scenario: expected one of healthy, vanishing, exploding, spike, nan, dead-layer,"
                + " missing-rank, got NaN");
  }

  @Test
  void healthyHasNoFault() {
    assertThat(Scenario.HEALTHY.fault(TrainingPolicy.ofSeed(1))).isEmpty();
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "HEALTHY")
  void faultIsDrawnFromTheSeed(Scenario scenario) {
    List<Fault> faults = faultsOfManySeeds(scenario, 300);

    assertThat(faults).isEqualTo(faultsOfManySeeds(scenario, 300));
    assertThat(faults).allSatisfy(f -> assertThat(f.step()).isBetween(100L, 125L));
    assertThat(faults.stream().map(Fault::step).distinct().count()).isGreaterThan(10);
    boolean ofLayer = scenario != Scenario.MISSING_RANK;
    boolean ofRank = scenario == Scenario.NAN || scenario == Scenario.MISSING_RANK;
    assertThat(faults.stream().map(f -> Optional.ofNullable(f.layer())).distinct().count())
        .isEqualTo(ofLayer ? 12 : 1);
    assertThat(faults.stream().map(f -> Optional.ofNullable(f.rank())).distinct().count())
        .isEqualTo(ofRank ? 4 : 1);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 5, 9, 60, 1000})
  void faultStrikesWithinRunsOfAnyLength(int steps) {
    for (Scenario scenario : Scenario.values()) {
      for (Fault fault : faultsOfManySeeds(scenario, steps)) {
        assertThat(fault.step()).isBetween(Math.min(8L, steps - 1L), steps - 1L);
      }
    }
  }

  @Test
  void impossibleFaultsAreRefused() {
    var policy = TrainingPolicy.ofSeed(1);
    assertThatThrownBy(() -> Scenario.MISSING_RANK.fault(policy.withRanks(1)))
        .hasMessage("missing-rank: expected at least 2 ranks, got 1");
    assertThatThrownBy(() -> training(policy, new Fault(Scenario.SPIKE, 300, null, null)))
        .hasMessage(
            "fault spike: expected a step from 0 to 299, as the run has 300 steps, got 300");
    assertThatThrownBy(() -> training(policy, new Fault(Scenario.SPIKE, 3, "block13.bias", null)))
        .hasMessage("fault spike: expected a layer of the network, got block13.bias");
    assertThatThrownBy(() -> training(policy, new Fault(Scenario.NAN, 3, "block1.weight", 4)))
        .hasMessage("fault nan: expected a rank from 0 to 3, got 4");
  }

  private static DataParallelTraining training(TrainingPolicy policy, Fault fault) {
    return new DataParallelTraining(policy, Optional.of(fault));
  }

  private static List<Fault> faultsOfManySeeds(Scenario scenario, int steps) {
    return LongStream.range(0, 200)
        .mapToObj(seed -> scenario.fault(TrainingPolicy.ofSeed(seed).withSteps(steps)))
        .flatMap(Optional::stream)
        .toList();
  }
}
