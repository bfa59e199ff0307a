package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.shard.Shard;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.LongStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledIfEnvironmentVariable;
import org.junit.jupiter.api.io.TempDir;

/**
 * A PyTorch training whose broker is not there, is suspended, or dies: the training goes on as if
 * nothing were, and what was lost is counted to the record.
 *
 * <p>No time is asserted but that nothing waits for Kafka: the longest step and closing have
 * generous limits.
 */
@EnabledIfEnvironmentVariable(
    named = PyTorchTest.PYTHON,
    matches = ".+",
    disabledReason = "needs a Python with the gradflow package; ./gradflow test trainers makes one")
class BrokerFaultsTest {
  private static final Path SCRIPT = Path.of("src/test/python/broker_faults.py");
  private static final ObjectMapper JSON = new ObjectMapper();

  /** More than a whole outage: whatever waits for Kafka waits longer. */
  private static final double LONGEST_STEP_MS = 2_000;

  @TempDir Path folder;

  private Process broker;
  private Process training;
  private BufferedWriter phases;
  private KafkaNode node;

  @AfterEach
  void stop() {
    if (training != null) {
      training.destroyForcibly();
    }
    if (broker != null) {
      broker.destroyForcibly();
    }
  }

  @Test
  void aTrainingWithoutABrokerGoesOnAndCountsWhatItDrops() throws Exception {
    train("no-broker", "127.0.0.1:" + Ports.anyFree());
    pass(6);

    JsonNode end = end();

    assertThat(end.get("sent").asLong()).isZero();
    assertThat(end.get("dropped").asLong() + end.get("failed").asLong())
        .isEqualTo(end.get("handedOver").asLong());
  }

  @Test
  void aSuspendedBrokerGetsEverythingThatWasNotDroppedOnceItGoesOn() throws Exception {
    startBroker();
    train("suspended", node.bootstrapServers());
    pass(4);
    signal("STOP");
    phase("suspended");
    pass(8);
    signal("CONT");
    phase("after");
    pass(4);

    JsonNode end = end();

    Map<Long, Shard> shards = shards("suspended");
    // Beside shards, the manifest and STARTED were sent.
    assertThat(end.get("failed").asLong()).isZero();
    assertThat(shards).hasSize((int) end.get("sent").asLong() - noticesOf(end));
    long highest = shards.keySet().stream().mapToLong(step -> step).max().orElseThrow();
    assertThat(shards.get(highest).dropped())
        .as("the last shard says how many were dropped before it")
        .isEqualTo(end.get("dropped").asLong());
  }

  @Test
  void aBrokerThatDiesCostsWhatItDidNotTake() throws Exception {
    startBroker();
    train("killed", node.bootstrapServers());
    pass(4);
    broker.destroyForcibly().waitFor();
    phase("dead");
    pass(6);

    JsonNode end = end();

    startBroker();
    long taken = shards("killed").size();
    // What the broker wrote but could not acknowledge any more counts as failed.
    assertThat(taken).isGreaterThanOrEqualTo(end.get("sent").asLong() - noticesOf(end));
    assertThat(taken).isLessThanOrEqualTo(end.get("sent").asLong() + end.get("failed").asLong());
    assertThat(end.get("dropped").asLong() + end.get("failed").asLong()).isPositive();
  }

  /** What was handed over beside one shard a step. */
  private static int noticesOf(JsonNode end) {
    return (int) (end.get("handedOver").asLong() - end.get("steps").asLong());
  }

  private void train(String run, String brokers) throws IOException {
    ProcessBuilder builder =
        new ProcessBuilder(System.getenv(PyTorchTest.PYTHON), SCRIPT.toString())
            .redirectOutput(output().toFile())
            .redirectError(folder.resolve("errors").toFile());
    builder.environment().put("GRADFLOW_BOOTSTRAP_SERVERS", brokers);
    builder.environment().put("GRADFLOW_RUN", run);
    builder.environment().put("GRADFLOW_RANK", "0");
    builder.environment().put("GRADFLOW_ATTEMPT", "1");
    builder.environment().put("OMP_NUM_THREADS", "1");
    training = builder.start();
    phases = training.outputWriter(StandardCharsets.UTF_8);
    await().atMost(Duration.ofSeconds(60)).until(() -> !Files.readAllLines(output()).isEmpty());
  }

  private Path output() {
    return folder.resolve("output");
  }

  private void phase(String name) throws IOException {
    phases.write(name + "\n");
    phases.flush();
  }

  /** The training goes on for so long. */
  private static void pass(int seconds) throws InterruptedException {
    TimeUnit.SECONDS.sleep(seconds);
  }

  /** Ends the training; what it says last. Every phase is checked and shown. */
  private JsonNode end() throws Exception {
    phase("end");
    assertThat(training.waitFor(30, TimeUnit.SECONDS)).as("the process ends").isTrue();
    String errors = Files.readString(folder.resolve("errors"));
    assertThat(training.exitValue()).as(errors).isZero();
    assertThat(errors).doesNotContain("Traceback");
    List<JsonNode> said = new ArrayList<>();
    for (String line : Files.readAllLines(output())) {
      said.add(JSON.readTree(line));
      System.out.println(line);
    }
    JsonNode last = said.remove(said.size() - 1);
    said.remove(0);
    assertThat(said)
        .allSatisfy(
            phase -> {
              assertThat(phase.get("steps").asLong()).as(phase.toString()).isPositive();
              assertThat(phase.get("watchedLongestMs").asDouble())
                  .as(phase.toString())
                  .isLessThan(LONGEST_STEP_MS);
            });
    assertThat(last.get("closeSeconds").asDouble()).isLessThan(2.5);
    assertThat(last.get("waiting").asLong()).isZero();
    assertThat(
            LongStream.of(
                    last.get("sent").asLong(),
                    last.get("dropped").asLong(),
                    last.get("failed").asLong())
                .sum())
        .as("received = sent + dropped + failed")
        .isEqualTo(last.get("handedOver").asLong());
    return last;
  }

  private void startBroker() throws Exception {
    if (node == null) {
      node = new KafkaNode(folder.resolve("kafka"), Ports.anyFree(), Ports.anyFree());
      node.format();
    }
    Properties settings = new Properties();
    settings.putAll(node.settings());
    Path file = folder.resolve("server.properties");
    try (var out = Files.newOutputStream(file)) {
      settings.store(out, null);
    }
    broker =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Xmx256m",
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                "kafka.Kafka",
                file.toString())
            .redirectErrorStream(true)
            .redirectOutput(folder.resolve("broker.out").toFile())
            .start();
    await()
        .atMost(Duration.ofSeconds(60))
        .pollInterval(Duration.ofMillis(500))
        .ignoreExceptionsInstanceOf(CommandFailed.class)
        .until(
            () -> {
              try (Topics topics = Topics.of(node.bootstrapServers())) {
                topics.create(OptionalInt.of(2), Optional.empty());
                return true;
              }
            });
  }

  private void signal(String signal) throws Exception {
    assertThat(
            new ProcessBuilder("kill", "-" + signal, Long.toString(broker.pid())).start().waitFor())
        .isZero();
  }

  /** The run's shards in the topic, by step. */
  private Map<Long, Shard> shards(String run) {
    Map<Long, Shard> shards = new TreeMap<>();
    try (TopicReader reader = new TopicReader(node.bootstrapServers(), WriterSchemas.known())) {
      reader
          .with(
              Codecs.SHARDS,
              run::equals,
              shard -> assertThat(shards.put(shard.id().step(), shard)).as("comes once").isNull())
          .readToEnd();
    }
    return shards;
  }
}
