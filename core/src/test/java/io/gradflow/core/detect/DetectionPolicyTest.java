package io.gradflow.core.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

class DetectionPolicyTest {

  @Test
  void aRuleChangesTheNamedThresholdsAndTheMode() {
    var policy =
        DetectionPolicy.DEFAULT.with(
            rule("*", FindingKind.VANISHING_DEPTH, 7, Map.of("drop", 12.0, "steps", 9.0)));

    assertThat(policy.version()).isEqualTo(7);
    assertThat(policy.mode(FindingKind.VANISHING_DEPTH)).isEqualTo(Rule.Mode.SHADOW);
    assertThat(policy.vanishingDepth()).isEqualTo(new VanishingDepthDetector.Settings(12, 4, 9));
    assertThat(policy.explodingTrend()).isEqualTo(DetectionPolicy.DEFAULT.explodingTrend());
  }

  @Test
  void aRunsOwnRuleGoesBeforeTheGeneralOne() {
    var rules =
        List.of(
            rule("run-a", FindingKind.EXPLODING_SPIKE, 3, Map.of("z", 9.0)),
            rule("*", FindingKind.EXPLODING_SPIKE, 5, Map.of("z", 8.0, "rise", 4.0)),
            rule("run-b", FindingKind.EXPLODING_SPIKE, 9, Map.of("z", 99.0)));

    var policy = DetectionPolicy.DEFAULT.with(rules, "run-a");

    assertThat(policy.version()).isEqualTo(5);
    assertThat(policy.explodingSpike()).isEqualTo(new ExplodingSpikeDetector.Settings(9, 4));
  }

  @Test
  void aVoidRuleSaysWhy() {
    assertVoid(Map.of("zz", 1.0), "EXPLODING_SPIKE: expected a threshold of [rise, z], got \"zz\"");
    assertVoid(Map.of("z", -1.0), "EXPLODING_SPIKE: expected z between 1.0 and 1000.0, got -1.0");
    assertVoid(
        Map.of("z", Double.NaN), "EXPLODING_SPIKE: expected z between 1.0 and 1000.0, got NaN");
    assertThatThrownBy(
            () ->
                DetectionPolicy.DEFAULT.with(
                    rule("*", FindingKind.DEAD_LAYER, 1, Map.of("steps", 2.5))))
        .hasMessage("DEAD_LAYER: expected a whole number for steps, got 2.5");
  }

  private static void assertVoid(Map<String, Double> thresholds, String why) {
    assertThatThrownBy(
            () ->
                DetectionPolicy.DEFAULT.with(rule("*", FindingKind.EXPLODING_SPIKE, 1, thresholds)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(why);
  }

  private static Rule rule(
      String scope, FindingKind kind, long version, Map<String, Double> thresholds) {
    return new Rule(scope, kind, version, Rule.Mode.SHADOW, thresholds);
  }
}
