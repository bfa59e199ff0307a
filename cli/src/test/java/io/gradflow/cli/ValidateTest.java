package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Each file in {@code broken-configurations} has one mistake, and gets one line. */
class ValidateTest {
  @TempDir static Path brokerFolder;
  private static LocalKafka kafka;

  @TempDir Path folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeAll
  static void start() {
    kafka = LocalKafka.start(new Workspace(brokerFolder), Ports.anyFree());
    createTopics();
  }

  @AfterAll
  static void stop() {
    kafka.close();
  }

  private static void createTopics() {
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(2), Optional.empty());
    }
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "misspelt-option | config.yaml: unknown option gradflow.alerts.delivry in Flink's configuration: expected one of gradflow.kafka.bootstrap.servers, ",
        "wrong-choice | config.yaml: option gradflow.alerts.delivery: expected at-least-once or exactly-once, got 'twice'",
        "no-brokers | option gradflow.kafka.bootstrap.servers is not set: expected host:port of Kafka brokers; set it in config.yaml, or GRADFLOW_KAFKA_BOOTSTRAP_SERVERS in the environment",
        "unreachable-broker | no Kafka broker answers at 127.0.0.1:1: expected one within 4 s; check the address, and that it is up",
        "long-transactions | gradflow.alerts.delivery exactly-once: expected transactions of at most 900 s, the brokers' transaction.max.timeout.ms, got a timeout of 3600 s; lower gradflow.kafka.properties.transaction.timeout.ms or raise the brokers'",
        "rare-checkpoints | gradflow.alerts.delivery exactly-once: expected checkpoints more often than transactions time out, every 300 s at most, got execution.checkpointing.interval of 1200 s; alerts would be lost",
        "generic-types | option pipeline.generic-types: expected false, got true: every type has a serializer of its own; leave it out",
        "misspelt-flink-option | config.yaml: unknown option execution.checkpoint.interval: Flink has none of that name; did you mean execution.checkpointing.interval?",
        "no-duration | config.yaml: option execution.checkpointing.interval: expected what Flink can read, got '10 parsecs' (Time interval unit label 'parsecs' does not match any of the recognized units)",
        "no-room | config.yaml: option gradflow.limits.runs: expected 1 or more, got 0",
        "unreachable-registry | option gradflow.schema.registry.url: expected a schema registry at http://127.0.0.1:1, got ClosedChannelException"
      })
  void aMistakeIsOneLine(String name, String line) throws IOException {
    assertThat(validate(broken(name))).isEqualTo(1);
    assertThat(problems()).singleElement().asString().startsWith(line);
    assertThat(out.toString()).endsWith("1 problem%n".formatted());
    assertThat(err.toString()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      quoteCharacter = '"',
      value = {
        "duplicate-key | expected YAML as Flink reads it, got: found duplicate key parallelism.default at line 3, column 1",
        "bad-yaml | expected YAML as Flink reads it, got: expected <block end>, but found '<block mapping start>' at line 4, column 2",
      })
  void whatIsNoConfigurationIsOneLine(String name, String line) throws IOException {
    Path file = broken(name);
    assertThat(validate(file)).isEqualTo(1);
    assertThat(err.toString()).isEqualTo("gradflow: %s: %s%n", file, line);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aMissingTopicIsOneLine() throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", kafka.bootstrapServers()))) {
      admin.deleteTopics(List.of("gradient-windows")).all().get();
      await().until(() -> !admin.listTopics().names().get().contains("gradient-windows"));
      assertThat(validate(broken("missing-topic"))).isEqualTo(1);
    } finally {
      createTopics();
    }
    assertThat(problems())
        .containsExactly(
            "gradient-windows: expected to exist, is missing; create it with gradflow topics create");
  }

  @Test
  void deadLettersThatFindNoRoomAreOneLine() throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", kafka.bootstrapServers()))) {
      set(admin, "1048588");
      assertThat(validate(broken("small-dead-letters"))).isEqualTo(1);
      set(admin, "33554432");
    }
    assertThat(problems())
        .containsExactly(
            "gradient-dead-letters: expected max.message.bytes of at least 1048589 (above every other topic's), is 1048588");
  }

  private static void set(Admin admin, String maxMessageBytes) throws Exception {
    admin
        .incrementalAlterConfigs(
            Map.of(
                new ConfigResource(ConfigResource.Type.TOPIC, "gradient-dead-letters"),
                List.of(
                    new AlterConfigOp(
                        new ConfigEntry("max.message.bytes", maxMessageBytes),
                        AlterConfigOp.OpType.SET))))
        .all()
        .get();
  }

  @Test
  void everyMistakeIsNamedNotTheFirstAlone() throws IOException {
    Path file =
        Files.writeString(
            folder.resolve("config.yaml"),
            """
            gradflow.alerts.delivery: twice
            gradflow.source.start: yesterday
            pipeline.generic-types: true
            parallelism.default: many
            """);
    assertThat(validate(file, "--offline")).isEqualTo(1);
    assertThat(problems()).hasSize(5);
    assertThat(out.toString()).endsWith("5 problems%n".formatted());
  }

  @Test
  void aSoundConfigurationIsShownWithItsOriginsAndWithoutItsSecrets() throws IOException {
    Path file =
        Files.writeString(
            folder.resolve("config.yaml"),
            """
            gradflow:
              kafka:
                bootstrap.servers: %s
                properties:
                  ssl.key.password: hush
            gradflow.alerts.delivery: exactly-once
            execution.checkpointing.interval: 30 s
            state.backend.type: rocksdb
            metrics.reporter.prom.port: 9249
            s3.endpoint: http://store:9000
            """
                .formatted(kafka.bootstrapServers()));
    assertThat(validate(file, "--format", "json")).as(out.toString()).isZero();
    JsonNode report = new ObjectMapper().readTree(out.toString());
    assertThat(report.get("problems")).isEmpty();
    assertThat(report.get("options"))
        .extracting(
            option ->
                option.get("name").asText()
                    + " "
                    + option.get("value").asText()
                    + " "
                    + option.get("from").asText())
        .contains(
            "gradflow.kafka.bootstrap.servers " + kafka.bootstrapServers() + " config.yaml",
            "gradflow.kafka.properties.ssl.key.password ****** config.yaml",
            "gradflow.alerts.delivery exactly-once config.yaml",
            "gradflow.source.start earliest default",
            "gradflow.schema.registry.url null default",
            "execution.checkpointing.interval 30 s config.yaml",
            "pipeline.max-parallelism 360 the jobs");
  }

  /** The file with the address of the broker filled in. */
  private Path broken(String name) throws IOException {
    try (InputStream in =
        ValidateTest.class.getResourceAsStream("broken-configurations/" + name + ".yaml")) {
      String text = new String(in.readAllBytes(), StandardCharsets.UTF_8);
      return Files.writeString(
          folder.resolve("config.yaml"), text.replace("BROKER", kafka.bootstrapServers()));
    }
  }

  private int validate(Path file, String... more) {
    String[] arguments = new String[more.length + 3];
    arguments[0] = "validate";
    arguments[1] = "-f";
    arguments[2] = file.toString();
    System.arraycopy(more, 0, arguments, 3, more.length);
    return Gradflow.run(new PrintWriter(out), new PrintWriter(err), arguments);
  }

  /** The lines between the options and the count. */
  private List<String> problems() {
    List<String> lines = out.toString().lines().toList();
    return lines.subList(lines.indexOf("") + 1, lines.size() - 1);
  }
}
