package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.shard.Capture;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.signal.Octaves;
import io.gradflow.dashboard.Dashboard;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.dashboard.web.DashboardOptions;
import io.gradflow.dashboard.web.DashboardOptions.Limits;
import io.gradflow.dashboard.web.DashboardOptions.Writes;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The page's server between the topics of a real broker and clients that come, go and stop. */
class DashboardTest {
  private static final Duration LIMIT = Duration.ofSeconds(30);
  private static final int PARTITIONS = 2;

  @TempDir private static Path folder;
  private static LocalKafka kafka;

  @BeforeAll
  static void start() {
    kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(PARTITIONS), Optional.empty());
    }
  }

  @AfterAll
  static void stop() {
    kafka.close();
  }

  private static Dashboard dashboard(Limits limits) throws IOException {
    Dashboard dashboard = Dashboard.start(options(kafka.bootstrapServers(), limits));
    await()
        .atMost(LIMIT)
        .until(
            () ->
                PageClient.get(dashboard.uri(), "/api/status").at("/reading/done").booleanValue());
    return dashboard;
  }

  private static DashboardOptions options(String bootstrapServers, Limits limits) {
    return new DashboardOptions(
        bootstrapServers,
        Map.of(),
        Optional.empty(),
        new InetSocketAddress(InetAddress.getLoopbackAddress(), 0),
        Set.of(),
        Optional.empty(),
        Optional.empty(),
        Writes.ALLOWED,
        "",
        PageMetrics.OfRuns.LATEST,
        limits,
        Optional.empty());
  }

  private static PublishedRun run(String name, int layers) {
    return new PublishedRun(kafka.bootstrapServers(), name, layers);
  }

  @Test
  void whatIsInTheTopicsIsServedAndWhatFollowsIsTold() throws IOException {
    String name = "a run | \"<b>%";
    String query = "?run=" + PageClient.encoded(name);
    try (PublishedRun run = run(name, 3)) {
      run.begin().steps(1, 0, 9).alert("i1", 0, Alert.State.OPENED).flush();
      try (Dashboard page = dashboard(Limits.USUAL);
          PageClient client = PageClient.open(page.uri(), name, null)) {
        assertThat(PageClient.get(page.uri(), "/api/runs").findValuesAsText("run")).contains(name);
        JsonNode manifest = PageClient.get(page.uri(), "/api/manifest" + query);
        assertThat(manifest.at("/layers/2/name").textValue()).isEqualTo("layer.2</script>");
        JsonNode steps = PageClient.get(page.uri(), "/api/steps" + query + "&from=4&to=6");
        assertThat(steps.get("step")).extracting(JsonNode::longValue).containsExactly(4L, 5L, 6L);
        assertThat(cells(page, query + "&from=0&to=9")).hasSize(10);
        assertThat(
                PageClient.get(page.uri(), "/api/step" + query + "&step=7")
                    .at("/norms/l2/1")
                    .doubleValue())
            .isEqualTo(8.0);
        JsonNode incident = PageClient.get(page.uri(), "/api/incidents" + query).get(0);
        assertThat(incident.get("incidentId").textValue()).isEqualTo("i1");
        assertThat(incident.get("run").textValue()).isEqualTo(name);

        await().atMost(LIMIT).until(() -> client.latest("hello") != null);
        assertThat(client.latest("hello").get("last").longValue()).isEqualTo(9);
        run.steps(1, 10, 12).alert("i1", 1, Alert.State.UPDATED);
        run.publish(
                Codecs.RUNS,
                new RunEvent(name, 1, "main", 12, RunEvent.Type.CHECKPOINT, 1, Map.of()))
            .flush();
        await()
            .atMost(LIMIT)
            .untilAsserted(
                () -> {
                  assertThat(client.steps().keySet()).containsExactly(10L, 11L, 12L);
                  assertThat(client.events()).contains("incident", "event");
                });
        assertThat(client.latest("incident").get("run").textValue()).isEqualTo(name);
        assertThat(client.latest("incident").get("stream").textValue()).isEqualTo("main");
        assertThat(client.events()).doesNotContain("reset");
        String metrics =
            new String(PageClient.bytes(page.uri(), "/metrics").body(), StandardCharsets.UTF_8);
        assertThat(metrics)
            .contains("gradflow_incidents_open{kind=\"NON_FINITE\",severity=\"CRITICAL\"}")
            .contains("gradflow_run_step{run=\"a run | \\\"<b>%\",stream=\"main\"} 12.0");
      }
    }
  }

  @Test
  void aClientGoesOnExactlyAfterTheServerWasAway() throws IOException {
    try (PublishedRun run = run("resumed", 3)) {
      run.begin().steps(1, 0, 9).flush();
      PageClient before;
      try (Dashboard page = dashboard(Limits.USUAL)) {
        before = PageClient.open(page.uri(), "resumed", null);
        await().atMost(LIMIT).until(() -> before.latest("hello") != null);
        run.steps(1, 10, 30).flush();
        await().atMost(LIMIT).until(() -> before.steps().size() == 21);
      }
      // What comes while no server is there: another attempt that goes back, and a correction.
      run.steps(1, 31, 40).steps(2, 25, 35);
      run.publish(Codecs.STEPS, run.step(2, 24, 3)).publish(Codecs.STEPS, run.step(1, 22, 3));
      run.alert("resumed-1", 0, Alert.State.OPENED).flush();
      try (Dashboard page = dashboard(Limits.USUAL);
          PageClient after = PageClient.open(page.uri(), "resumed", before)) {
        await()
            .atMost(LIMIT)
            .untilAsserted(
                () -> {
                  assertThat(after.steps()).hasSize(26).containsKey(35L).doesNotContainKey(36L);
                  assertThat(after.events()).contains("incident");
                });
        assertThat(after.events())
            .as("of 10 to 30 nothing is told again but what was corrected")
            .doesNotContain("reset", "hello")
            .containsOnlyOnce("rewind")
            .filteredOn("step"::equals)
            .hasSize(13);
      }
    }
  }

  @Test
  void anIdThatReachesTooFarBackIsAReset() throws IOException {
    try (PublishedRun run = run("far back", 3)) {
      run.begin().steps(1, 0, 9).flush();
      PageClient before;
      try (Dashboard page = dashboard(Limits.USUAL)) {
        before = PageClient.open(page.uri(), "far back", null);
        await().atMost(LIMIT).until(() -> before.latest("hello") != null);
      }
      run.steps(1, 10, 200).flush();
      try (Dashboard page = dashboard(new Limits(64 << 20, 50, 10));
          PageClient after = PageClient.open(page.uri(), "far back", before)) {
        await().atMost(LIMIT).until(() -> after.latest("reset") != null);
        run.steps(1, 201, 201).flush();
        await().atMost(LIMIT).until(() -> after.steps().containsKey(201L));
        assertThat(after.events().get(0)).isEqualTo("reset");
      }
    }
  }

  @Test
  void whatMemoryNoLongerHoldsIsReadBackFromTheTopic() throws IOException {
    try (PublishedRun run = run("long", 3);
        PublishedRun other = run("another in between", 3)) {
      run.begin();
      other.begin();
      for (int i = 0; i < 300; i += 10) {
        run.steps(1, i, i + 9).flush();
        other.steps(1, i, i + 9).flush();
      }
      run.steps(5, 250, 600).flush();
      try (Dashboard page = dashboard(new Limits(64 << 20, 40, 10))) {
        String query = "?run=long";
        JsonNode steps = PageClient.get(page.uri(), "/api/steps" + query + "&from=100&to=599");
        assertThat(steps.get("step")).hasSize(500);
        assertThat(steps.at("/attempt/149").longValue()).isEqualTo(1);
        assertThat(steps.at("/attempt/150").longValue()).isEqualTo(5);
        assertThat(cells(page, query + "&from=0&to=20")).hasSize(21);
        assertThat(
                PageClient.get(page.uri(), "/api/step" + query + "&step=7")
                    .at("/norms/l2/0")
                    .doubleValue())
            .isEqualTo(8.0);
        assertThat(PageClient.bytes(page.uri(), "/api/step" + query + "&step=9999").statusCode())
            .isEqualTo(404);
      }
    }
  }

  @Test
  void aRunWhoseStepsLieBeforeTheBackfillIsShownToo() throws IOException {
    List<String> names = new ArrayList<>();
    for (int i = 0; names.size() < 2; i++) {
      if (Reading.partition("quiet " + i, PARTITIONS) == 0) {
        names.add("quiet " + i);
      }
    }
    try (PublishedRun quiet = run(names.get(0), 3);
        PublishedRun busy = run(names.get(1), 3)) {
      quiet.begin().steps(1, 0, 99).steps(4, 70, 120);
      quiet.publish(Codecs.STEPS, quiet.step(4, 110, 3)).flush();
      busy.begin().steps(1, 0, 99).flush();
      try (Dashboard page = dashboard(new Limits(64 << 20, 40, 10))) {
        String query = "?run=" + PageClient.encoded(names.get(0));
        assertThat(cells(page, query)).hasSize(121);
        JsonNode steps = PageClient.get(page.uri(), "/api/steps" + query + "&from=60&to=200");
        assertThat(steps.get("step")).hasSize(61);
        assertThat(steps.at("/attempt/9").longValue()).isEqualTo(1);
        assertThat(steps.at("/attempt/10").longValue()).isEqualTo(4);
        JsonNode last = PageClient.get(page.uri(), "/api/step" + query + "&step=120");
        assertThat(last.at("/norms/l2/0").doubleValue()).isEqualTo(121.0);
      }
    }
  }

  @Test
  void stagesOfAPipelineAreOneModel() throws IOException {
    String query = "?run=staged";
    try (PublishedRun input = PublishedRun.stage(kafka.bootstrapServers(), "staged", 0, 3);
        PublishedRun output = PublishedRun.stage(kafka.bootstrapServers(), "staged", 1, 2)) {
      output.begin().flush();
      input.begin().flush();
      for (int i = 0; i < 98; i += 14) {
        input.steps(1, i, i + 13).flush();
        output.steps(1, i, i + 13).flush();
      }
      try (Dashboard page = dashboard(new Limits(64 << 20, 40, 10));
          PageClient client = PageClient.open(page.uri(), "staged", null)) {
        JsonNode manifest = PageClient.get(page.uri(), "/api/manifest" + query);
        assertThat(manifest.get("layers"))
            .extracting(layer -> layer.get("name").textValue())
            .containsExactly(
                "stage0.layer.0</script>",
                "stage0.layer.1</script>",
                "stage0.layer.2</script>",
                "stage1.layer.0</script>",
                "stage1.layer.1</script>");
        // The newest steps are in memory, and of those before only a part of what the topic has.
        JsonNode steps = PageClient.get(page.uri(), "/api/steps" + query + "&from=0&to=99");
        assertThat(steps.get("step")).hasSize(98);
        for (int i = 0; i < 98; i++) {
          assertThat(steps.get("globalNorm").get(i).doubleValue())
              .isCloseTo(Math.sqrt(5) * (1 + i), within(1e-9));
        }
        assertThat(cells(page, query + "&from=0&to=99")).hasSize(98);
        for (int number : new int[] {7, 80, 97}) {
          JsonNode step = PageClient.get(page.uri(), "/api/step" + query + "&step=" + number);
          assertThat(step.at("/norms/l2"))
              .extracting(JsonNode::doubleValue)
              .containsOnly(1.0 + number)
              .hasSize(5);
        }
        assertThat(
                PageClient.get(page.uri(), "/api/histogram" + query + "&layer=4")
                    .get("name")
                    .textValue())
            .isEqualTo("stage1.layer.1</script>");
        await().atMost(LIMIT).until(() -> client.latest("hello") != null);
        output.steps(1, 98, 98).flush();
        await().atMost(LIMIT).until(() -> client.steps().containsKey(98L));
        assertThat(client.latest("step").get("globalNorm").isNull()).isTrue();
        input.steps(1, 98, 98).flush();
        await()
            .atMost(LIMIT)
            .until(() -> client.latest("step").get("globalNorm").doubleValue() > 0);
        assertThat(client.latest("step").get("layers").intValue()).isEqualTo(5);
        assertThat(client.events()).doesNotContain("reset", "manifest");
      }
    }
  }

  @Test
  void whatCannotBeReadIsCountedAndPassedOver() throws IOException {
    try (PublishedRun run = run("poisoned", 3)) {
      run.begin().steps(1, 0, 3);
      byte[] key = "poisoned".getBytes(StandardCharsets.UTF_8);
      run.send(Topic.STEPS.topicName(), key, new byte[] {1, 2, 3});
      run.send(Topic.STEPS.topicName(), key, null);
      run.send(Topic.ALERTS.topicName(), key, "no alert".getBytes(StandardCharsets.UTF_8));
      run.steps(1, 4, 5).flush();
      try (Dashboard page = dashboard(Limits.USUAL)) {
        assertThat(PageClient.get(page.uri(), "/api/steps?run=poisoned").get("step")).hasSize(6);
        assertThat(
                new String(PageClient.bytes(page.uri(), "/metrics").body(), StandardCharsets.UTF_8))
            .contains("gradflow_dashboard_unreadable_total{topic=\"gradient-steps\"} 2.0")
            .contains("gradflow_dashboard_unreadable_total{topic=\"gradient-alerts\"} 1.0");
      }
    }
  }

  @Test
  void aVerdictGoesThroughTheTopicToEveryClient() throws IOException {
    try (PublishedRun run = run("judged", 3)) {
      run.begin().steps(1, 0, 3).alert("judged-1", 0, Alert.State.OPENED).flush();
      try (Dashboard page = dashboard(Limits.USUAL);
          PageClient client = PageClient.open(page.uri(), "judged", null)) {
        await().atMost(LIMIT).until(() -> client.latest("hello") != null);
        assertThat(
                PageClient.post(
                        page.uri(),
                        "/api/feedback",
                        "{\"run\":\"judged\",\"incidentId\":\"judged-1\",\"verdict\":\"FALSE\","
                            + "\"note\":\"a known batch\"}")
                    .statusCode())
            .isEqualTo(204);
        await().atMost(LIMIT).until(() -> client.latest("verdict") != null);
        assertThat(client.latest("verdict").get("note").textValue()).isEqualTo("a known batch");
        assertThat(
                PageClient.get(page.uri(), "/api/incidents?run=judged")
                    .at("/0/verdict/verdict")
                    .textValue())
            .isEqualTo("FALSE");
        AtomicReference<Feedback> published = new AtomicReference<>();
        try (TopicReader reader =
            new TopicReader(kafka.bootstrapServers(), WriterSchemas.known())
                .with(Codecs.FEEDBACK, published::set)) {
          reader.readToEnd();
        }
        assertThat(published.get().incidentId()).isEqualTo("judged-1");
      }
    }
  }

  @Test
  void histogramsOfALayerAreReadFromTheTopic() throws IOException {
    try (PublishedRun run = run("octaves", 3)) {
      run.begin();
      run.histogram(0, new Octaves(new int[] {-20, -3}, new long[] {90, 10}));
      run.steps(1, 1, 1);
      run.histogram(2, new Octaves(new int[] {-3, 5}, new long[] {7, 1L << 40})).flush();
      try (Dashboard page = dashboard(Limits.USUAL)) {
        JsonNode found = PageClient.get(page.uri(), "/api/histogram?run=octaves&layer=2");
        assertThat(found.get("name").textValue()).isEqualTo("layer.2</script>");
        assertThat(found.get("elements").longValue()).isEqualTo(100);
        assertThat(found.get("steps").toString()).isEqualTo("[0,2]");
        assertThat(found.get("bins").toString()).isEqualTo("[-20,-3,5]");
        assertThat(found.get("counts").toString()).isEqualTo("[[90,10,0],[0,7,1099511627776]]");
        assertThat(found.get("zeros").toString()).isEqualTo("[null,null]");
        assertThat(
                PageClient.get(page.uri(), "/api/histogram?run=octaves&layer=2&from=1&to=1")
                    .get("steps"))
            .isEmpty();
        assertThat(PageClient.bytes(page.uri(), "/api/histogram?run=octaves&layer=3").statusCode())
            .isEqualTo(404);
      }
    }
  }

  @Test
  void aClientOfTwoRunsGoesOnExactlyInBoth() throws IOException {
    try (PublishedRun left = run("left", 3);
        PublishedRun right = run("right", 3)) {
      left.begin().steps(1, 0, 4).flush();
      right.begin().steps(1, 0, 9).flush();
      PageClient before;
      try (Dashboard page = dashboard(Limits.USUAL)) {
        before = PageClient.open(page.uri(), "left", "right", null);
        await().atMost(LIMIT).until(() -> before.events().equals(List.of("hello", "hello")));
        left.steps(1, 5, 8).flush();
        right.steps(1, 10, 11).flush();
        await()
            .atMost(LIMIT)
            .until(() -> before.steps("left").size() + before.steps("right").size() == 6);
      }
      left.steps(1, 9, 12).flush();
      right.steps(2, 5, 6).flush();
      try (Dashboard page = dashboard(Limits.USUAL);
          PageClient after = PageClient.open(page.uri(), "left", "right", before);
          PageClient another = PageClient.open(page.uri(), "right", "long ago", before)) {
        await()
            .atMost(LIMIT)
            .untilAsserted(
                () -> {
                  assertThat(after.steps("left").keySet())
                      .containsExactly(5L, 6L, 7L, 8L, 9L, 10L, 11L, 12L);
                  assertThat(after.steps("right").keySet()).containsExactly(5L, 6L);
                });
        assertThat(after.events())
            .doesNotContain("reset", "hello")
            .containsOnlyOnce("rewind")
            .filteredOn("step"::equals)
            .hasSize(6);
        await().atMost(LIMIT).until(() -> another.events().contains("reset"));
        assertThat(another.events())
            .as("the id is of other runs, or of them in another order")
            .filteredOn("reset"::equals)
            .hasSize(2);
      }
    }
  }

  @Test
  void whatPeopleAskForIsInTheTopicsAndWhatIsVoidIsNot() throws IOException {
    try (Dashboard page = dashboard(Limits.USUAL)) {
      JsonNode capture =
          answer(
              PageClient.post(
                  page.uri(),
                  "/api/captures",
                  "{\"run\":\"asked\",\"stream\":\"main\",\"layers\":[\"a\",\"b\"],"
                      + "\"ranks\":[3,1,3],\"steps\":2,\"byteBudget\":1000,"
                      + "\"expiresInSeconds\":60}"));
      long first = rule(page, "SHADOW");
      long second = rule(page, "OFF");
      assertThat(second).isGreaterThan(first);
      HttpResponse<byte[]> refused =
          PageClient.post(
              page.uri(),
              "/api/rules",
              "{\"scope\":\"asked\",\"kind\":\"RANK_DIVERGENCE\",\"mode\":\"ENABLED\","
                  + "\"thresholds\":{\"no such\":1}}");
      assertThat(refused.statusCode()).isEqualTo(400);
      assertThat(answer(refused).get("error").textValue()).contains("no such").doesNotContain("\n");

      List<Capture> captures = new ArrayList<>();
      List<Rule> rules = new ArrayList<>();
      try (TopicReader reader =
          new TopicReader(kafka.bootstrapServers(), WriterSchemas.known())
              .with(Codecs.CAPTURES, captures::add)
              .with(Codecs.RULES, rules::add)) {
        reader.readToEnd();
      }
      assertThat(captures).hasSize(1);
      Capture asked = captures.get(0);
      assertThat(asked.captureId()).isEqualTo(capture.get("captureId").textValue());
      assertThat(asked.layers()).containsExactly("a", "b");
      assertThat(asked.ranks()).containsExactly(1, 3);
      assertThat(asked.expiresAt() - asked.requestedAt()).isEqualTo(60_000);
      assertThat(rules).extracting(Rule::policyVersion).containsExactly(first, second);
      assertThat(rules).extracting(Rule::mode).containsExactly(Rule.Mode.SHADOW, Rule.Mode.OFF);
    }
    try (Dashboard page = dashboard(Limits.USUAL)) {
      JsonNode last = PageClient.get(page.uri(), "/api/rules").get(0);
      assertThat(last.get("mode").textValue()).isEqualTo("OFF");
      assertThat(rule(page, "ENABLED"))
          .as("another server goes on where one ended")
          .isGreaterThan(last.get("policyVersion").longValue());
    }
  }

  private static long rule(Dashboard page, String mode) throws IOException {
    HttpResponse<byte[]> set =
        PageClient.post(
            page.uri(),
            "/api/rules",
            "{\"scope\":\"asked\",\"kind\":\"RANK_DIVERGENCE\",\"mode\":\"%s\",".formatted(mode)
                + "\"thresholds\":{}}");
    return answer(set).get("policyVersion").longValue();
  }

  private static JsonNode answer(HttpResponse<byte[]> response) throws IOException {
    return new ObjectMapper().readTree(response.body());
  }

  @Test
  void aClientThatStopsReadingHoldsUpNobody() throws IOException {
    int clients = 200;
    int steps = 300;
    try (PublishedRun run = run("crowded", 400);
        Dashboard page = dashboard(Limits.USUAL);
        Socket stuck = new Socket()) {
      run.begin().steps(1, 0, 0).flush();
      await()
          .atMost(LIMIT)
          .until(
              () -> PageClient.get(page.uri(), "/api/steps?run=crowded").get("step").size() == 1);
      stuck.setReceiveBufferSize(4 << 10);
      stuck.connect(new InetSocketAddress(page.uri().getHost(), page.uri().getPort()));
      stuck
          .getOutputStream()
          .write(
              "GET /api/events?run=crowded HTTP/1.1\r\nHost: localhost\r\n\r\n"
                  .getBytes(StandardCharsets.US_ASCII));
      List<PageClient> open = new ArrayList<>();
      for (int i = 0; i < clients; i++) {
        open.add(PageClient.open(page.uri(), "crowded", null));
      }
      await()
          .atMost(LIMIT)
          .until(() -> open.stream().allMatch(client -> client.latest("hello") != null));
      run.steps(1, 1, steps).flush();
      await()
          .atMost(LIMIT)
          .until(() -> open.stream().allMatch(client -> client.steps().size() == steps));
      assertThat(open).allMatch(client -> !client.events().contains("reset"));
      open.forEach(PageClient::close);
    }
  }

  @Test
  void withoutABrokerThePageIsThereAndSaysThatNothingIsRead() throws IOException {
    try (Dashboard page = Dashboard.start(options("127.0.0.1:" + Ports.anyFree(), Limits.USUAL))) {
      assertThat(PageClient.bytes(page.uri(), "/healthz").statusCode()).isEqualTo(200);
      assertThat(PageClient.get(page.uri(), "/api/status").at("/reading/done").booleanValue())
          .isFalse();
    }
    await()
        .atMost(LIMIT)
        .until(
            () ->
                Thread.getAllStackTraces().keySet().stream()
                    .noneMatch(thread -> thread.getName().equals("reading topics")));
  }

  /** The first layer's cells of a span, each as its norm. */
  private static List<Double> cells(Dashboard page, String query) {
    ByteBuffer in =
        ByteBuffer.wrap(PageClient.bytes(page.uri(), "/api/cells" + query).body())
            .order(ByteOrder.LITTLE_ENDIAN);
    assertThat(in.getInt()).isEqualTo(0x31464347);
    int layers = in.getInt();
    int count = in.getInt();
    in.getInt();
    double[] steps = new double[count];
    for (int i = 0; i < count; i++) {
      steps[i] = in.getDouble();
    }
    List<Double> norms = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      double norm = Math.pow(2, in.getShort() / 128.0);
      assertThat(norm).isBetween((1 + steps[i]) / 1.003, (1 + steps[i]) * 1.003);
      norms.add(norm);
      in.position(in.position() + Short.BYTES * (layers - 1));
    }
    return norms;
  }
}
