package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Step;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.function.BinaryOperator;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.flink.table.api.TableEnvironment;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The tables and queries of deploy/sql over the topics of real trainings, beside what the codecs
 * read there.
 */
class SqlTest {
  private static final Duration SETTLING = Duration.ofSeconds(60);

  @TempDir static Path folder;

  private static LocalStack stack;
  private static List<Read<Step>> steps;
  private static List<Read<LayerWindow>> windows;
  private static List<Read<Alert>> alerts;

  /** A value and where Kafka has it. */
  private record Read<T>(T value, ConsumerRecord<byte[], byte[]> record) {}

  @BeforeAll
  static void runTrainings() throws Exception {
    stack =
        LocalStack.start(
            new LocalStack.Settings(
                new Workspace(folder), OptionalInt.of(0), OptionalInt.of(0), 2, 4),
            new Progress(new PrintWriter(new StringWriter())));
    LocalJobs jobs = LocalJobs.start(stack);
    run("exploding", Scenario.EXPLODING, 250, 4105);
    run("spike", Scenario.SPIKE, 210, 4101);
    run("missing", Scenario.MISSING_RANK, 60, 4104);
    await()
        .atMost(SETTLING)
        .untilAsserted(
            () -> {
              steps = read(Codecs.STEPS);
              assertThat(steps.stream().map(read -> read.value().id()).distinct())
                  .hasSize(250 + 210 + 60);
              windows = read(Codecs.WINDOWS);
              assertThat(latestWindows().values())
                  .extracting(LayerWindow::runId)
                  .contains("exploding", "spike", "missing");
              assertThat(latestWindows().values()).noneMatch(LayerWindow::open);
            });
    try (TopicReader reader = reader()) {
      assertThat(jobs.awaitAlertsOf(reader.with(Codecs.STEPS, step -> {}).ends(), SETTLING))
          .isTrue();
    }
    steps = read(Codecs.STEPS);
    windows = read(Codecs.WINDOWS);
    alerts = read(Codecs.ALERTS);
    assertThat(alerts).as("alerts to be asked for").isNotEmpty();
  }

  @AfterAll
  static void stop() {
    stack.close();
  }

  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void aTableHasEveryRecordOfItsTopic(String mode) throws Exception {
    List<Map<String, Object>> rows =
        SqlFiles.rows(
            tables(mode),
            "SELECT kafkaPartition, kafkaOffset, written, runId, attempt, `stream`, step, revision,"
                + " closedBy, completeness, globalNorm, loss, l1, l2, finiteL2, zeros, worldSize,"
                + " evidence.ranks AS ranks, evidence.localNorm AS localNorm,"
                + " signals.run.depthSlope AS depthSlope FROM gradient_steps");

    assertThat(rows).hasSameSizeAs(steps);
    Map<String, Map<String, Object>> byPlace =
        rows.stream()
            .collect(
                Collectors.toMap(
                    row -> row.get("kafkaPartition") + "@" + row.get("kafkaOffset"),
                    Function.identity()));
    for (Read<Step> read : steps) {
      Step step = read.value();
      Map<String, Object> row =
          byPlace.get(read.record().partition() + "@" + read.record().offset());
      assertThat(row)
          .containsEntry("written", Instant.ofEpochMilli(read.record().timestamp()))
          .containsEntry("runId", step.id().runId())
          .containsEntry("attempt", step.id().attempt())
          .containsEntry("stream", step.id().stream())
          .containsEntry("step", step.id().step())
          .containsEntry("revision", step.revision())
          .containsEntry("closedBy", step.closedBy().name())
          .containsEntry("completeness", step.completeness())
          .containsEntry("worldSize", step.worldSize())
          .containsEntry("globalNorm", orNull(step.globalNorm()))
          .containsEntry("l1", items(step.norms().l1()))
          .containsEntry("l2", items(step.norms().l2()))
          .containsEntry("finiteL2", items(step.norms().finiteL2()))
          .containsEntry("zeros", Arrays.stream(step.norms().zeros()).boxed().toArray(Long[]::new))
          .containsEntry(
              "ranks", Arrays.stream(step.evidence().ranks()).boxed().toArray(Integer[]::new))
          .containsEntry("localNorm", items(step.evidence().localNorm()))
          .containsEntry("depthSlope", orNull(step.signals().run().depthSlope()));
      Double loss = (Double) row.get("loss");
      assertThat(loss == null ? Double.NaN : loss).isEqualTo(step.scalars().loss());
    }
  }

  @Test
  void theOtherTablesHaveEveryRecordToo() throws Exception {
    TableEnvironment tables = tables("batch");

    assertThat(
            SqlFiles.rows(
                tables, "SELECT alertId, message, CARDINALITY(suspects) AS n FROM gradient_alerts"))
        .containsExactlyInAnyOrderElementsOf(
            alerts.stream()
                .map(
                    read ->
                        Map.<String, Object>of(
                            "alertId", read.value().alertId(),
                            "message", read.value().message(),
                            "n", read.value().suspects().size()))
                .toList());
    assertThat(
            SqlFiles.rows(
                tables,
                "SELECT layer, firstStep, steps, l2.p95 AS p95, runId FROM gradient_windows"))
        .containsExactlyInAnyOrderElementsOf(
            windows.stream()
                .map(
                    read -> {
                      Map<String, Object> row = new HashMap<>();
                      row.put("layer", read.value().layer());
                      row.put("firstStep", read.value().firstStep());
                      row.put("steps", read.value().steps());
                      row.put("p95", read.value().l2() == null ? null : read.value().l2().p95());
                      row.put("runId", read.value().runId());
                      return row;
                    })
                .toList());
    assertThat(
            SqlFiles.rows(
                tables,
                "SELECT runId, type, attributes['ranks'] AS ranks, happened FROM gradient_runs"))
        .containsExactlyInAnyOrderElementsOf(
            read(Codecs.RUNS).stream()
                .map(
                    read -> {
                      Map<String, Object> row = new HashMap<>();
                      row.put("runId", read.value().runId());
                      row.put("type", read.value().type().name());
                      row.put("ranks", read.value().attributes().get("ranks"));
                      row.put("happened", Instant.ofEpochMilli(read.value().at()));
                      return row;
                    })
                .toList());
    assertThat(
            SqlFiles.rows(
                tables,
                "SELECT runId, layer.name, layer.elements FROM gradient_manifests"
                    + " CROSS JOIN UNNEST(layers) AS layer (name, block, depth, kind, elements,"
                    + " dtype, trainable, sparse, zeroInit, tiedTo, placement)"))
        .hasSameSizeAs(
            read(Codecs.MANIFESTS).stream()
                .flatMap(read -> read.value().layers().stream())
                .toList());
  }

  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void openIncidents(String mode) throws Exception {
    Instant before = Instant.now();
    List<Map<String, Object>> rows = SqlFiles.rows(tables(mode), SqlFiles.query("open-incidents"));
    Instant after = Instant.now();

    List<Alert> open =
        incidents().stream()
            .filter(alert -> alert.severity() != Severity.INFO)
            .filter(
                alert ->
                    alert.state() == Alert.State.OPENED || alert.state() == Alert.State.UPDATED)
            .toList();
    assertThat(open).as("open incidents to be asked for").isNotEmpty();
    assertThat(rows).hasSameSizeAs(open);
    for (Alert alert : open) {
      Instant opened = Instant.ofEpochMilli(openedAt(alert));
      assertThat(rows)
          .anySatisfy(
              row -> {
                assertThat(row)
                    .containsEntry("severity", alert.severity().name())
                    .containsEntry("kind", alert.kind().name())
                    .containsEntry("runId", alert.runId())
                    .containsEntry("stream", alert.stream())
                    .containsEntry("rootLayer", alert.rootLayer())
                    .containsEntry("rootRank", alert.rootRank())
                    .containsEntry("host", alert.host())
                    .containsEntry("openedAt", opened)
                    .containsEntry("ageSteps", alert.lastStep() - alert.openedStep())
                    .containsEntry("message", alert.message());
                assertThat(((Number) row.get("ageSeconds")).longValue())
                    .isBetween(
                        Duration.between(opened, before).toSeconds(),
                        Duration.between(opened, after).toSeconds());
              });
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void completeness(String mode) throws Exception {
    Map<StepId, Read<Step>> latest =
        last(steps, read -> read.value().id(), Comparator.comparing(r -> r.value().revision()));
    Map<List<Object>, List<Read<Step>>> groups =
        latest.values().stream()
            .collect(
                Collectors.groupingBy(
                    read ->
                        List.of(
                            read.value().id().runId(),
                            Instant.ofEpochMilli(
                                read.record().timestamp() - read.record().timestamp() % 300_000))));

    List<Map<String, Object>> rows = SqlFiles.rows(tables(mode), SqlFiles.query("completeness"));

    assertThat(rows).hasSameSizeAs(groups.keySet());
    for (Map<String, Object> row : rows) {
      List<Step> group =
          groups.get(List.of(row.get("runId"), row.get("since"))).stream()
              .map(Read::value)
              .toList();
      assertThat(row).containsEntry("steps", (long) group.size());
      assertThat((Double) row.get("minCompleteness"))
          .isEqualTo(group.stream().mapToDouble(Step::completeness).min().orElseThrow());
      assertThat((Double) row.get("notCompleteShare"))
          .isCloseTo(
              group.stream().filter(step -> step.closedBy() != ClosedBy.COMPLETE).count()
                  / (double) group.size(),
              within(1e-12));
      double p95 =
          percentile(
              group.stream().mapToDouble(Step::globalNorm).filter(Double::isFinite).toArray(),
              0.95);
      assertThat((Double) row.get("p95GlobalNorm")).isCloseTo(p95, within(1e-9 * p95));
    }
    assertThat(rows)
        .as("a rank was missing in one run alone")
        .anyMatch(row -> (Double) row.get("notCompleteShare") > 0)
        .anyMatch(row -> (Double) row.get("notCompleteShare") == 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void risingLayers(String mode) throws Exception {
    List<Map<String, Object>> rows = SqlFiles.rows(tables(mode), SqlFiles.query("rising-layers"));

    Map<String, List<Double>> expected = new TreeMap<>();
    latestWindows().values().stream()
        .collect(Collectors.groupingBy(LayerWindow::runId))
        .forEach(
            (run, all) -> {
              long newest =
                  all.stream()
                      .filter(window -> window.log2Rms() != null)
                      .mapToLong(LayerWindow::firstStep)
                      .max()
                      .orElseThrow();
              List<Double> rises = new ArrayList<>();
              for (LayerWindow window : all) {
                for (LayerWindow previous : all) {
                  if (window.firstStep() == newest
                      && previous.layer().equals(window.layer())
                      && previous.firstStep() == newest - window.length()
                      && window.log2Rms() != null
                      && previous.log2Rms() != null) {
                    rises.add(window.log2Rms().p50() - previous.log2Rms().p50());
                  }
                }
              }
              if (!rises.isEmpty()) {
                expected.put(
                    run, rises.stream().sorted(Comparator.reverseOrder()).limit(10).toList());
              }
            });
    assertThat(expected).containsOnlyKeys("exploding", "spike");
    Map<String, List<Double>> actual =
        rows.stream()
            .collect(
                Collectors.groupingBy(
                    row -> (String) row.get("runId"),
                    TreeMap::new,
                    Collectors.mapping(
                        row -> (Double) row.get("riseOctaves"),
                        Collectors.collectingAndThen(
                            Collectors.toList(),
                            rises -> rises.stream().sorted(Comparator.reverseOrder()).toList()))));
    assertThat(actual).isEqualTo(expected);
    assertThat(rows)
        .allSatisfy(
            row -> {
              LayerWindow window =
                  latestWindows()
                      .get(List.of(row.get("runId"), row.get("layer"), row.get("firstStep")));
              assertThat(row).containsEntry("l2", window.l2().p50());
            });
  }

  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void timeToResolve(String mode) throws Exception {
    List<Map<String, Object>> rows = SqlFiles.rows(tables(mode), SqlFiles.query("time-to-resolve"));

    Map<String, List<Alert>> kinds =
        incidents().stream()
            .filter(alert -> alert.severity() != Severity.INFO)
            .collect(Collectors.groupingBy(alert -> alert.kind().name()));
    assertThat(rows).extracting(row -> row.get("kind")).hasSameElementsAs(kinds.keySet());
    assertThat(rows).hasSameSizeAs(kinds.keySet());
    for (Map<String, Object> row : rows) {
      List<Alert> all = kinds.get((String) row.get("kind"));
      List<Alert> over =
          all.stream().filter(alert -> alert.state() == Alert.State.RESOLVED).toList();
      assertThat(row)
          .containsEntry("incidents", (long) all.size())
          .containsEntry("resolved", (long) over.size());
      if (over.isEmpty()) {
        assertThat(row).containsEntry("meanSeconds", null).containsEntry("meanSteps", null);
      } else {
        assertThat((Double) row.get("meanSeconds"))
            .isCloseTo(
                over.stream()
                    .mapToDouble(alert -> (alert.detectedAt() - openedAt(alert)) / 1e3)
                    .average()
                    .orElseThrow(),
                within(1e-9));
        assertThat((Double) row.get("meanSteps"))
            .isCloseTo(
                over.stream()
                    .mapToDouble(alert -> alert.resolvedStep() - alert.openedStep())
                    .average()
                    .orElseThrow(),
                within(1e-9));
      }
    }
    assertThat(rows).as("resolved incidents").anyMatch(row -> (Long) row.get("resolved") > 0);
  }

  @ParameterizedTest
  @ValueSource(strings = {"batch", "streaming"})
  void transitionsThatWereDeliveredTwiceAreThereOnce(String mode) throws Exception {
    TableEnvironment tables = tables(mode);

    List<Map<String, Object>> rows = SqlFiles.rows(tables, "SELECT alertId FROM alert_transitions");

    assertThat(rows)
        .extracting(row -> row.get("alertId"))
        .containsExactlyInAnyOrderElementsOf(
            alerts.stream().map(read -> (Object) read.value().alertId()).distinct().toList());
  }

  @Test
  void aValueThatCannotBeReadFailsTheQueryOrIsPassedOver() throws Exception {
    Map<String, Object> brokers = Map.of("bootstrap.servers", stack.kafka().bootstrapServers());
    Encoded good = Codecs.ALERTS.encode(alerts.get(0).value()).get(0);
    try (Admin admin = Admin.create(brokers)) {
      admin
          .createTopics(List.of(new NewTopic("mirrored-alerts", 1, (short) 1)))
          .all()
          .get(10, TimeUnit.SECONDS);
    }
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(brokers, new ByteArraySerializer(), new ByteArraySerializer())) {
      for (byte[] value :
          new byte[][] {good.value(), "no".getBytes(StandardCharsets.UTF_8), null, good.value()}) {
        producer
            .send(new ProducerRecord<>("mirrored-alerts", 0, good.key(), value))
            .get(10, TimeUnit.SECONDS);
      }
    }
    TableEnvironment tables = tables("batch");
    String ddl =
        "CREATE TABLE %s (alertId STRING) WITH ('topic' = 'mirrored-alerts',"
            + " 'value.gradflow.record' = 'GradientAlert' %s) LIKE gradient_topic";
    tables.executeSql(ddl.formatted("strict", ""));
    tables.executeSql(ddl.formatted("lenient", ", 'value.gradflow.ignore-parse-errors' = 'true'"));

    assertThatThrownBy(() -> SqlFiles.rows(tables, "SELECT alertId FROM strict"))
        .hasStackTraceContaining(
            "cannot read a value of 2 bytes; gradient-alerts: expected Avro after C3 01 and a"
                + " fingerprint, or after 00 and a schema id, got 2 bytes starting 6E 6F;"
                + " 'ignore-parse-errors' of format 'gradflow' passes over such values");
    assertThat(SqlFiles.rows(tables, "SELECT alertId FROM lenient"))
        .extracting(row -> row.get("alertId"))
        .containsExactly(alerts.get(0).value().alertId(), alerts.get(0).value().alertId());
  }

  private static TableEnvironment tables(String mode) throws Exception {
    return SqlFiles.tables(stack.kafka().bootstrapServers(), mode);
  }

  private static void run(String name, Scenario scenario, int steps, long seed) throws Exception {
    TrainingPolicy policy = TrainingPolicy.ofSeed(seed).withSteps(steps).withStepsPerSecond(100);
    DataParallelTraining training = new DataParallelTraining(policy, scenario.fault(policy));
    try (PublishedRanks published =
        new PublishedRanks(stack.kafka().bootstrapServers(), name, 1, 4, training.layers())) {
      training.run(published);
      published.finish();
    }
  }

  private static TopicReader reader() {
    return new TopicReader(stack.kafka().bootstrapServers(), WriterSchemas.known());
  }

  private static <T> List<Read<T>> read(Codec<T> codec) {
    Decoder<T> decoder = codec.decoder(WriterSchemas.known());
    List<Read<T>> read = new ArrayList<>();
    try (TopicReader reader = reader()) {
      reader
          .withRaw(
              codec.topic(),
              record -> read.add(new Read<>(decoder.decode(record.value(), null).value(), record)))
          .readToEnd();
    }
    return read;
  }

  /** The windows as they were published last, by run, layer and first step. */
  private static Map<List<Object>, LayerWindow> latestWindows() {
    Map<List<Object>, LayerWindow> latest = new HashMap<>();
    last(
            windows,
            read ->
                List.<Object>of(
                    read.value().runId(), read.value().layer(), read.value().firstStep()),
            Comparator.comparing(read -> read.record().offset()))
        .forEach((key, read) -> latest.put(key, read.value()));
    return latest;
  }

  /** The last transition of every incident. */
  private static List<Alert> incidents() {
    return last(
            alerts,
            read -> read.value().incidentId(),
            Comparator.comparing(read -> read.value().transition()))
        .values()
        .stream()
        .map(Read::value)
        .toList();
  }

  private static long openedAt(Alert incident) {
    return alerts.stream()
        .map(Read::value)
        .filter(alert -> alert.incidentId().equals(incident.incidentId()))
        .mapToLong(Alert::detectedAt)
        .min()
        .orElseThrow();
  }

  private static <K, T> Map<K, Read<T>> last(
      List<Read<T>> all, Function<Read<T>, K> key, Comparator<Read<T>> order) {
    return all.stream()
        .collect(Collectors.toMap(key, Function.identity(), BinaryOperator.maxBy(order)));
  }

  private static double percentile(double[] values, double share) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    double position = (sorted.length - 1) * share;
    int below = (int) position;
    return below + 1 == sorted.length
        ? sorted[below]
        : sorted[below] + (position - below) * (sorted[below + 1] - sorted[below]);
  }

  private static Double orNull(double value) {
    return Double.isNaN(value) ? null : value;
  }

  private static Double[] items(double[] column) {
    return column == null
        ? null
        : Arrays.stream(column).mapToObj(SqlTest::orNull).toArray(Double[]::new);
  }
}
