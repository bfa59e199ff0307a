package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.StepId;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.Fault;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What {@code gradflow compare} says of real trainings that went through a broker and both jobs:
 * one, its twin in which a layer's weights begin to grow, its twin in which a layer is thrown off
 * its place, and its twin at twice the learning rate.
 */
class CompareTrainingsTest {
  private static final int STEPS = 160;
  private static final long FAULT_AT = 80;
  private static final TrainingPolicy POLICY =
      TrainingPolicy.ofSeed(4401).withSteps(STEPS).withStepsPerSecond(100);

  @TempDir static Path folder;

  private static Fault fault;
  private static Fault jump;

  /** By run and step: log2 of each layer's root mean square, as the ranks had it. */
  private static final Map<String, Map<Long, double[]>> TRUTH = new ConcurrentHashMap<>();

  private static final Map<String, JsonNode> REPORTS = new ConcurrentHashMap<>();
  private static final Map<String, String> TEXTS = new ConcurrentHashMap<>();

  @BeforeAll
  static void trainAndCompare() throws Exception {
    fault = Scenario.EXPLODING.fault(POLICY).orElseThrow().atStep(FAULT_AT);
    jump = Scenario.SPIKE.fault(POLICY).orElseThrow().atStep(FAULT_AT);
    LocalStack.Settings settings =
        new LocalStack.Settings(new Workspace(folder), OptionalInt.of(0), OptionalInt.of(0), 2, 3);
    try (LocalStack stack =
        LocalStack.start(settings, new Progress(new PrintWriter(new StringWriter())))) {
      LocalJobs jobs = LocalJobs.start(stack);
      String brokers = stack.kafka().bootstrapServers();
      train(brokers, "plain", POLICY, Optional.empty());
      train(brokers, "growing", POLICY, Optional.of(fault));
      train(brokers, "jumped", POLICY, Optional.of(jump));
      train(
          brokers,
          "fast",
          new TrainingPolicy(4401, STEPS, 4, 12, 64, 64, 0.2, 100),
          Optional.empty());
      try (Analysis analysis = new Analysis(brokers, alert -> {})) {
        assertThat(
                analysis.settle(
                    jobs,
                    TRUTH.keySet().stream()
                        .map(run -> new StepId(run, 1, StepId.MAIN_STREAM, STEPS - 1L))
                        .toList()))
            .isEmpty();
      }
      for (String pair :
          List.of(
              "plain:0-79 growing:0-79",
              "plain:110-159 growing:110-159",
              "plain:100-159 jumped:100-159",
              "plain:0-159 fast:0-159",
              "growing:0-79 growing:110-159")) {
        REPORTS.put(pair, new ObjectMapper().readTree(compare(brokers, pair, "--format", "json")));
        TEXTS.put(pair, compare(brokers, pair));
      }
    }
  }

  private static void train(
      String brokers, String run, TrainingPolicy policy, Optional<Fault> fault) throws Exception {
    DataParallelTraining training = new DataParallelTraining(policy, fault);
    Map<Long, double[]> truth = new ConcurrentHashMap<>();
    TRUTH.put(run, truth);
    try (PublishedRanks published =
        new PublishedRanks(brokers, run, 1, policy.ranks(), training.layers())) {
      training.run(
          step -> {
            published.observe(step);
            if (step.rank() == 0) {
              truth.put(step.step(), log2Rms(step.reduced()));
            }
          });
      published.finish();
    }
  }

  private static double[] log2Rms(float[][] gradients) {
    double[] octaves = new double[gradients.length];
    for (int layer = 0; layer < gradients.length; layer++) {
      double squares = 0;
      for (float value : gradients[layer]) {
        squares += (double) value * value;
      }
      octaves[layer] = Math.log(squares / gradients[layer].length) / Math.log(2) / 2;
    }
    return octaves;
  }

  private static String compare(String brokers, String spans, String... options) {
    List<String> arguments = new ArrayList<>(List.of("compare"));
    arguments.addAll(List.of(spans.split(" ", -1)));
    arguments.addAll(List.of("--bootstrap-server", brokers));
    arguments.addAll(List.of(options));
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exit =
        Gradflow.run(
            new PrintWriter(out, true),
            new PrintWriter(err, true),
            arguments.toArray(new String[0]));
    assertThat(exit).as("exit code; standard error was:%n%s", err).isZero();
    return out.toString();
  }

  @Test
  void theMeansAreThoseOfTheGradients() {
    JsonNode report = REPORTS.get("plain:0-159 fast:0-159");
    List<String> sides = List.of("before", "after");
    List<String> runs = List.of("plain", "fast");
    for (int side = 0; side < 2; side++) {
      Map<Long, double[]> truth = TRUTH.get(runs.get(side));
      for (int i = 0; i < report.get("layers").size(); i++) {
        int layer = i;
        JsonNode rms = report.get("layers").get(i).get("measures").get("rms").get(sides.get(side));
        double mean = truth.values().stream().mapToDouble(x -> x[layer]).average().orElseThrow();
        assertThat(rms.get("mean").asDouble()).isCloseTo(mean, within(1e-6));
        assertThat(rms.get("steps").asInt()).isEqualTo(STEPS);
      }
    }
  }

  @Test
  void twinsAreTheSameUntilTheFault() {
    JsonNode report = REPORTS.get("plain:0-79 growing:0-79");
    assertThat(report.get("layersChanged").asInt()).isZero();
    report
        .get("layers")
        .forEach(
            layer ->
                assertThat(layer.get("measures").get("rms").get("difference").asDouble())
                    .isCloseTo(0, within(1e-5)));
    assertThat(report.get("sentence").asText()).startsWith("No layer's gradient changed");
  }

  @Test
  void theLayerWhoseWeightsGrowIsTheOneThatDiffersMost() {
    for (String pair : List.of("plain:110-159 growing:110-159", "growing:0-79 growing:110-159")) {
      JsonNode most = mostDifferent(REPORTS.get(pair));
      assertThat(most.get("name").asText()).as(pair).isEqualTo(fault.layer());
      assertThat(size(most)).as(pair).isGreaterThan(2);
      assertThat(REPORTS.get(pair).get("sentence").asText()).contains(fault.layer());
      assertThat(TEXTS.get(pair).lines().filter(line -> line.startsWith("~ " + fault.layer())))
          .as("growing all the time it has no level, and yet it differs")
          .singleElement()
          .asString()
          .contains("█");
    }
  }

  @Test
  void aLayerThrownOffItsPlaceHasChanged() {
    JsonNode report = REPORTS.get("plain:100-159 jumped:100-159");
    JsonNode most = mostDifferent(report);
    assertThat(most.get("name").asText()).isEqualTo(jump.layer());
    assertThat(most.get("changed").asBoolean()).isTrue();
    assertThat(report.get("sentence").asText()).contains(jump.layer());
  }

  private static JsonNode mostDifferent(JsonNode report) {
    JsonNode most = report.get("layers").get(0);
    for (JsonNode layer : report.get("layers")) {
      most = size(layer) > size(most) ? layer : most;
    }
    return most;
  }

  private static double size(JsonNode layer) {
    return Math.abs(layer.get("measures").get("rms").get("difference").asDouble());
  }

  @Test
  void twiceTheLearningRateIsSaidFirst() {
    JsonNode report = REPORTS.get("plain:0-159 fast:0-159");
    assertThat(report.get("sentence").asText()).startsWith("Learning rate ×2 (0.1 to 0.2): ");
    assertThat(report.get("run").get("loss").get("difference").asDouble()).isNegative();
    assertThat(report.get("depthAfter").get("octavesPerLayer").isNumber()).isTrue();
  }
}
