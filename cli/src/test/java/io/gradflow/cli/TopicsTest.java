package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.gradflow.schema.Topic;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.config.ConfigResource;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TopicsTest {
  @TempDir static Path folder;
  private static LocalKafka kafka;
  private static Admin admin;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeAll
  static void start() {
    kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree());
    admin = Admin.create(Map.of("bootstrap.servers", kafka.bootstrapServers()));
  }

  @AfterAll
  static void stop() {
    admin.close();
    kafka.close();
    assertThat(folder).isEmptyDirectory();
  }

  @AfterEach
  void removeTopics() throws Exception {
    delete(admin.listTopics().names().get());
  }

  @Test
  void createsWhatIsMissingAndNothingElse() throws Exception {
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      assertThat(topics.create(OptionalInt.of(3), Optional.empty()))
          .containsExactlyElementsOf(List.of(Topic.values()));
      assertThat(topics.check(OptionalInt.of(3), Optional.of((short) 1))).isEmpty();

      delete(Set.of("gradient-alerts"));
      assertThat(topics.create(OptionalInt.of(3), Optional.empty())).containsExactly(Topic.ALERTS);
      assertThat(topics.create(OptionalInt.of(3), Optional.empty())).isEmpty();
    }
  }

  @Test
  void namesEveryDifference() throws Exception {
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(3), Optional.empty());
      delete(Set.of("gradient-blocks"));
      set("gradient-manifests", "cleanup.policy", "delete,compact");
      set("gradient-steps", "cleanup.policy", "compact");
      set("gradient-alerts", "max.message.bytes", "1000");
      set("gradient-shards", "max.message.bytes", "50000000");
      set("gradient-shards", "message.timestamp.type", "CreateTime");

      assertThat(topics.check(OptionalInt.of(3), Optional.of((short) 2)))
          .filteredOn(difference -> !difference.contains("replication factor"))
          .containsExactly(
              "gradient-shards: expected message.timestamp.type LogAppendTime, is CreateTime",
              "gradient-blocks: expected to exist, is missing; create it with gradflow topics create",
              "gradient-steps: expected cleanup.policy delete, is compact",
              "gradient-alerts: expected max.message.bytes of at least 1048588, is 1000",
              "gradient-dead-letters: expected max.message.bytes of at least 50000001 (above every other topic's), is 33554432");
      assertThat(topics.check(OptionalInt.of(4), Optional.of((short) 2)))
          .contains(
              "gradient-shards: expected partitions 4, is 3",
              "gradient-shards: expected replication factor 2, is 1")
          .doesNotContain("gradient-rules: expected partitions 4, is 1");
    }
  }

  @Test
  void exitsWithOneWhileThereAreDifferences() {
    String server = kafka.bootstrapServers();
    assertThat(run("topics", "check", "--bootstrap-server", server)).isEqualTo(1);
    assertThat(out.toString()).contains(Topic.values().length + " differences");
    assertThat(run("topics", "create", "--bootstrap-server", server)).isZero();
    assertThat(out.toString()).contains("created gradient-shards", "0 existed");
    assertThat(run("topics", "check", "--bootstrap-server", server)).isZero();
    assertThat(out.toString())
        .contains("topics as expected")
        .contains(
            "norm-job   Write, Describe on gradient-steps, gradient-windows, gradient-dead-letters");
    assertThat(err.toString()).isEmpty();
  }

  @Test
  void saysInOneLineThatNoBrokerAnswers() {
    String server = "127.0.0.1:" + Ports.anyFree();
    assertThat(run("topics", "check", "--bootstrap-server", server)).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: no Kafka broker answers at %s: expected one within 4 s; check the address, and that it is up%n",
            server);
    assertThat(out.toString()).isEmpty();
  }

  private int run(String... args) {
    return Gradflow.run(new PrintWriter(out), new PrintWriter(err), args);
  }

  private static void delete(Set<String> topics) throws Exception {
    admin.deleteTopics(topics).all().get();
    await().until(() -> Collections.disjoint(admin.listTopics().names().get(), topics));
  }

  private static void set(String topic, String name, String value) throws Exception {
    admin
        .incrementalAlterConfigs(
            Map.of(
                new ConfigResource(ConfigResource.Type.TOPIC, topic),
                List.of(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET))))
        .all()
        .get();
  }
}
