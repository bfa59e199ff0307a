package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.JobSettings;
import io.gradflow.jobs.NormJob;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.apache.flink.runtime.jobgraph.SavepointRestoreSettings;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * The savepoints of every release are restored by this build, also with another parallelism, and go
 * on as if nothing had been between: an open step, an open window, an open incident, shards that
 * wait for their manifest, the hashes of closed steps and a rule are in them.
 *
 * <p>Written once for each release, with {@code -Dgradflow.savepoints.write=RELEASE}, and never
 * again: they are what users have.
 */
class SavepointTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  private static final Path SAVEPOINTS = Path.of("src/test/savepoints");
  private static final int PARTITIONS = 4;
  private static final String WRITE = "gradflow.savepoints.write";

  @TempDir static Path folder;

  private static final ReleasedRuns INPUT = new ReleasedRuns(PARTITIONS);
  private static Outputs undisturbed;
  private static List<ProducerRecord<byte[], byte[]>> stepsBefore;

  /** What the jobs have written: the highest revision of each step, the last of each window. */
  private record Outputs(
      Map<String, Step> steps, Map<String, LayerWindow> windows, Map<String, Alert> alerts) {}

  @BeforeAll
  static void run() throws Exception {
    String release = System.getProperty(WRITE);
    try (LocalStack stack = stack()) {
      LocalFlink.Job norm = submit(stack, NormJob.NAME, NormJob::define, 2, null);
      LocalFlink.Job alert = submit(stack, AlertJob.NAME, AlertJob::define, 2, null);
      publish(stack, INPUT.before());
      awaitOutput(stack, INPUT.stepsBefore(), 1);
      stepsBefore = recordsOf(stack, Topic.STEPS);
      if (release != null) {
        savepoint(stack, norm, SAVEPOINTS.resolve(release).resolve("norm"));
        savepoint(stack, alert, SAVEPOINTS.resolve(release).resolve("alert"));
      }
      publish(stack, INPUT.after());
      undisturbed = awaitOutput(stack, INPUT.steps(), 2);
    }
  }

  @AfterAll
  static void forget() {
    undisturbed = null;
    stepsBefore = null;
  }

  @ParameterizedTest
  @CsvSource({"0.1.0, 1", "0.1.0, 3"})
  void savepointsOfAReleaseAreRestored(String release, int parallelism) throws Exception {
    try (LocalStack stack = stack()) {
      publish(stack, INPUT.before());
      publish(stack, stepsBefore);
      Path of = SAVEPOINTS.resolve(release);
      submit(stack, NormJob.NAME, NormJob::define, parallelism, of.resolve("norm"));
      submit(stack, AlertJob.NAME, AlertJob::define, parallelism, of.resolve("alert"));
      publish(stack, INPUT.after());

      Outputs restored = awaitOutput(stack, INPUT.steps(), 1);

      assertThat(restored.steps().keySet()).isEqualTo(undisturbed.steps().keySet());
      restored
          .steps()
          .forEach(
              (id, step) ->
                  assertThat(step)
                      .as(id)
                      .usingRecursiveComparison()
                      .withEqualsForType(Double::equals, Double.class)
                      .withEqualsForType(Float::equals, Float.class)
                      // Signals remember steps that release 0.1 did not measure so.
                      .ignoringFields("evidence.arrivalLagMs", "evidence.writtenAt", "signals")
                      .isEqualTo(undisturbed.steps().get(id)));
      assertThat(restored.windows())
          .usingRecursiveComparison()
          .ignoringFieldsMatchingRegexes(".*\\.signals")
          .isEqualTo(undisturbed.windows());
      assertThat(restored.alerts()).as("the incident had been opened before").hasSize(1);
      restored
          .alerts()
          .forEach(
              (id, alert) ->
                  assertThat(alert)
                      .as(id)
                      .usingRecursiveComparison()
                      .withEqualsForType(Double::equals, Double.class)
                      // Release 0.1 remembers nothing of how the training went.
                      .ignoringFields("detectedAt", "context", "confidence")
                      .isEqualTo(undisturbed.alerts().get(id)));
      assertThat(recordsOf(stack, Topic.DEAD_LETTERS)).isEmpty();
    }
  }

  private static LocalStack stack() throws IOException {
    return LocalStack.start(
        new LocalStack.Settings(
            new Workspace(Files.createTempDirectory(folder, "stack")),
            OptionalInt.of(0),
            OptionalInt.of(0),
            6,
            PARTITIONS),
        new Progress(new PrintWriter(new StringWriter())));
  }

  private static LocalFlink.Job submit(
      LocalStack stack,
      String name,
      BiConsumer<StreamExecutionEnvironment, JobSettings> definition,
      int parallelism,
      Path savepoint) {
    StreamExecutionEnvironment environment = stack.flink().environment();
    environment.setParallelism(parallelism);
    String[] arguments = {
      "--" + GradflowOptions.BOOTSTRAP_SERVERS.key(), stack.kafka().bootstrapServers()
    };
    definition.accept(
        environment, JobSettings.resolve(arguments, Map.of(), environment.getConfiguration()));
    StreamGraph graph = environment.getStreamGraph();
    graph.setJobName(name);
    if (savepoint != null) {
      graph.setSavepointRestoreSettings(
          SavepointRestoreSettings.forPath(savepoint.toAbsolutePath().toString()));
    }
    LocalFlink.Job job = stack.flink().submit(graph);
    job.awaitRunning(PATIENCE);
    return job;
  }

  private static void publish(LocalStack stack, List<ProducerRecord<byte[], byte[]>> records)
      throws Exception {
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", stack.kafka().bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer())) {
      List<Future<RecordMetadata>> sent = new ArrayList<>();
      records.forEach(record -> sent.add(producer.send(record)));
      for (Future<RecordMetadata> one : sent) {
        one.get(20, TimeUnit.SECONDS);
      }
    }
  }

  private static Outputs awaitOutput(LocalStack stack, int steps, int alerts) {
    Outputs[] found = new Outputs[1];
    await()
        .atMost(PATIENCE)
        .untilAsserted(
            () -> {
              Outputs read = new Outputs(new TreeMap<>(), new TreeMap<>(), new TreeMap<>());
              try (TopicReader reader =
                  new TopicReader(stack.kafka().bootstrapServers(), WriterSchemas.known())) {
                reader
                    .with(
                        Codecs.STEPS,
                        step ->
                            read.steps()
                                .merge(
                                    step.id().toString(),
                                    step,
                                    (a, b) -> b.revision() >= a.revision() ? b : a))
                    .with(
                        Codecs.WINDOWS,
                        window -> {
                          if (!window.open()) {
                            read.windows().put(window.runId() + " " + window.layer(), window);
                          }
                        })
                    .with(
                        Codecs.ALERTS,
                        alert -> read.alerts().put(alert.incidentId() + " " + alert.state(), alert))
                    .readToEnd();
              }
              assertThat(read.steps()).hasSize(steps);
              assertThat(read.alerts()).hasSize(alerts);
              assertThat(read.alerts().values())
                  .allMatch(alert -> alert.kind() == FindingKind.NON_FINITE);
              assertThat(read.windows()).hasSize(steps == INPUT.steps() ? INPUT.windows() : 0);
              found[0] = read;
            });
    return found[0];
  }

  /** The records of a topic as they are, each for its partition. */
  private static List<ProducerRecord<byte[], byte[]>> recordsOf(LocalStack stack, Topic topic) {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    try (TopicReader reader =
        new TopicReader(stack.kafka().bootstrapServers(), WriterSchemas.known())) {
      reader.withRaw(topic, records::add).readToEnd();
    }
    return records.stream()
        .map(r -> new ProducerRecord<>(r.topic(), r.partition(), r.key(), r.value()))
        .toList();
  }

  private static void savepoint(LocalStack stack, LocalFlink.Job job, Path into) throws Exception {
    HttpClient http = HttpClient.newHttpClient();
    ObjectMapper json = new ObjectMapper();
    String id = job.web().toString().replaceAll(".*/running/([0-9a-f]+)/.*", "$1");
    URI trigger = stack.flink().web().resolve("/jobs/" + id + "/savepoints");
    Path parts = Files.createTempDirectory(folder, "savepoint");
    String body =
        json.writeValueAsString(
            Map.of(
                "target-directory",
                parts.toUri().toString(),
                "cancel-job",
                false,
                "formatType",
                "CANONICAL"));
    String request =
        json.readTree(
                http.send(
                        HttpRequest.newBuilder(trigger)
                            .header("Content-Type", "application/json")
                            .POST(HttpRequest.BodyPublishers.ofString(body))
                            .build(),
                        HttpResponse.BodyHandlers.ofString())
                    .body())
            .path("request-id")
            .asText();
    await()
        .atMost(PATIENCE)
        .untilAsserted(
            () -> {
              JsonNode answer =
                  json.readTree(
                      http.send(
                              HttpRequest.newBuilder(URI.create(trigger + "/" + request)).build(),
                              HttpResponse.BodyHandlers.ofString())
                          .body());
              assertThat(answer.at("/status/id").asText()).isEqualTo("COMPLETED");
              assertThat(answer.at("/operation/location").asText()).isNotEmpty();
            });
    Files.createDirectories(into);
    try (var made = Files.walk(parts)) {
      for (Path file : made.filter(Files::isRegularFile).toList()) {
        Files.copy(file, into.resolve(file.getFileName()));
      }
    }
  }
}
