package io.gradflow.benchmarks.quality;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class QualityTest {
  private static final ObjectMapper JSON = new ObjectMapper();

  private record Outcome(int code, String output, String error) {
    JsonNode json() throws Exception {
      List<String> lines = output.lines().toList();
      return JSON.readTree(lines.get(lines.size() - 1));
    }
  }

  private static Outcome run(String... arguments) {
    StringWriter output = new StringWriter();
    StringWriter error = new StringWriter();
    CommandLine command =
        Quality.commandLine()
            .setOut(new PrintWriter(output, true))
            .setErr(new PrintWriter(error, true));
    int code = command.execute(arguments);
    return new Outcome(code, output.toString(), error.toString());
  }

  private static JsonNode system(JsonNode result, String name) {
    for (JsonNode system : result.get("systems")) {
      if (system.get("name").asText().equals(name)) {
        return system;
      }
    }
    throw new AssertionError("no system " + name + " in " + result);
  }

  /**
   * One seed of every family. Floors, not aims: one seed says little of a family, so that the sum
   * of them has room for an unlucky few.
   */
  @Test
  void gradflowFindsMostFaultsOfOneSeedAndPagesNobodyWithoutNeed(@TempDir Path out)
      throws Exception {
    Outcome outcome = run("--short", "--format", "json", "--out", out.toString());
    assertThat(outcome.code()).as(outcome.error()).isZero();
    JsonNode own = system(outcome.json(), "gradflow");

    assertThat(own.get("recallAnyCause").asDouble()).isGreaterThan(0.6);
    assertThat(own.get("recall").asDouble()).isGreaterThan(0.4);
    assertThat(own.get("falsePagesPer100kRunSteps").asDouble()).isZero();
    assertThat(own.get("falseAlertsPer10k").asDouble()).isLessThan(0.5);
    assertThat(outcome.json().get("healthyRuns").asInt()).isGreaterThan(25);
    for (JsonNode system : outcome.json().get("systems")) {
      if (!system.get("name").asText().equals("gradflow")) {
        boolean quiet =
            system.get("falseAlertsPer10k").asDouble() <= own.get("falseAlertsPer10k").asDouble();
        assertThat(quiet && system.get("recall").asDouble() > own.get("recallAnyCause").asDouble())
            .as("%s is better", system)
            .isFalse();
      }
    }
    try (Stream<Path> files = Files.list(out)) {
      assertThat(files.map(file -> file.getFileName().toString()))
          .containsExactlyInAnyOrder(
              "table.md", "result.json", "recall.svg", "delays.svg", "families.svg");
    }
  }

  @Test
  void aTrainingIsExplained() {
    Outcome outcome = run("--explain", "nan-layer:0");

    assertThat(outcome.code()).isZero();
    assertThat(outcome.output()).contains("nan-layer:0", "fault ", "NON_FINITE", "=> fault at");
  }

  @Test
  void mistakesAreOneClearLine() {
    assertThat(run("--families", "nonsense").error())
        .startsWith("gradflow: expected families of: sigmoid-depth ")
        .endsWith("; got: nonsense; see gradflow quality --help\n");
    assertThat(run("--explain", "nan-layer").code()).isEqualTo(2);
    assertThat(run("--explain", "nan-layer").error())
        .startsWith("gradflow: expected families of: ")
        .hasLineCount(1);
    assertThat(run("--systems", "ZClip,nobody").error())
        .startsWith("gradflow: expected systems of: gradflow, SageMaker Debugger, ");
    assertThat(run("--seeds", "0").code()).isEqualTo(2);
    assertThat(run("--format", "xml").code()).isEqualTo(2);
  }
}
