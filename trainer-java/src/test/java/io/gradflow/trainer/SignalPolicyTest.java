package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.core.shard.SignalGroup;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SignalPolicyTest {
  @Test
  void aTextSaysWhichGroupsAndHowOften() {
    SignalPolicy policy = SignalPolicy.parse("moments, histogram:10 ,sketch: 50");
    assertThat(policy.every())
        .isEqualTo(
            Map.of(SignalGroup.MOMENTS, 1, SignalGroup.HISTOGRAM, 10, SignalGroup.SKETCH, 50));
    assertThat(policy.due(0))
        .containsExactly(SignalGroup.MOMENTS, SignalGroup.HISTOGRAM, SignalGroup.SKETCH);
    assertThat(policy.due(49)).containsExactly(SignalGroup.MOMENTS);
    assertThat(policy.due(60)).containsExactly(SignalGroup.MOMENTS, SignalGroup.HISTOGRAM);
    assertThat(SignalPolicy.parse("none")).isEqualTo(SignalPolicy.NONE);
    assertThat(SignalPolicy.parse("moments,weights,histogram:10")).isEqualTo(SignalPolicy.DEFAULT);
  }

  @ParameterizedTest
  @ValueSource(strings = {"", "momenta", "moments,", "moments:0", "hash:x", "hash:", "dots,dots:2"})
  void anotherTextIsRefusedWithWhatWasExpected(String text) {
    assertThatThrownBy(
            () ->
                PublisherOptions.fromEnvironment(
                    Map.of(
                        "GRADFLOW_BOOTSTRAP_SERVERS", "broker:9092",
                        "GRADFLOW_RUN", "gpt",
                        "GRADFLOW_ATTEMPT", "0",
                        "GRADFLOW_RANK", "0",
                        "GRADFLOW_SIGNALS", text)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "GRADFLOW_SIGNALS: expected none, or each once of moments, histogram, sketch, hash,"
                + " weights, dots with commas between them, :n for every n-th step, got \""
                + text
                + "\"");
  }

  @Test
  void aCadenceOfLessThanOneStepIsRefused() {
    assertThatThrownBy(() -> new SignalPolicy(Map.of(SignalGroup.HASH, 0)))
        .hasMessage("signals: expected hash every 1 step or more, got 0");
  }
}
