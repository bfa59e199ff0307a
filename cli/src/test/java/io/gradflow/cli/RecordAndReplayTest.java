package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.Recorded;
import io.gradflow.schema.RecordingReader;
import io.gradflow.schema.RecordingWriter;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The two commands against a broker, as far as records are concerned: no job looks at them. */
class RecordAndReplayTest {
  @TempDir static Path brokerFolder;
  private static LocalKafka kafka;
  private static Admin admin;
  private static KafkaProducer<byte[], byte[]> producer;

  @TempDir Path folder;
  private StringWriter out = new StringWriter();
  private StringWriter err = new StringWriter();

  @BeforeAll
  static void start() {
    kafka = LocalKafka.start(new Workspace(brokerFolder), Ports.anyFree());
    Map<String, Object> client = Map.of("bootstrap.servers", kafka.bootstrapServers());
    admin = Admin.create(client);
    producer = new KafkaProducer<>(client, new ByteArraySerializer(), new ByteArraySerializer());
  }

  @AfterAll
  static void stop() {
    producer.close();
    admin.close();
    kafka.close();
  }

  @BeforeEach
  void emptyTopics() throws Exception {
    Set<String> before = admin.listTopics().names().get();
    admin.deleteTopics(before).all().get();
    await().until(() -> admin.listTopics().names().get().isEmpty());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(3), Optional.empty());
    }
  }

  @Test
  void whatIsReplayedIsWhatWasRecordedByteForByteAndInItsOrder() throws Exception {
    publishShards("wanted", 200);
    publishShards("unwanted", 50);
    byte[] poison = shard("wanted", 0, 0).value();
    publish(Topic.SHARDS, shard("wanted", 1, 0).key(), Arrays.copyOf(poison, poison.length - 3));
    publish(Topic.SHARDS, shard("wanted", 1, 0).key(), "no Avro".getBytes(StandardCharsets.UTF_8));
    Map<String, List<String>> before = recordsByKey();
    Path file = folder.resolve("wanted.avro");

    assertThat(record("wanted", file)).isZero();

    assertThat(out.toString())
        .contains("1 of gradient-runs", "201 of gradient-shards", "of run wanted");
    assertThat(err.toString()).contains("1 records could not be read");
    assertThat(folder).isDirectoryContaining(path -> path.equals(file));
    assertThat(folder.resolve("wanted.avro.part")).doesNotExist();
    emptyTopics();
    assertThat(replay(file.toString())).as(err.toString()).isZero();
    assertThat(out.toString()).contains("published 202 records of wanted to ");
    Map<String, List<String>> after = recordsByKey();
    before.keySet().removeIf(key -> key.startsWith("unwanted"));
    before
        .values()
        .forEach(values -> values.remove(hex("no Avro".getBytes(StandardCharsets.UTF_8))));
    assertThat(after).isEqualTo(before);
  }

  @Test
  void recordsOfSeveralPartitionsAreKeptInTheOrderOfTheirTimes() throws Exception {
    publishShards("wanted", 300);
    Path file = folder.resolve("wanted.avro");
    assertThat(record("wanted", file, "--format", "json")).isZero();
    assertThat(out.toString()).contains("\"gradient-shards\":300");

    List<Long> times = new ArrayList<>();
    try (RecordingReader reader = new RecordingReader(Files.newInputStream(file))) {
      for (Recorded record = reader.next(); record != null; record = reader.next()) {
        times.add(record.timestamp());
      }
    }
    assertThat(times).hasSize(301).isSorted();
  }

  @Test
  void aRunThatIsNotThereIsOneLineAndNoFile() throws Exception {
    publishShards("other", 2);
    Path file = folder.resolve("none.avro");
    assertThat(record("none", file)).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: no run none at %s: expected one of those with records in gradient-shards or gradient-blocks, which are other%n",
            kafka.bootstrapServers());
    assertThat(record("other", file, "--from", "2100-01-01T00:00:00Z")).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: run other has nothing in gradient-shards or gradient-blocks since 2100-01-01T00:00:00Z: expected records, got manifests and events alone; perhaps it is longer ago than the topic keeps%n"
                .formatted());
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void anExistingFileStaysAsItIs() throws Exception {
    Path file = Files.writeString(folder.resolve("precious"), "mine");
    assertThat(record("any", file)).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: %s exists: expected a new file; remove it, or choose another --out%n", file);
    assertThat(file).hasContent("mine");
  }

  @Test
  void missingTopicsAndFoldersAreOneLine() throws Exception {
    assertThat(record("any", folder.resolve("nowhere").resolve("file"))).isEqualTo(1);
    assertThat(err.toString())
        .startsWith("gradflow: cannot write " + folder.resolve("nowhere"))
        .hasLineCount(1);
    Path file = recording("run", 1);
    admin.deleteTopics(Set.of("gradient-shards")).all().get();
    await().until(() -> !admin.listTopics().names().get().contains("gradient-shards"));
    String missing =
        "gradflow: there is no topic gradient-shards at %1$s; create it: ./gradflow topics create --bootstrap-server %1$s%n"
            .formatted(kafka.bootstrapServers());
    assertThat(record("any", folder.resolve("file"))).isEqualTo(1);
    assertThat(err.toString()).isEqualTo(missing);
    assertThat(replay(file.toString())).isEqualTo(1);
    assertThat(err.toString()).isEqualTo(missing);
  }

  @Test
  void aDamagedFileIsOneLineAndNothingOfItIsPublished() throws Exception {
    Path whole = recording("run", 100);
    byte[] bytes = Files.readAllBytes(whole);
    Path cut = Files.write(folder.resolve("cut"), Arrays.copyOf(bytes, bytes.length - 20));
    assertThat(replay(whole.toString(), cut.toString())).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: %s: the file ends early: expected a whole block after 0 records, got its beginning; copy or record it again%n",
            cut);
    // Among the records: before them lie the schemas, whose descriptions may say anything.
    bytes[bytes.length - 100] ^= 0x55;
    Path damaged = Files.write(folder.resolve("damaged"), bytes);
    assertThat(replay(damaged.toString())).isEqualTo(1);
    assertThat(err.toString()).startsWith("gradflow: " + damaged + ": ").hasLineCount(1);
    Path missing = folder.resolve("missing");
    assertThat(replay(missing.toString())).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo("gradflow: %s: expected a recording, found no such file%n", missing);
    assertThat(recordsByKey()).isEmpty();
  }

  @Test
  void severalRunsCannotHaveOneName() throws Exception {
    assertThat(replay(recording("a", 1).toString(), recording("b", 1).toString(), "--as", "c"))
        .isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: --as renames one run, the files hold 2: a, b; replay them one by one%n"
                .formatted());
  }

  @Test
  void runsOfDifferentDaysAreReplayedSideBySideAtTheirPace() throws Exception {
    Path early = recording("early", 3, 0);
    Path late = recording("late", 3, Duration.ofDays(2).toMillis());
    long began = System.nanoTime();
    assertThat(replay(late.toString(), early.toString(), "--speed", "0.01")).isZero();
    assertThat(Duration.ofNanos(System.nanoTime() - began))
        .isBetween(Duration.ofMillis(200), Duration.ofSeconds(60));
    assertThat(recordsByKey()).containsOnlyKeys("early|0", "late|0");
  }

  private Path recording(String run, int shards) throws IOException {
    return recording(run, shards, 0);
  }

  private Path recording(String run, int shards, long since) throws IOException {
    Path file = folder.resolve(run + ".recording");
    try (RecordingWriter writer = new RecordingWriter(Files.newOutputStream(file))) {
      for (int i = 0; i < shards; i++) {
        Encoded shard = shard(run, 0, i);
        writer.append(new Recorded(Topic.SHARDS, 0, i, since + i, run, shard.key(), shard.value()));
      }
    }
    return file;
  }

  private static void publishShards(String run, int count) {
    Encoded event =
        Codecs.RUNS
            .encode(
                new RunEvent(run, 1, StepId.MAIN_STREAM, -1, RunEvent.Type.STARTED, 5, Map.of()))
            .get(0);
    publish(Topic.RUNS, event.key(), event.value());
    for (int i = 0; i < count; i++) {
      Encoded shard = shard(run, i % 7, i / 7);
      publish(Topic.SHARDS, shard.key(), shard.value());
    }
  }

  /** What decodes as a shard without being one that any manifest describes. */
  private static Encoded shard(String run, int rank, long step) {
    LayerColumns columns =
        new LayerColumns(0, null, null, new float[] {step}, new float[] {1}, null, null, null);
    return Codecs.SHARDS
        .encode(
            new Shard(
                new StepId(run, 1, StepId.MAIN_STREAM, step),
                rank,
                new int[0],
                0,
                1,
                7,
                Stage.REDUCED,
                -1,
                0,
                1,
                step,
                step,
                0,
                1,
                null,
                false,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                columns,
                null))
        .get(0);
  }

  private static void publish(Topic topic, byte[] key, byte[] value) {
    var unused = producer.send(new ProducerRecord<>(topic.topicName(), key, value));
    producer.flush();
  }

  private static Map<String, List<String>> recordsByKey() {
    Map<String, List<String>> records = new TreeMap<>();
    try (TopicReader reader = new TopicReader(kafka.bootstrapServers(), WriterSchemas.known())) {
      for (Topic topic : List.of(Topic.RUNS, Topic.SHARDS)) {
        reader.withRaw(topic, record -> add(records, record));
      }
      reader.readToEnd();
    }
    return records;
  }

  private static void add(
      Map<String, List<String>> records, ConsumerRecord<byte[], byte[]> record) {
    records
        .computeIfAbsent(new String(record.key(), StandardCharsets.UTF_8), key -> new ArrayList<>())
        .add(hex(record.value()));
  }

  private static String hex(byte[] bytes) {
    return java.util.HexFormat.of().formatHex(bytes);
  }

  private int record(String run, Path file, String... more) {
    List<String> arguments =
        new ArrayList<>(List.of("record", "--run", run, "--out", file.toString()));
    arguments.addAll(List.of(more));
    return run(arguments);
  }

  private int replay(String... more) {
    List<String> arguments = new ArrayList<>(List.of("replay"));
    arguments.addAll(List.of(more));
    return run(arguments);
  }

  private int run(List<String> arguments) {
    out = new StringWriter();
    err = new StringWriter();
    arguments.addAll(List.of("--bootstrap-server", kafka.bootstrapServers()));
    return Gradflow.run(
        new PrintWriter(out), new PrintWriter(err), arguments.toArray(new String[0]));
  }
}
