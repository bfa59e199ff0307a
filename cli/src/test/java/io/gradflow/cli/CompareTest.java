package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.norm.Step;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The command against a broker that holds steps nobody trained. */
class CompareTest {
  /** A name that looks like a span, steers terminals and has the keys' separator in it. */
  private static final String HOSTILE = "run:1-2|\u001b[2J%";

  private static final String[] LAYERS = {"a.weight", "b.weight", "c.weight"};

  @TempDir static Path brokerFolder;
  private static LocalKafka kafka;
  private static KafkaProducer<byte[], byte[]> producer;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeAll
  static void publish() {
    kafka = LocalKafka.start(new Workspace(brokerFolder), Ports.anyFree());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(3), Optional.empty());
    }
    producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", kafka.bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer());
    plain();
    restarted();
    hostile();
    large();
    DrawnRun unknown = new DrawnRun("without-manifest", 5, LAYERS);
    send(Codecs.STEPS, unknown.steps(1, 0, 39));
    producer.flush();
  }

  @AfterAll
  static void stop() {
    producer.close();
    kafka.close();
  }

  /** Steps 0 to 99, a change, 100 to 199; every record twice, some of another revision before. */
  private static void plain() {
    DrawnRun run = new DrawnRun("plain", 1, LAYERS);
    send(Codecs.MANIFESTS, List.of(run.manifest()));
    List<Step> steps = new ArrayList<>(run.steps(1, 0, 99));
    run.shift("b.weight", 0.5).learningRate(0.05);
    steps.addAll(run.steps(1, 100, 199));
    DrawnRun wrong = new DrawnRun("plain", 2, LAYERS).shift("a.weight", 30);
    send(Codecs.STEPS, List.of(wrong.step(1, 10, 3), wrong.step(1, 11, 3)));
    send(Codecs.STEPS, steps);
    send(Codecs.STEPS, steps);
    send(Codecs.STEPS, List.of(wrong.step(1, 12, 2)));
  }

  /** Goes back from step 129 to 60 and trains on differently. */
  private static void restarted() {
    DrawnRun run = new DrawnRun("restarted", 3, LAYERS);
    send(Codecs.MANIFESTS, List.of(run.manifest()));
    send(Codecs.STEPS, run.steps(1, 0, 129));
    run.shift("c.weight", -2);
    send(Codecs.STEPS, run.steps(2, 60, 159));
  }

  private static void hostile() {
    DrawnRun run = new DrawnRun(HOSTILE, 4, "a.weight", "\u202eb\n.weight");
    send(Codecs.MANIFESTS, List.of(run.manifest()));
    send(Codecs.STEPS, run.steps(1, 0, 99));
  }

  /** Too large for one record, as a manifest and as a step. */
  private static void large() {
    String[] layers =
        IntStream.range(0, 25_000).mapToObj("layers.%d.weight"::formatted).toArray(String[]::new);
    DrawnRun run = new DrawnRun("large", 6, layers);
    send(Codecs.MANIFESTS, List.of(run.manifest()));
    assertThat(send(Codecs.STEPS, run.steps(1, 0, 2))).isGreaterThan(3);
    run.shift("layers.24999.weight", 9);
    send(Codecs.STEPS, run.steps(1, 3, 5));
  }

  private static <T> int send(Codec<T> codec, List<T> values) {
    int records = 0;
    for (T value : values) {
      for (Encoded record : codec.encode(value)) {
        var unused =
            producer.send(
                new ProducerRecord<>(codec.topic().topicName(), record.key(), record.value()));
        records++;
      }
    }
    return records;
  }

  @Test
  void twoSpansOfARunAreComparedStepByStepOnce() throws Exception {
    JsonNode report = json("plain:0-99", "plain:100-199");

    assertThat(report.get("sentence").asText())
        .startsWith("Learning rate ×0.5 (0.1 to 0.05): the gradient of b.weight rose by 0.")
        .endsWith("; 1 of 3 layers changed.");
    assertThat(report.get("before").toString())
        .isEqualTo(
            "{\"run\":\"plain\",\"stream\":\"main\",\"attempts\":[1],\"firstStep\":0,\"lastStep\":99,\"steps\":100}");
    JsonNode layer = report.get("layers").get(1);
    assertThat(layer.get("name").asText()).isEqualTo("b.weight");
    assertThat(layer.get("changed").asBoolean()).isTrue();
    JsonNode rms = layer.get("measures").get("rms");
    assertThat(rms.get("unit").asText()).isEqualTo("log2");
    assertThat(rms.get("difference").asDouble()).isBetween(0.4, 0.6);
    assertThat(rms.get("before").get("steps").asInt()).isEqualTo(100);
    assertThat(rms.get("before").get("scatter").asDouble())
        .isBetween(DrawnRun.NOISE / 2, DrawnRun.NOISE * 1.5);
    assertThat(rms.get("familyP").asDouble()).isLessThan(0.01);
    assertThat(layer.get("measures").get("zeroFraction").get("significant").asBoolean()).isFalse();
    JsonNode other = report.get("layers").get(0);
    assertThat(other.get("measures").get("rms").get("before").get("mean").asDouble())
        .isBetween(-8.2, -7.8);
    assertThat(report.get("run").get("learningRate").get("difference").asDouble())
        .isCloseTo(-1, within(1e-12));
    assertThat(report.get("run").get("depthSlope")).as("of three weights").isNull();
    assertThat(err.toString()).isEmpty();
  }

  @Test
  void theTextIsATableUnderASentence() {
    assertThat(compare("plain:0-99", "plain:100-199", "--layers", "1")).isZero();
    assertThat(out.toString().lines())
        .contains("before  plain  steps 0 to 99 (100)", "after   plain  steps 100 to 199 (100)")
        .anyMatch(line -> line.startsWith("* b.weight") && line.endsWith("█"))
        .anyMatch(line -> line.contains("  2 layers that differ less are not drawn"))
        .noneMatch(line -> line.contains("\u001b"));
  }

  @Test
  void aRestartSupersedesWhatItDoesAgain() throws Exception {
    JsonNode standing = json("restarted:0-59", "restarted:60-129");
    assertThat(standing.get("sentence").asText()).contains("c.weight fell by ");
    assertThat(standing.get("after").get("attempts").toString()).isEqualTo("[2]");
    assertThat(standing.get("after").get("steps").asInt()).isEqualTo(70);

    JsonNode abandoned = json("restarted:0-59", "restarted:60-129", "--after-attempt", "1");
    assertThat(abandoned.get("sentence").asText()).startsWith("No layer's gradient changed");
    JsonNode whole = json("restarted", "restarted", "--before-attempt", "1");
    assertThat(whole.get("before").get("steps").asInt()).isEqualTo(130);
    assertThat(whole.get("after").get("steps").asInt()).isEqualTo(160);
  }

  @Test
  void aNameThatLooksLikeASpanSteersNothing() throws Exception {
    assertThat(compare(HOSTILE, HOSTILE + ":50-99")).isZero();
    assertThat(out.toString()).contains("before  run:1-2|?[2J%  steps 0 to 99", "?b?.weight");
    assertThat(out.toString().codePoints().filter(c -> c != '\n').anyMatch(Character::isISOControl))
        .isFalse();
    assertThat(json(HOSTILE + ":0-49", HOSTILE + ":50-99").get("before").get("run").asText())
        .isEqualTo(HOSTILE);
  }

  @Test
  void stepsAndManifestsInPartsAreJoined() throws Exception {
    JsonNode report = json("large:0-2", "large:3-5");
    assertThat(report.get("layersCompared").asInt()).isEqualTo(25_000);
    assertThat(report.get("layersChanged").asInt()).isZero();
    assertThat(report.get("sentence").asText())
        .startsWith("No layer has the 50 complete, finite and nonzero steps")
        .endsWith("octaves, of layers.24999.weight.");
  }

  @Test
  void whatIsNotThereIsSaidInOneLineThatHelps() {
    String at = kafka.bootstrapServers();
    assertFails(
        "gradflow: no run nobody at "
            + at
            + ": expected one of those with steps in gradient-steps, which are large, plain, restarted, run:1-2|?[2J%, without-manifest",
        "plain",
        "nobody:0-5");
    assertFails(
        "gradflow: run plain has no steps 500 to 600: expected some of the 200 from 0 to 199",
        "plain:500-600",
        "plain");
    assertFails(
        "gradflow: run plain has no stream critic: expected one of main; see --stream",
        "plain",
        "plain",
        "--stream",
        "critic");
    assertFails(
        "gradflow: run restarted has no attempt 7: expected one of 1, 2",
        "plain",
        "restarted",
        "--after-attempt",
        "7");
    assertFails(
        "gradflow: run without-manifest: expected the manifest of its steps in gradient-manifests, got none; ",
        "plain",
        "without-manifest");
  }

  private void assertFails(String message, String... arguments) {
    err.getBuffer().setLength(0);
    assertThat(compare(arguments)).isEqualTo(1);
    assertThat(err.toString().lines().filter(line -> line.startsWith("gradflow: ")))
        .singleElement()
        .asString()
        .startsWith(message);
    assertThat(out.toString()).isEmpty();
  }

  private JsonNode json(String... arguments) throws Exception {
    out.getBuffer().setLength(0);
    List<String> all = new ArrayList<>(Arrays.asList(arguments));
    all.addAll(List.of("--format", "json"));
    assertThat(compare(all.toArray(new String[0]))).as(err.toString()).isZero();
    assertThat(out.toString().lines()).hasSize(1);
    return new ObjectMapper().readTree(out.toString());
  }

  private int compare(String... arguments) {
    List<String> all = new ArrayList<>(List.of("compare"));
    all.addAll(Arrays.asList(arguments));
    all.addAll(List.of("--bootstrap-server", kafka.bootstrapServers()));
    return Gradflow.run(new PrintWriter(out), new PrintWriter(err), all.toArray(new String[0]));
  }
}
