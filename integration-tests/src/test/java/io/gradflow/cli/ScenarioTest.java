package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Each scenario from the training to the report, as a user runs it: a real broker, Flink, both jobs
 * and the training.
 *
 * <p>Seeds are not those the detectors were looked at with; the bounds are those the project
 * promises.
 */
class ScenarioTest {
  @ParameterizedTest
  @CsvSource({
    "spike, EXPLODING_SPIKE, 150, 3, 4101",
    "nan, NON_FINITE, 60, 3, 4102",
    "dead-layer, DEAD_LAYER, 60, 3, 4103",
    "missing-rank, MISSING_SHARDS, 60, 10, 4104",
    "exploding, EXPLODING_WEIGHTS, 300, 3, 4105",
    "vanishing, VANISHING_TREND, 300, 120, 4106"
  })
  void theFirstIncidentNamesTheFault(String scenario, String kind, int steps, int within, long seed)
      throws Exception {
    JsonNode report = demo(scenario, steps, seed);

    assertThat(report.get("stepsAssembled").asInt()).isEqualTo(steps);
    assertThat(report.get("dropped").asLong()).isZero();
    assertThat(report.get("deadLetters").asLong()).isZero();
    JsonNode fault = report.get("fault");
    JsonNode first = report.get("incidents").get(0);
    assertThat(first).as(report.toString()).isNotNull();
    assertThat(first.get("kind").asText()).isEqualTo(kind);
    long delay = first.get("openedStep").asLong() - fault.get("step").asLong();
    assertThat(delay).isBetween(0L, (long) within);
    if (!fault.get("layer").isNull()) {
      assertThat(first.get("rootLayer")).isEqualTo(fault.get("layer"));
    }
    if (!fault.get("rank").isNull()) {
      assertThat(first.get("rootRank")).isEqualTo(fault.get("rank"));
    }
  }

  @Test
  void aHealthyTrainingOpensNothingAndLearns() throws Exception {
    JsonNode report = demo("healthy", 300, 4107);

    assertThat(report.get("incidents")).as(report.toString()).isEmpty();
    assertThat(report.get("fault").isNull()).isTrue();
    assertThat(report.get("completeness").asDouble()).isEqualTo(1.0);
    assertThat(report.get("lossLast").asDouble())
        .isLessThan(report.get("lossFirst").asDouble() / 2);
  }

  private static JsonNode demo(String scenario, int steps, long seed)
      throws JsonProcessingException {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exit =
        Gradflow.run(
            new PrintWriter(out, true),
            new PrintWriter(err, true),
            "demo",
            "--headless",
            "--scenario",
            scenario,
            "--steps",
            Integer.toString(steps),
            "--seed",
            Long.toString(seed));
    assertThat(exit).as("exit code; standard error was:%n%s", err).isZero();
    assertThat(out.toString().lines()).as("standard output is one line").hasSize(1);
    return new ObjectMapper().readTree(out.toString());
  }
}
