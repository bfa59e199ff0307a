package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.StepId;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Real trainings that go wrong, recorded while they are in the topics: whatever is replayed of them
 * comes to the same verdicts.
 */
class ReplayTest {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final List<Training> TRAININGS =
      List.of(
          new Training("nan run", Scenario.NAN, 60, 4301),
          new Training("exploding|run", Scenario.EXPLODING, 300, 4302),
          new Training("missing-rank-run", Scenario.MISSING_RANK, 60, 4303));

  @TempDir static Path folder;

  private static JsonNode live;
  private static JsonNode copied;

  private record Training(String run, Scenario scenario, int steps, long seed) {
    StepId lastStep() {
      return new StepId(run, 1, StepId.MAIN_STREAM, steps - 1L);
    }

    Path recording(String what) {
      return folder.resolve(scenario.label() + "." + what + ".avro");
    }
  }

  @BeforeAll
  static void trainAndRecord() throws Exception {
    LocalStack.Settings settings =
        new LocalStack.Settings(
            new Workspace(folder.resolve("live")), OptionalInt.of(0), OptionalInt.of(0), 2, 3);
    try (LocalStack stack =
        LocalStack.start(settings, new Progress(new PrintWriter(new StringWriter())))) {
      LocalJobs jobs = LocalJobs.start(stack);
      String brokers = stack.kafka().bootstrapServers();
      train(brokers);
      live = verdicts(brokers, jobs, TRAININGS.stream().map(Training::lastStep).toList());
      for (Training training : TRAININGS) {
        for (String what : List.of("shards", "steps")) {
          run(
              "record",
              "--run",
              training.run(),
              "--what",
              what,
              "--out",
              training.recording(what).toString(),
              "--bootstrap-server",
              brokers);
        }
      }
      Training nan = TRAININGS.get(0);
      run(
          "replay",
          nan.recording("shards").toString(),
          "--as",
          "copy",
          "--speed",
          "2",
          "--bootstrap-server",
          brokers);
      copied =
          verdicts(
              brokers, jobs, List.of(new StepId("copy", 1, StepId.MAIN_STREAM, nan.steps() - 1L)));
    }
  }

  private static void train(String brokers) throws Exception {
    List<Callable<Void>> trainings = new ArrayList<>();
    for (Training one : TRAININGS) {
      trainings.add(
          () -> {
            TrainingPolicy policy =
                TrainingPolicy.ofSeed(one.seed()).withSteps(one.steps()).withStepsPerSecond(60);
            DataParallelTraining training =
                new DataParallelTraining(policy, one.scenario().fault(policy));
            try (PublishedRanks published =
                new PublishedRanks(brokers, one.run(), 1, policy.ranks(), training.layers())) {
              training.run(published);
              published.finish();
            }
            return null;
          });
    }
    ExecutorService threads = Executors.newFixedThreadPool(trainings.size());
    try {
      for (Future<Void> training : threads.invokeAll(trainings)) {
        training.get();
      }
    } finally {
      threads.shutdown();
    }
  }

  private static JsonNode verdicts(String brokers, LocalJobs jobs, List<StepId> lastSteps)
      throws Exception {
    try (Analysis analysis = new Analysis(brokers, alert -> {})) {
      assertThat(analysis.settle(jobs, lastSteps)).isEmpty();
      return JSON.readTree(analysis.report(0));
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"steps", "shards"})
  void whatIsReplayedComesToTheSameVerdictsTwice(String what) throws Exception {
    assertThat(live.get("incidents")).hasSizeGreaterThanOrEqualTo(TRAININGS.size());
    for (int time = 1; time <= 2; time++) {
      JsonNode replayed = replay(what);

      assertThat(transitions(replayed)).as("%s, time %d", what, time).isEqualTo(transitions(live));
      assertThat(replayed.get("steps")).isEqualTo(live.get("steps"));
      assertThat(replayed.get("runs")).isEqualTo(live.get("runs"));
      assertThat(replayed.get("deadLetters").asLong()).isZero();
    }
  }

  @Test
  void anotherNameMeansOtherIdsAndTheSameFault() {
    List<JsonNode> originals = of("nan run", live.get("alerts"));
    List<JsonNode> copies = of("copy", copied.get("alerts"));
    assertThat(copies).hasSameSizeAs(originals).isNotEmpty();
    for (int i = 0; i < copies.size(); i++) {
      assertThat(copies.get(i).get("id")).isNotEqualTo(originals.get(i).get("id"));
      for (String same :
          List.of("state", "kind", "openedStep", "rootLayer", "rootRank", "message")) {
        assertThat(copies.get(i).get(same)).isEqualTo(originals.get(i).get(same));
      }
    }
  }

  private static JsonNode replay(String what) throws Exception {
    List<String> arguments = new ArrayList<>(List.of("replay", "--format", "json"));
    TRAININGS.forEach(training -> arguments.add(training.recording(what).toString()));
    String out = run(arguments.toArray(new String[0]));
    assertThat(out.lines()).as("standard output is one line").hasSize(1);
    return JSON.readTree(out);
  }

  /** All that is said of incidents but when it was said; runs do not wait for each other. */
  private static SortedSet<String> transitions(JsonNode report) {
    SortedSet<String> transitions = new TreeSet<>();
    report
        .get("alerts")
        .forEach(
            alert ->
                transitions.add(((ObjectNode) alert).deepCopy().without("detectedAt").toString()));
    report.get("incidents").forEach(incident -> transitions.add(incident.toString()));
    return transitions;
  }

  private static List<JsonNode> of(String run, JsonNode alerts) {
    List<JsonNode> own = new ArrayList<>();
    alerts.forEach(
        alert ->
            Optional.of(alert).filter(a -> a.get("run").asText().equals(run)).ifPresent(own::add));
    return own;
  }

  private static String run(String... arguments) {
    StringWriter out = new StringWriter();
    StringWriter err = new StringWriter();
    int exit = Gradflow.run(new PrintWriter(out, true), new PrintWriter(err, true), arguments);
    assertThat(exit).as("exit code; standard error was:%n%s", err).isZero();
    return out.toString();
  }
}
