package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import io.gradflow.core.incident.Alert;
import io.gradflow.dashboard.Dashboard;
import io.gradflow.dashboard.web.DashboardOptions;
import io.gradflow.schema.Topic;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.ExecutionException;
import java.util.stream.LongStream;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.utils.Time;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the page's clients are told while the broker is away, and when a topic is another. */
class DashboardOutageTest {
  private static final Duration LIMIT = Duration.ofSeconds(60);
  private static final long NOTICED_MS = 3_000;

  @TempDir private Path folder;
  private KafkaNode node;
  private KafkaRaftServer broker;

  @BeforeEach
  void start() throws Exception {
    node = new KafkaNode(folder.resolve("kafka"), Ports.anyFree(), Ports.anyFree());
    node.format();
    startBroker();
    createTopics();
  }

  @AfterEach
  void stopBroker() {
    broker.shutdown();
    broker.awaitShutdown();
  }

  private void startBroker() {
    broker = new KafkaRaftServer(new KafkaConfig(node.settings(), false), Time.SYSTEM);
    broker.startup();
  }

  private void createTopics() {
    try (Topics topics = Topics.of(node.bootstrapServers())) {
      topics.create(OptionalInt.of(2), Optional.empty());
    }
  }

  private static String steps(Dashboard page) {
    return PageClient.get(page.uri(), "/api/steps?run=run").get("step").toString();
  }

  private static long lag(JsonNode of) {
    return of == null ? 0 : of.get("readLagMs").longValue();
  }

  private static List<Long> steps(long from, long to) {
    return LongStream.rangeClosed(from, to).boxed().toList();
  }

  @Test
  void aBrokerThatGoesAwayAndComesBackCostsNoStep() throws Exception {
    try (PublishedRun run = new PublishedRun(node.bootstrapServers(), "run", 3);
        Dashboard page = Dashboard.start(DashboardOptions.local(node.bootstrapServers(), 0))) {
      run.begin().steps(1, 0, 9).flush();
      await().atMost(LIMIT).until(() -> steps(page).endsWith(",9]"));
      try (PageClient client = PageClient.open(page.uri(), "run", null)) {
        await().atMost(LIMIT).until(() -> client.latest("hello") != null);
        run.steps(1, 10, 19).flush();
        await().atMost(LIMIT).until(() -> client.steps().size() == 10);

        stopBroker();
        await().atMost(LIMIT).until(() -> lag(client.latest("pulse")) > NOTICED_MS);
        assertThat(lag(PageClient.get(page.uri(), "/api/status"))).isGreaterThan(NOTICED_MS);
        assertThat(steps(page)).startsWith("[0,").endsWith(",19]");
        startBroker();
        run.steps(1, 20, 29).alert("one", 0, Alert.State.OPENED).flush();

        await()
            .atMost(LIMIT)
            .untilAsserted(
                () -> {
                  assertThat(client.steps().keySet()).containsExactlyElementsOf(steps(10, 29));
                  assertThat(client.events()).contains("incident");
                });
        await().atMost(LIMIT).until(() -> lag(client.latest("pulse")) < NOTICED_MS);
        assertThat(client.events())
            .doesNotContain("reset", "rewind")
            .containsOnlyOnce("hello", "incident")
            .filteredOn("step"::equals)
            .hasSize(20);
      }
    }
  }

  @Test
  void aTopicThatIsMadeAnewIsAReset() throws Exception {
    try (PublishedRun run = new PublishedRun(node.bootstrapServers(), "run", 3);
        Dashboard page = Dashboard.start(DashboardOptions.local(node.bootstrapServers(), 0))) {
      run.begin().steps(1, 0, 9).flush();
      await().atMost(LIMIT).until(() -> steps(page).endsWith(",9]"));
      try (PageClient client = PageClient.open(page.uri(), "run", null)) {
        await().atMost(LIMIT).until(() -> client.latest("hello") != null);

        deleteSteps();
        await().atMost(LIMIT).pollDelay(Duration.ofMillis(200)).until(this::areTopicsBack);
        run.steps(1, 3, 5).flush();

        await().atMost(LIMIT).until(() -> client.events().contains("reset"));
        await().atMost(LIMIT).until(() -> steps(page).equals("[3,4,5]"));
        run.steps(1, 6, 7).flush();
        await().atMost(LIMIT).until(() -> client.steps().keySet().containsAll(steps(6, 7)));
        assertThat(client.events()).containsOnlyOnce("reset");
      }
    }
  }

  private void deleteSteps() throws ExecutionException, InterruptedException {
    try (Admin admin = admin()) {
      admin.deleteTopics(List.of(Topic.STEPS.topicName())).all().get();
    }
  }

  /** A topic that is being deleted cannot be made yet. */
  private boolean areTopicsBack() throws ExecutionException, InterruptedException {
    createTopics();
    try (Admin admin = admin()) {
      return !admin
          .describeTopics(List.of(Topic.STEPS.topicName()))
          .allTopicNames()
          .get()
          .isEmpty();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof UnknownTopicOrPartitionException) {
        return false;
      }
      throw e;
    }
  }

  private Admin admin() {
    return Admin.create(
        Map.of(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, node.bootstrapServers()));
  }
}
