package io.gradflow.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class TrainingPolicyTest {

  private final TrainingPolicy policy = TrainingPolicy.ofSeed(1);

  @Test
  void impossibleSettingsAreRefusedWithTheRange() {
    assertThatThrownBy(() -> policy.withRanks(0))
        .hasMessage("training: expected ranks from 1 to 64, got 0");
    assertThatThrownBy(() -> policy.withSteps(-5))
        .hasMessage("training: expected steps from 1 to 10000000, got -5");
    assertThatThrownBy(() -> policy.withNetwork(0, 64))
        .hasMessage("training: expected depth from 1 to 256, got 0");
    assertThatThrownBy(() -> policy.withStepsPerSecond(0))
        .hasMessage("training: expected stepsPerSecond above 0, got 0.0");
    assertThatThrownBy(
            () -> new TrainingPolicy(1, 1, 1, 1, 2, 1, Double.NaN, Double.POSITIVE_INFINITY))
        .hasMessage("training: expected learningRate above 0 and at most 10, got NaN");
  }

  @Test
  void ranksShareTheBatch() {
    assertThat(policy.withRanks(4).rankBatch()).isEqualTo(16);
    assertThat(policy.withRanks(3).rankBatch()).isEqualTo(22);
    assertThat(policy.withRanks(64).rankBatch()).isEqualTo(1);
  }
}
