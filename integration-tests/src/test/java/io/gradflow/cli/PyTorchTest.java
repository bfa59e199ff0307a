package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Real PyTorch processes that talk to each other by gloo, a real broker, both jobs: the examples of
 * {@code trainer-python}, and what the topics hold of them.
 *
 * <p>{@code ./gradflow test trainers} installs what it needs.
 */
@EnabledIfEnvironmentVariable(
    named = PyTorchTest.PYTHON,
    matches = ".+",
    disabledReason = "needs a Python with the gradflow package; ./gradflow test trainers makes one")
class PyTorchTest {
  static final String PYTHON = "GRADFLOW_TEST_PYTHON";

  private static final Path PACKAGE = Path.of("..", "trainer-python").toAbsolutePath().normalize();
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration TRAINING = Duration.ofSeconds(150);

  /** Norms cross Kafka as float32, whose rounding is 6e-8. */
  private static final double RELATIVE = 1e-6;

  @TempDir static Path folder;

  private static LocalStack stack;
  private static LocalJobs jobs;

  @BeforeAll
  static void start() {
    stack =
        LocalStack.start(
            new LocalStack.Settings(
                new Workspace(folder), OptionalInt.of(0), OptionalInt.of(0), 2, 4),
            new Progress(new PrintWriter(new StringWriter())));
    jobs = LocalJobs.start(stack);
  }

  @AfterAll
  static void stop() {
    stack.close();
  }

  /** All there is in the topics of a run. */
  private record Published(List<Manifest> manifests, Map<Long, Step> steps, List<Alert> alerts) {
    /** Names of a step's layers, by their index. */
    List<String> layersOf(Step step) {
      return manifests.stream()
          .filter(manifest -> manifest.manifestId() == step.manifestId())
          .findFirst()
          .orElseThrow()
          .layers()
          .stream()
          .map(Layer::name)
          .toList();
    }

    Set<FindingKind> kinds() {
      Set<FindingKind> kinds = new HashSet<>();
      alerts.stream()
          .filter(alert -> !alert.kind().isAdvice())
          .map(Alert::kind)
          .forEach(kinds::add);
      return kinds;
    }
  }

  @ParameterizedTest(name = "{0} {1}")
  @CsvSource({
    "ddp,",
    "ddp, --accumulate 3",
    "ddp, --amp",
    "ddp, --bf16",
    "fsdp2,",
    "fsdp2, --accumulate 3",
    "fsdp2, --bf16",
  })
  void theNormsInTheTopicAreThoseOfTheReducedGradient(String example, String options)
      throws Exception {
    String[] more = options == null ? new String[0] : options.split(" ");
    String run = (example + String.join("", more)).replace("--", "-");
    int count = 25;
    Path reference = folder.resolve(run + ".jsonl");

    train(run, example, concat(more, "--steps", "" + count, "--reference", reference.toString()));

    Published published = published(run, count);
    Map<Long, JsonNode> expected = referenceIn(reference);
    assertThat(published.steps().keySet()).isEqualTo(expected.keySet()).hasSize(count);
    published
        .steps()
        .forEach(
            (number, step) -> {
              assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
              assertThat(step.completeness()).isEqualTo(1);
              assertNorms(step, published.layersOf(step), expected.get(number));
            });
    assertThat(published.alerts())
        .as(
            "nothing is wrong with it, but that clip_grad_norm_ takes a norm of bfloat16 in bfloat16")
        .filteredOn(alert -> !alert.kind().isAdvice())
        .allSatisfy(
            alert -> {
              assertThat(run).as(alert.message()).endsWith("-bf16");
              assertThat(alert.kind()).isEqualTo(FindingKind.CONTRACT);
              assertThat(alert.message())
                  .startsWith("The trainer reports a global gradient norm of ");
            });
    jobs.throwIfFailed();
  }

  private static void assertNorms(Step step, List<String> layers, JsonNode expected) {
    assertThat(layers).hasSize(expected.get("layers").size());
    for (int i = 0; i < layers.size(); i++) {
      JsonNode norms = expected.get("layers").get(layers.get(i));
      String what = "step " + step.id().step() + " of " + layers.get(i);
      double l1 = norms.get("l1").asDouble();
      double l2 = norms.get("l2").asDouble();
      double linf = norms.get("linf").asDouble();
      assertThat(l2).as(what).isPositive();
      assertThat(step.norms().l1()[i]).as("L1, " + what).isCloseTo(l1, within(RELATIVE * l1));
      assertThat(step.norms().l2()[i]).as("L2, " + what).isCloseTo(l2, within(RELATIVE * l2));
      assertThat(step.norms().linf()[i])
          .as("Linf, " + what)
          .isCloseTo(linf, within(RELATIVE * linf));
    }
  }

  @Test
  void theReadmesTrainingIsWatchedAsItStands() throws Exception {
    String readme = Files.readString(PACKAGE.resolveSibling("README.md"));
    Path script = folder.resolve("my_first_run.py");
    String fence = "```python\n";
    int start = readme.indexOf(fence) + fence.length();
    Files.writeString(script, readme.substring(start, readme.indexOf("```", start)));

    String output = run("my-first-run", List.of(System.getenv(PYTHON), script.toString()));

    Published published = published("my-first-run", 200);
    assertThat(published.steps()).hasSize(200);
    assertThat(published.steps().values())
        .allMatch(step -> step.completeness() == 1 && step.norms().l2().length == 4);
    assertThat(output).contains("dropped=0").contains("failed=0");
    assertThat(published.kinds()).as("nothing is wrong with it").isEmpty();
  }

  @Test
  void aNanNamesTheRankAndTheLayerThatComputedIt() throws Exception {
    train(
        "torch-nan",
        "ddp",
        "--steps",
        "60",
        "--fault",
        "nan",
        "--fault-rank",
        "1",
        "--fault-step",
        "40");

    Published published = published("torch-nan", 60);
    assertThat(published.alerts())
        .filteredOn(alert -> alert.state() == Alert.State.OPENED)
        .filteredOn(alert -> !alert.kind().isAdvice())
        .singleElement()
        .satisfies(
            alert -> {
              assertThat(alert.kind()).isEqualTo(FindingKind.NON_FINITE);
              assertThat(alert.openedStep()).isEqualTo(40);
              assertThat(alert.rootRank()).isEqualTo(1);
              assertThat(alert.rootLayer())
                  .as("what enters blocks.0.mix has no finite gradient, so nothing before it has")
                  .startsWith("blocks.0.norm.");
            });
  }

  @Test
  void aRankThatFallsSilentAndDiesIsMissedAndTheRestartIsNoIncident() throws Exception {
    // Rank 1 stops publishing at step 30 and dies at step 60; torchrun starts all again from the
    // checkpoint of step 50.
    train(
        "torch-restart",
        "ddp",
        "--steps",
        "160",
        "--fault",
        "missing-rank",
        "--fault-rank",
        "1",
        "--fault-step",
        "30",
        "--die-at",
        "60",
        "--checkpoint",
        folder.resolve("kept.pt").toString());

    Published published = published("torch-restart", 160);
    Map<Long, Set<Long>> stepsOfAttempts = new TreeMap<>();
    published
        .steps()
        .values()
        .forEach(
            step ->
                stepsOfAttempts
                    .computeIfAbsent(step.id().attempt(), attempt -> new HashSet<>())
                    .add(step.id().step()));
    assertThat(stepsOfAttempts).as("attempts").hasSize(2);
    List<Long> attempts = new ArrayList<>(stepsOfAttempts.keySet());
    assertThat(Collections.max(stepsOfAttempts.get(attempts.get(1)))).isEqualTo(159);
    assertThat(published.kinds()).containsExactly(FindingKind.MISSING_SHARDS);
    assertThat(published.alerts())
        .filteredOn(alert -> alert.kind() == FindingKind.MISSING_SHARDS)
        .allSatisfy(
            alert -> {
              assertThat(alert.attempt()).as("of the first attempt").isEqualTo(attempts.get(0));
              assertThat(alert.rootRank()).isEqualTo(1);
            });
  }

  private static String[] concat(String[] some, String... more) {
    List<String> all = new ArrayList<>(Arrays.asList(some));
    all.addAll(List.of(more));
    return all.toArray(String[]::new);
  }

  /** Runs an example with two processes until it ends. */
  private static void train(String run, String example, String... arguments)
      throws IOException, InterruptedException {
    List<String> command =
        new ArrayList<>(
            List.of(
                System.getenv(PYTHON),
                "-m",
                "torch.distributed.run",
                "--standalone",
                "--nproc-per-node",
                "2",
                "--max-restarts",
                "1",
                PACKAGE.resolve("examples").resolve(example + ".py").toString()));
    command.addAll(List.of(arguments));
    run(run, command);
  }

  /** Runs a process until it ends well, and returns its output. */
  private static String run(String run, List<String> command)
      throws IOException, InterruptedException {
    Path output = folder.resolve(run + ".out");
    ProcessBuilder builder =
        new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(output.toFile());
    builder.environment().put("GRADFLOW_BOOTSTRAP_SERVERS", stack.kafka().bootstrapServers());
    builder.environment().put("GRADFLOW_RUN", run);
    builder.environment().put("OMP_NUM_THREADS", "1");
    // Without it torchrun cannot start gloo ranks again: they find the addresses of the dead ones.
    builder.environment().put("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1");
    Process process = builder.start();
    try {
      boolean ended = process.waitFor(TRAINING.toSeconds(), TimeUnit.SECONDS);
      String said = Files.readString(output);
      assertThat(ended && process.exitValue() == 0).as("%s ends well: %s", command, said).isTrue();
      return said;
    } finally {
      process.descendants().forEach(ProcessHandle::destroyForcibly);
      process.destroyForcibly();
    }
  }

  private static Map<Long, JsonNode> referenceIn(Path file) throws IOException {
    Map<Long, JsonNode> steps = new HashMap<>();
    for (String line : Files.readAllLines(file)) {
      JsonNode step = JSON.readTree(line);
      steps.put(step.get("step").asLong(), step);
    }
    return steps;
  }

  /** The run once its steps up to that many are there, and the alerts that follow from them. */
  private static Published published(String run, long steps) throws InterruptedException {
    await()
        .atMost(Duration.ofSeconds(60))
        .pollInterval(Duration.ofMillis(500))
        .until(() -> read(run).steps().containsKey(steps - 1));
    try (TopicReader reader = reader()) {
      assertThat(
              jobs.awaitAlertsOf(
                  reader.with(Codecs.STEPS, step -> {}).ends(), Duration.ofSeconds(60)))
          .isTrue();
    }
    return read(run);
  }

  private static Published read(String run) {
    Published published = new Published(new ArrayList<>(), new TreeMap<>(), new ArrayList<>());
    try (TopicReader reader = reader()) {
      reader
          .with(Codecs.MANIFESTS, run::equals, published.manifests()::add)
          .with(
              Codecs.STEPS,
              run::equals,
              step ->
                  published
                      .steps()
                      .merge(
                          step.id().step(),
                          step,
                          (a, b) ->
                              a.id().attempt() == b.id().attempt() && a.revision() > b.revision()
                                  ? a
                                  : b))
          .with(
              Codecs.ALERTS,
              alert -> {
                if (alert.runId().equals(run)) {
                  published.alerts().add(alert);
                }
              })
          .readToEnd();
    }
    return published;
  }

  private static TopicReader reader() {
    return new TopicReader(stack.kafka().bootstrapServers(), WriterSchemas.known());
  }
}
