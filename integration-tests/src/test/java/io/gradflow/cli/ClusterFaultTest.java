package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import java.util.jar.Attributes;
import java.util.jar.JarFile;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Machines die in the middle of trainings, and nobody can tell from the topics.
 *
 * <p>Every shard is published twice under the same identity: to a cluster of processes of which one
 * dies, and to a stack that nothing disturbs. What both make of it must be the same: each step
 * once, complete, with the same norms; the same windows; the same incidents, ids included.
 */
@Tag("packaged")
class ClusterFaultTest {
  private static final int STEPS = 300;
  private static final Duration CATCHING_UP = Duration.ofMinutes(3);

  private static final Duration POLL = Duration.ofSeconds(1);

  private static final byte[] POISON = "no gradient".getBytes(StandardCharsets.UTF_8);

  @TempDir static Path folder;

  private static LocalStack undisturbed;
  private static LocalJobs undisturbedJobs;
  private static ClusterFolder disturbed;
  private static ClusterPlan plan;

  @BeforeAll
  static void start() throws InterruptedException {
    Progress progress = new Progress(new PrintWriter(new StringWriter()));
    disturbed = new ClusterFolder(folder.resolve("cluster"));
    Configuration configuration = new Configuration();
    configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1));
    // Idle sources ask seldom: two cores have all of this to run.
    configuration.setString(
        GradflowOptions.KAFKA_PROPERTIES_PREFIX + ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG, "500");
    plan =
        Cluster.in(disturbed)
            .up(
                new Cluster.Wanted(
                    OptionalInt.of(0), OptionalInt.of(0), 2, 4, configuration, List.of()),
                Cluster.Built.current(),
                progress);
    undisturbed =
        LocalStack.start(
            new LocalStack.Settings(
                new Workspace(folder), OptionalInt.of(0), OptionalInt.of(0), 2, 4),
            progress);
    undisturbedJobs = LocalJobs.start(undisturbed);
  }

  @AfterAll
  static void stop() {
    if (undisturbed != null) {
      undisturbed.close();
    }
    Cluster.in(disturbed).down();
  }

  @Test
  void aTaskManagerIsKilled() throws Exception {
    List<Run> runs =
        List.of(run("taskmanager", Scenario.NAN), run("taskmanager", Scenario.EXPLODING));

    train(runs, 20, () -> kill("taskmanager-1"));

    runs.forEach(ClusterFaultTest::assertUndisturbed);
    assertThat(restartsOf("taskmanager-1")).isPositive();
  }

  @Test
  void theJobManagerIsKilled() throws Exception {
    List<Run> runs =
        List.of(run("jobmanager", Scenario.NAN), run("jobmanager", Scenario.EXPLODING));

    train(runs, 20, () -> kill(ClusterPlan.JOB_MANAGER));

    runs.forEach(ClusterFaultTest::assertUndisturbed);
    assertThat(restartsOf(ClusterPlan.JOB_MANAGER)).isPositive();
    assertThat(disturbed.state().orElseThrow().jobs())
        .as("both jobs were restored from a checkpoint")
        .allSatisfy(job -> assertThat(job.restoredFrom()).isPresent());
  }

  @Test
  void theBrokerIsAwayForHalfAMinute() throws Exception {
    List<Run> runs = List.of(run("broker", Scenario.NAN), run("broker", Scenario.EXPLODING));

    train(
        runs,
        10,
        () -> {
          // While the supervisor is suspended, nobody starts the broker again.
          signal("STOP", ClusterPlan.SUPERVISOR);
          kill(ClusterPlan.BROKER);
          TimeUnit.SECONDS.sleep(30);
          signal("CONT", ClusterPlan.SUPERVISOR);
        });

    runs.forEach(ClusterFaultTest::assertUndisturbed);
    assertThat(restartsOf(ClusterPlan.BROKER)).isPositive();
  }

  @Test
  void deadLettersNameTheVersionOfThePackagedJobs() throws Exception {
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", plan.bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer())) {
      producer
          .send(new ProducerRecord<>(Topic.SHARDS.topicName(), POISON, POISON))
          .get(30, TimeUnit.SECONDS);
    }

    List<ConsumerRecord<byte[], byte[]>> letters = new ArrayList<>();
    await()
        .atMost(CATCHING_UP)
        .pollInterval(POLL)
        .until(
            () -> {
              letters.clear();
              deadLetters().stream().filter(ClusterFaultTest::isPoison).forEach(letters::add);
              return !letters.isEmpty();
            });
    String version;
    try (JarFile jar = new JarFile(Cluster.Built.current().jobJar().toFile())) {
      version =
          jar.getManifest().getMainAttributes().getValue(Attributes.Name.IMPLEMENTATION_VERSION);
    }
    assertThat(letters)
        .allSatisfy(
            letter ->
                assertThat(letter.headers().lastHeader("version").value())
                    .asString(StandardCharsets.UTF_8)
                    .isEqualTo(version));
  }

  private static boolean isPoison(ConsumerRecord<byte[], byte[]> letter) {
    return Arrays.equals(letter.key(), POISON);
  }

  /** A training that goes wrong, under one name in both worlds. */
  private record Run(String name, Scenario scenario) {}

  private static Run run(String fault, Scenario scenario) {
    return new Run("without-" + fault + "-" + scenario.label(), scenario);
  }

  /** What happens in the middle. */
  private interface Accident {
    void happen() throws Exception;
  }

  /** When the accident may happen, and when it has. */
  private record Middle(CountDownLatch reached, CountDownLatch over) {}

  /**
   * Runs the trainings side by side and returns when they have ended. The accident happens when the
   * first is at a quarter, before its fault. Where it happened, a training does not end before all
   * it has published is assembled: what a trainer holds when its process ends is lost. Where
   * nothing happened it ends at once: a run that waits that long without a word has stalled.
   */
  private static void train(List<Run> runs, double stepsPerSecond, Accident accident)
      throws Exception {
    Middle middle = new Middle(new CountDownLatch(1), new CountDownLatch(1));
    List<CompletableFuture<Void>> trainings = new ArrayList<>();
    for (Run run : runs) {
      CompletableFuture<Void> training = new CompletableFuture<>();
      Thread thread =
          new Thread(
              () -> {
                try {
                  train(run, stepsPerSecond, middle);
                  training.complete(null);
                } catch (Throwable e) {
                  training.completeExceptionally(e);
                }
              },
              run.name());
      thread.setDaemon(true);
      thread.start();
      trainings.add(training);
    }
    assertThat(middle.reached.await(60, TimeUnit.SECONDS)).isTrue();
    accident.happen();
    middle.over.countDown();
    for (CompletableFuture<Void> training : trainings) {
      training.get(260, TimeUnit.SECONDS);
    }
  }

  private static void train(Run run, double stepsPerSecond, Middle middle)
      throws InterruptedException {
    TrainingPolicy policy =
        TrainingPolicy.ofSeed(4300)
            .withSteps(STEPS)
            .withNetwork(8, 32)
            .withStepsPerSecond(stepsPerSecond);
    DataParallelTraining training = new DataParallelTraining(policy, run.scenario().fault(policy));
    try (PublishedRanks here = publishing(undisturbed.kafka().bootstrapServers(), run, training);
        PublishedRanks there = publishing(plan.bootstrapServers(), run, training);
        Follower assembled = new Follower(plan.bootstrapServers(), run)) {
      training.run(
          step -> {
            here.observe(step);
            there.observe(step);
            if (step.step() == STEPS / 4) {
              middle.reached.countDown();
            }
          });
      here.finish();
      assertThat(middle.over.await(60, TimeUnit.SECONDS)).isTrue();
      await()
          .atMost(CATCHING_UP)
          .pollInterval(POLL)
          .ignoreExceptionsInstanceOf(KafkaException.class)
          .until(() -> assembled.read().steps.size() == STEPS);
      there.finish();
      assertThat(here.dropped() + there.dropped()).as("records dropped by publishers").isZero();
    }
  }

  private static PublishedRanks publishing(String brokers, Run run, DataParallelTraining training) {
    return new PublishedRanks(brokers, run.name(), 1, 4, training.layers());
  }

  private static void assertUndisturbed(Run run) {
    Outcome expected = awaitUndisturbed(run);
    Outcome actual = awaitDisturbed(run);

    assertThat(expected.incidents.values())
        .as("the fault of %s is found", run.name())
        .extracting(Alert::kind)
        .contains(
            run.scenario() == Scenario.NAN
                ? FindingKind.NON_FINITE
                : FindingKind.EXPLODING_WEIGHTS);
    assertThat(actual.steps.keySet()).isEqualTo(expected.steps.keySet());
    assertThat(actual.steps).hasSize(STEPS);
    assertThat(actual.steps)
        .allSatisfy(
            (number, step) -> {
              Step other = expected.steps.get(number);
              assertThat(step.completeness()).isEqualTo(1);
              assertThat(step.revision()).isEqualTo(other.revision());
              assertThat(step.norms().l1()).isEqualTo(other.norms().l1());
              assertThat(step.norms().l2()).isEqualTo(other.norms().l2());
              assertThat(step.norms().linf()).isEqualTo(other.norms().linf());
              assertThat(step.norms().finiteL2()).isEqualTo(other.norms().finiteL2());
              assertThat(step.norms().zeros()).isEqualTo(other.norms().zeros());
              assertThat(step.signals())
                  .usingRecursiveComparison()
                  .withEqualsForType(Double::equals, Double.class)
                  .withEqualsForType(Float::equals, Float.class)
                  .isEqualTo(other.signals());
            });
    assertThat(actual.windows)
        .usingRecursiveComparison()
        .withEqualsForType(Double::equals, Double.class)
        .isEqualTo(expected.windows);
    assertThat(actual.incidents.values().stream().map(ClusterFaultTest::identity))
        .containsExactlyInAnyOrderElementsOf(
            expected.incidents.values().stream().map(ClusterFaultTest::identity).toList());
    assertThat(deadLetters()).allMatch(ClusterFaultTest::isPoison);
  }

  /** What must not depend on who died. */
  private static List<Object> identity(Alert alert) {
    return Arrays.asList(
        alert.incidentId(),
        alert.kind(),
        alert.severity(),
        alert.state(),
        alert.rootLayer(),
        alert.rootRank(),
        alert.onsetStep(),
        alert.openedStep(),
        alert.lastStep(),
        alert.resolvedStep());
  }

  /**
   * What a reader of the topics knows of a run.
   *
   * @param steps by number, each in its highest revision
   * @param windows closed ones, the last record of each key
   * @param incidents the latest transition of each
   */
  private record Outcome(
      Map<Long, Step> steps, Map<String, LayerWindow> windows, Map<String, Alert> incidents) {

    private void add(Step step) {
      steps.merge(step.id().step(), step, (a, b) -> a.revision() >= b.revision() ? a : b);
    }

    private void add(LayerWindow window) {
      String key = window.layer() + "|" + window.firstStep();
      if (window.open()) {
        windows.remove(key);
      } else {
        windows.put(key, window);
      }
    }

    private void add(Alert alert) {
      incidents.merge(
          alert.incidentId(), alert, (a, b) -> a.transition() >= b.transition() ? a : b);
    }
  }

  /** Learns what becomes of a run, reading each record once: two cores have enough to do. */
  private static final class Follower implements AutoCloseable {
    private final Outcome outcome = new Outcome(new TreeMap<>(), new TreeMap<>(), new TreeMap<>());
    private final TopicReader reader;

    Follower(String brokers, Run run) {
      reader = new TopicReader(brokers, WriterSchemas.known());
      Predicate<String> wanted = run.name()::equals;
      reader
          .with(Codecs.STEPS, wanted, outcome::add)
          .with(Codecs.WINDOWS, wanted, outcome::add)
          .with(
              Codecs.ALERTS,
              alert -> {
                if (wanted.test(alert.runId())) {
                  outcome.add(alert);
                }
              });
    }

    /** What is known at the end that the topics have now. */
    Outcome read() {
      reader.readToEnd();
      return outcome;
    }

    /** The offsets after the last steps now. */
    Map<TopicPartition, Long> endsOfSteps() {
      Map<TopicPartition, Long> ends = new HashMap<>(reader.ends());
      ends.keySet().removeIf(partition -> !partition.topic().equals(Topic.STEPS.topicName()));
      return ends;
    }

    @Override
    public void close() {
      reader.close();
    }
  }

  private static Outcome awaitUndisturbed(Run run) {
    try (Follower follower = new Follower(undisturbed.kafka().bootstrapServers(), run)) {
      await()
          .atMost(CATCHING_UP)
          .pollInterval(POLL)
          .untilAsserted(
              () -> {
                undisturbedJobs.throwIfFailed();
                Outcome outcome = follower.read();
                assertThat(outcome.windows)
                    .as("windows of %s, of %d steps", run.name(), outcome.steps.size())
                    .hasSize(windowsOf(run));
              });
      assertThat(undisturbedJobs.awaitAlertsOf(follower.endsOfSteps(), CATCHING_UP)).isTrue();
      return follower.read();
    } catch (InterruptedException e) {
      throw new IllegalStateException(e);
    }
  }

  /** Both jobs have read everything, and written what follows from it. */
  private static Outcome awaitDisturbed(Run run) {
    try (Follower follower = new Follower(plan.bootstrapServers(), run)) {
      await()
          .atMost(CATCHING_UP)
          .pollInterval(POLL)
          .untilAsserted(
              () -> {
                ClusterStatus status = ClusterStatus.of(disturbed).orElseThrow();
                assertThat(status.up()).as(status.toString()).isTrue();
                assertThat(status.jobs()).allSatisfy(job -> assertThat(job.lag()).isZero());
                assertThat(follower.read().windows).hasSize(windowsOf(run));
              });
      return follower.read();
    }
  }

  /** Three windows of each layer. */
  private static int windowsOf(Run run) {
    TrainingPolicy policy = TrainingPolicy.ofSeed(4300).withNetwork(8, 32);
    int layers = new DataParallelTraining(policy, run.scenario().fault(policy)).layers().size();
    return layers * STEPS / 100;
  }

  private static List<ConsumerRecord<byte[], byte[]>> deadLetters() {
    List<ConsumerRecord<byte[], byte[]>> letters = new ArrayList<>();
    try (TopicReader reader = new TopicReader(plan.bootstrapServers(), WriterSchemas.known())) {
      reader.withRaw(Topic.DEAD_LETTERS, letters::add).readToEnd();
    }
    return letters;
  }

  private static int restartsOf(String process) {
    return disturbed.state().orElseThrow().processes().stream()
        .filter(one -> one.name().equals(process))
        .findFirst()
        .orElseThrow()
        .restarts();
  }

  private static void kill(String process) throws IOException, InterruptedException {
    signal("KILL", process);
  }

  private static void signal(String signal, String process)
      throws IOException, InterruptedException {
    long pid = disturbed.process(process).orElseThrow().pid();
    assertThat(new ProcessBuilder("kill", "-" + signal, Long.toString(pid)).start().waitFor())
        .isZero();
  }
}
