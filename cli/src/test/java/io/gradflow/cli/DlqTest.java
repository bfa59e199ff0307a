package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.Origin;
import io.gradflow.core.Rejection;
import io.gradflow.core.StepId;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.operators.wire.DeadLetters;
import io.gradflow.operators.wire.OutgoingRecord;
import io.gradflow.operators.wire.RawRecord;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.Undecodable;
import io.gradflow.schema.WriterSchemas;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Dead letters as the jobs write them. */
class DlqTest {
  private static final DeadLetters LETTERS = new DeadLetters("NormJob", "1");
  private static final byte[] KEY = "run|3".getBytes(StandardCharsets.UTF_8);
  private static final byte[] UNKNOWN = {0, 0, 0, 0, 9, 1, 2, 3};
  private static final byte[] EVENT =
      Codecs.RUNS
          .encode(new RunEvent("wanted", 1, StepId.MAIN_STREAM, 4, RunEvent.Type.EVAL, 5, Map.of()))
          .get(0)
          .value();

  @TempDir Path folder;
  private LocalKafka kafka;
  private StringWriter out = new StringWriter();
  private StringWriter err = new StringWriter();

  @BeforeEach
  void someLetters() throws Exception {
    kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(2), Optional.empty());
    }
    write(undecodable(Topic.SHARDS, 7, UNKNOWN, Undecodable.Reason.UNKNOWN_SCHEMA, "no registry"));
    write(undecodable(Topic.RUNS, 8, EVENT, Undecodable.Reason.MALFORMED, "cut"));
    write(undecodable(Topic.RUNS, 8, EVENT, Undecodable.Reason.MALFORMED, "cut"));
    write(
        LETTERS.of(
            new Rejection(
                "bad-shard",
                "it does not fit",
                new StepId("wanted", 1, StepId.MAIN_STREAM, 12),
                3,
                new Origin("gradient-shards", 1, 9, 99))));
    write(LETTERS.ofTooLarge(new OutgoingRecord("gradient-steps", KEY, UNKNOWN, Map.of()), 5));
  }

  @AfterEach
  void stop() {
    kafka.close();
  }

  @Test
  void showsWhyWhereAndHowItBegins() throws Exception {
    assertThat(dlq("show")).isZero();
    assertThat(out.toString().lines()).hasSize(5);
    assertThat(out.toString())
        .containsPattern(
            "unknown-schema   gradient-shards-1@7: no registry  \\(8 bytes: 00 00 00 00 09 01 02 03\\)")
        .containsPattern("malformed  .*: C3 01( [0-9A-F]{2}){14} \\.\\.\\.\\)")
        .contains("it does not fit  (no bytes)");
    assertThat(err.toString())
        .isEqualTo(
            "dead letters by reason: {bad-shard=1, malformed=2, too-large=1, unknown-schema=1}%n"
                .formatted());

    assertThat(dlq("show", "--run", "wanted", "--format", "json", "--limit", "2")).isZero();
    List<String> lines = out.toString().lines().toList();
    assertThat(lines).hasSize(2);
    JsonNode first = new ObjectMapper().readTree(lines.get(0));
    assertThat(first.get("headers").get("job").asText()).isEqualTo("NormJob");
    assertThat(err.toString()).contains("{bad-shard=1, malformed=2}");

    assertThat(dlq("show", "--reason", "no-manifest")).isZero();
    assertThat(out.toString()).isEmpty();
    assertThat(err.toString()).isEqualTo("no dead letters%n".formatted());
  }

  @Test
  void replaysEachRecordOnceByteForByteToWhereItCameFrom() {
    assertThat(dlq("replay", "--all", "--dry-run")).isZero();
    assertThat(out.toString()).endsWith("2 to be published%n".formatted());
    assertThat(inputs()).isEmpty();

    assertThat(dlq("replay", "--all")).isZero();

    assertThat(out.toString().lines())
        .containsExactlyInAnyOrder(
            "published gradient-shards-1@7, unknown-schema, 8 bytes",
            "published gradient-runs-1@8, malformed, %d bytes".formatted(EVENT.length),
            "2 published");
    assertThat(err.toString().lines())
        .containsExactlyInAnyOrder(
            "1 passed over: another letter of the same record",
            "1 passed over: not read from a topic of gradflow's inputs",
            "1 passed over: understood and refused (bad-shard), there are no bytes");
    assertThat(inputs())
        .hasSize(2)
        .allSatisfy(record -> assertThat(record.key()).isEqualTo(KEY))
        .anySatisfy(
            record -> {
              assertThat(record.topic()).isEqualTo("gradient-shards");
              assertThat(record.value()).isEqualTo(UNKNOWN);
            })
        .anySatisfy(
            record -> {
              assertThat(record.topic()).isEqualTo("gradient-runs");
              assertThat(record.value()).isEqualTo(EVENT);
            });
  }

  @Test
  void replaysOnlyWhatIsAskedFor() {
    assertThat(dlq("replay", "--reason", "unknown-schema")).isZero();
    assertThat(inputs()).extracting(ConsumerRecord::topic).containsExactly("gradient-shards");
    assertThat(dlq("replay", "--offset", "gradient-runs-1@8")).isZero();
    assertThat(inputs())
        .extracting(ConsumerRecord::topic)
        .containsExactlyInAnyOrder("gradient-shards", "gradient-runs");
    assertThat(dlq("replay", "--offset", "gradient-runs-1@9")).isZero();
    assertThat(out.toString()).isEqualTo("0 published%n".formatted());
  }

  private static OutgoingRecord undecodable(
      Topic topic, long offset, byte[] value, Undecodable.Reason reason, String why) {
    Origin origin = new Origin(topic.topicName(), 1, offset, 99);
    return LETTERS.of(
        new RawRecord(origin, KEY, value), new Undecodable(reason, origin + ": " + why, null));
  }

  private void write(OutgoingRecord letter) throws Exception {
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", kafka.bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer())) {
      var record = new ProducerRecord<>(letter.topic(), letter.key(), letter.value());
      letter
          .headers()
          .forEach(
              (name, text) -> record.headers().add(name, text.getBytes(StandardCharsets.UTF_8)));
      producer.send(record).get(20, TimeUnit.SECONDS);
    }
  }

  private List<ConsumerRecord<byte[], byte[]>> inputs() {
    List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
    try (TopicReader reader = new TopicReader(kafka.bootstrapServers(), WriterSchemas.known())) {
      reader
          .withRaw(Topic.SHARDS, records::add)
          .withRaw(Topic.RUNS, records::add)
          .withRaw(Topic.STEPS, records::add)
          .readToEnd();
    }
    return records;
  }

  private int dlq(String... arguments) {
    out = new StringWriter();
    err = new StringWriter();
    List<String> all = new ArrayList<>(List.of("dlq"));
    all.addAll(List.of(arguments));
    all.addAll(List.of("--bootstrap-server", kafka.bootstrapServers()));
    return Gradflow.run(new PrintWriter(out), new PrintWriter(err), all.toArray(new String[0]));
  }
}
