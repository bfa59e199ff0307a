package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.State;
import io.gradflow.core.incident.Cause;
import io.gradflow.dashboard.forward.ForwardSettings;
import io.gradflow.dashboard.forward.Forwarder;
import io.gradflow.dashboard.forward.Links;
import io.gradflow.dashboard.forward.Selection;
import io.gradflow.dashboard.forward.Target;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntSupplier;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInfo;
import org.junit.jupiter.api.io.TempDir;

/** Incidents reach those who are to know of them, whoever was away meanwhile. */
class ForwardTest {
  private static final Duration SOON = Duration.ofSeconds(60);
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String SECRET = "a secret";

  @TempDir static Path folder;

  private static LocalKafka kafka;
  private static KafkaProducer<byte[], byte[]> producer;

  private final List<AutoCloseable> closed = new ArrayList<>();
  private final List<String> lines = new CopyOnWriteArrayList<>();
  private String run;

  @BeforeAll
  static void start() {
    kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(2), Optional.empty());
    }
    producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", kafka.bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer());
  }

  @AfterAll
  static void stop() {
    producer.close();
    kafka.close();
  }

  /** All tests share one topic. */
  @BeforeEach
  void name(TestInfo test) {
    run = test.getTestMethod().orElseThrow().getName();
  }

  @AfterEach
  void close() throws Exception {
    for (int i = closed.size() - 1; i >= 0; i--) {
      closed.get(i).close();
    }
  }

  @Test
  void alertmanagerPagesWhenAnIncidentOpensAndSaysWhenItIsResolved() throws Exception {
    Receiver pager = new Receiver(() -> 200);
    Alertmanager alertmanager = new Alertmanager(pager.url());
    forward(target(Target.Kind.ALERTMANAGER, alertmanager.url()));

    publish("i1", 0, State.OPENED, "block.3");
    JsonNode firing = pager.awaitNotification("firing").at("/alerts/0");
    publish("i1", 1, State.UPDATED, "block.0");
    publish("i1", 2, State.RESOLVED, "block.0");
    JsonNode resolved = pager.awaitNotification("resolved").at("/alerts/0");

    assertThat(firing.at("/labels/alertname").asText()).isEqualTo("GradflowNonFinite");
    assertThat(firing.at("/labels/severity").asText()).isEqualTo("critical");
    assertThat(firing.at("/labels/run").asText()).isEqualTo(run);
    assertThat(firing.at("/labels/incident").asText()).isEqualTo(run + " i1");
    assertThat(firing.at("/labels/root_layer").asText()).isEqualTo("block.3");
    assertThat(firing.at("/annotations/summary").asText()).isEqualTo("NaN in block.3.");
    assertThat(firing.at("/annotations/page").asText())
        .isEqualTo("https://page/#run=" + run + "&incident=" + run + "%20i1");
    assertThat(firing.at("/annotations/runbook_url").asText()).endsWith("#non_finite");
    assertThat(resolved.path("labels")).isEqualTo(firing.path("labels"));
    assertThat(resolved.path("startsAt")).isEqualTo(firing.path("startsAt"));
  }

  @Test
  void anAlertmanagerThatWasAwayIsNotTakenInByWhatIsOver() throws Exception {
    int port = Ports.anyFree();
    Receiver pager = new Receiver(() -> 200);
    Target target = target(Target.Kind.ALERTMANAGER, "http://127.0.0.1:" + port);
    Forwarder first = forward(target);
    publish("over", 0, State.OPENED, "block.0");
    publish("over", 1, State.RESOLVED, "block.0");
    publish("open", 0, State.OPENED, "block.1");
    await().atMost(SOON).until(() -> lines.stream().anyMatch(line -> line.contains("failure 1")));
    first.close();

    new Alertmanager(pager.url(), port);
    forward(target);

    JsonNode firing = pager.awaitNotification("firing");
    assertThat(incidents(firing, "firing")).containsExactly(run + " open");
    publish("open", 1, State.EXPIRED, "block.1");
    pager.awaitNotification("resolved");
    assertThat(pager.bodies)
        .allSatisfy(
            body -> assertThat(incidents(json(body), "firing")).doesNotContain(run + " over"));
  }

  private static List<String> incidents(JsonNode notification, String status) {
    List<String> incidents = new ArrayList<>();
    for (JsonNode alert : notification.path("alerts")) {
      if (alert.path("status").asText().equals(status)) {
        incidents.add(alert.at("/labels/incident").asText());
      }
    }
    return incidents;
  }

  @Test
  void aWebhookThatIsDownThenBusyThenBackGetsEachTransitionOnce() throws Exception {
    int port = Ports.anyFree();
    Target target = target(Target.Kind.WEBHOOK, "http://127.0.0.1:" + port + "/hook");
    forward(target);
    publish("i1", 0, State.OPENED, "block.0");
    publish("i1", 1, State.UPDATED, "block.0");
    await().atMost(SOON).until(() -> lines.stream().anyMatch(line -> line.contains("failure 1")));

    AtomicInteger requests = new AtomicInteger();
    Receiver receiver = new Receiver(() -> requests.getAndIncrement() < 2 ? 503 : 204, port);
    await().atMost(SOON).until(() -> receiver.accepted().size() == 2);
    publish("i1", 1, State.UPDATED, "block.0");
    publish("i1", 2, State.RESOLVED, "block.0");
    await().atMost(SOON).until(() -> receiver.accepted().size() == 3);

    assertThat(receiver.accepted()).containsExactly("i1#0", "i1#1", "i1#2");
    assertThat(receiver.bodies).hasSize(5);
    assertThat(JSON.readTree(receiver.bodies.get(4)).path("event").asText()).isEqualTo("resolved");
    assertThat(receiver.signatures.get(4)).isEqualTo("sha256=" + hmac(receiver.bodies.get(4)));
    assertThat(lines).anyMatch(line -> line.contains("accepts again after"));
    assertThat(lines).noneMatch(line -> line.contains("/hook") || line.contains(SECRET));
  }

  @Test
  void aRestartRepeatsNothingAndLosesNothing() throws Exception {
    Receiver receiver = new Receiver(() -> 200);
    Target target = target(Target.Kind.WEBHOOK, receiver.url());
    Forwarder first = forward(target);
    publish("i1", 0, State.OPENED, "block.0");
    await().atMost(SOON).until(() -> receiver.accepted().size() == 1);
    first.close();
    publish("i1", 0, State.OPENED, "block.0");
    publish("i1", 1, State.RESOLVED, "block.0");
    publish("i2", 0, State.OPENED, "block.0");

    forward(target);
    await().atMost(SOON).until(() -> receiver.accepted().size() >= 3);
    publish("i3", 0, State.OPENED, "block.0");
    await().atMost(SOON).until(() -> receiver.accepted().contains("i3#0"));

    assertThat(receiver.accepted()).containsExactly("i1#0", "i1#1", "i2#0", "i3#0");
  }

  @Test
  void aDeadTargetHoldsUpNobodyAndARefusalIsFinal() throws Exception {
    Receiver receiver = new Receiver(() -> 200);
    AtomicInteger requests = new AtomicInteger();
    Receiver strict = new Receiver(() -> requests.getAndIncrement() == 0 ? 422 : 200);
    Forwarder forwarder =
        forward(
            target(Target.Kind.WEBHOOK, 0, "http://127.0.0.1:" + Ports.anyFree()),
            target(Target.Kind.WEBHOOK, 1, strict.url()),
            target(Target.Kind.WEBHOOK, 2, receiver.url()));
    publish("i1", 0, State.OPENED, "block.0");
    publish("i1", 1, State.RESOLVED, "block.0");

    await().atMost(SOON).until(() -> receiver.accepted().size() == 2);
    await().atMost(SOON).until(() -> strict.accepted().size() == 1);
    assertThat(strict.accepted()).containsExactly("i1#1");
    assertThat(lines)
        .anyMatch(
            line -> line.contains("refused alert " + run + " i1#0 for good: HTTP status 422"));
    await()
        .atMost(SOON)
        .untilAsserted(
            () ->
                assertThat(forwarder.metrics())
                    .contains(
                        "gradflow_forward_failed_total{target=\"webhook-1\"} 1.0",
                        "gradflow_forward_delivered_total{target=\"webhook-1\"} 1.0",
                        "gradflow_forward_delivered_total{target=\"webhook-2\"} 2.0",
                        "gradflow_forward_waiting{target=\"webhook-0\"} 2.0",
                        "gradflow_forward_waiting{target=\"webhook-2\"} 0.0",
                        "gradflow_forward_behind_seconds{target=\"webhook-2\"} 0.0")
                    .containsPattern(
                        "gradflow_forward_behind_seconds\\{target=\"webhook-0\"} 0*[1-9.]"));
  }

  @Test
  void onceForwardsWhatThereIsAndEnds() throws Exception {
    Receiver receiver = new Receiver(() -> 200);
    publish("i1", 0, State.OPENED, "block.0");
    publish("i1", 1, State.RESOLVED, "block.0");
    Path secret = Files.writeString(folder.resolve("secret"), SECRET + "\n");
    Path auth = Files.writeString(folder.resolve("auth"), "basic me:password\n");
    StringWriter err = new StringWriter();
    String[] args = {
      "forward",
      "--once",
      "--start",
      "earliest",
      "--run",
      run,
      "--webhook",
      receiver.url(),
      "--webhook-secret-file",
      secret.toString(),
      "--webhook-auth-file",
      auth.toString(),
      "--bootstrap-server",
      kafka.bootstrapServers()
    };

    assertThat(Gradflow.run(new PrintWriter(err), new PrintWriter(err), args)).isZero();
    assertThat(receiver.accepted()).containsExactly("i1#0", "i1#1");
    assertThat(receiver.authorizations).containsOnly("Basic bWU6cGFzc3dvcmQ=");
    assertThat(Gradflow.run(new PrintWriter(err), new PrintWriter(err), args)).isZero();
    assertThat(receiver.accepted()).hasSize(2);
    assertThat(err.toString()).contains("forwarding to webhook-0 at 127.0.0.1:");
  }

  // --- What is forwarded ------------------------------------------------------------------------

  private Forwarder forward(Target... targets) {
    Forwarder forwarder =
        Forwarder.start(
            new ForwardSettings(
                Map.of("bootstrap.servers", kafka.bootstrapServers()),
                "forward-" + run,
                List.of(targets),
                new Selection(Severity.WARNING, Set.of(run)),
                new Links(Optional.of("https://page"), Optional.of("https://book/detectors.md#")),
                ForwardSettings.Start.LATEST,
                ForwardSettings.End.NEVER),
            Forwarder.client().build(),
            lines::add);
    closed.add(forwarder);
    return forwarder;
  }

  private static Target target(Target.Kind kind, String url) {
    return target(kind, 0, url);
  }

  private static Target target(Target.Kind kind, int number, String url) {
    return new Target(kind, number, URI.create(url), Optional.empty(), Optional.of(SECRET));
  }

  private void publish(String incident, int transition, State state, String layer)
      throws Exception {
    String id = run + " " + incident;
    Alert alert =
        new Alert(
            id + "#" + transition,
            id,
            transition,
            run,
            1,
            "main",
            state,
            FindingKind.NON_FINITE,
            Severity.CRITICAL,
            40,
            41,
            39,
            state == State.RESOLVED ? 50L : null,
            layer,
            null,
            null,
            null,
            List.of(),
            List.of(),
            null,
            "NaN in " + layer + ".",
            null,
            List.of(),
            0.9,
            0,
            false,
            System.currentTimeMillis(),
            new Alert.Context(
                Cause.NUMERIC, "This, then that.", null, null, List.of(), 38L, null, "Stop."));
    for (Encoded record : Codecs.ALERTS.encode(alert)) {
      producer
          .send(new ProducerRecord<>("gradient-alerts", record.key(), record.value()))
          .get(10, TimeUnit.SECONDS);
    }
  }

  private static String hmac(String body) throws Exception {
    Mac mac = Mac.getInstance("HmacSHA256");
    mac.init(new SecretKeySpec(SECRET.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
    return HexFormat.of().formatHex(mac.doFinal(body.getBytes(StandardCharsets.UTF_8)));
  }

  // --- Who is told ------------------------------------------------------------------------------

  /** Takes POSTs and answers with a status. */
  private final class Receiver {
    final List<String> bodies = new CopyOnWriteArrayList<>();
    final List<String> signatures = new CopyOnWriteArrayList<>();
    final List<String> authorizations = new CopyOnWriteArrayList<>();
    private final List<String> accepted = new CopyOnWriteArrayList<>();
    private final IntSupplier status;
    private final HttpServer server;

    Receiver(IntSupplier status) throws IOException {
      this(status, 0);
    }

    Receiver(IntSupplier status, int port) throws IOException {
      this.status = status;
      server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), port), 0);
      var threads = Executors.newSingleThreadExecutor();
      server.setExecutor(threads);
      server.createContext("/", this::take);
      server.start();
      closed.add(
          () -> {
            server.stop(0);
            threads.shutdownNow();
          });
    }

    private void take(HttpExchange exchange) throws IOException {
      try (exchange) {
        String body = new String(exchange.getRequestBody().readAllBytes(), StandardCharsets.UTF_8);
        int answer = status.getAsInt();
        signatures.add(header(exchange, "X-Gradflow-Signature"));
        authorizations.add(header(exchange, "Authorization"));
        bodies.add(body);
        if (answer / 100 == 2) {
          accepted.add(header(exchange, "Idempotency-Key").replace(run + " ", ""));
        }
        exchange.sendResponseHeaders(answer, -1);
      }
    }

    private static String header(HttpExchange exchange, String name) {
      return Optional.ofNullable(exchange.getRequestHeaders().getFirst(name)).orElse("");
    }

    /** Idempotency keys, without the run. */
    List<String> accepted() {
      return accepted;
    }

    String url() {
      return "http://127.0.0.1:" + server.getAddress().getPort() + "/";
    }

    /** What Alertmanager's webhook receiver is told, with alerts in that status alone. */
    JsonNode awaitNotification(String wanted) {
      return await()
          .atMost(SOON)
          .until(
              () ->
                  bodies.stream()
                      .map(ForwardTest::json)
                      .filter(body -> body.path("status").asText().equals(wanted))
                      .findFirst(),
              Optional::isPresent)
          .orElseThrow();
    }
  }

  private static JsonNode json(String text) {
    try {
      return JSON.readTree(text);
    } catch (IOException e) {
      throw new AssertionError(text, e);
    }
  }

  /** A real Alertmanager, which tells a webhook of its own. */
  private final class Alertmanager {
    private final int port;

    Alertmanager(String receiver) throws Exception {
      this(receiver, Ports.anyFree());
    }

    Alertmanager(String receiver, int port) throws Exception {
      this.port = port;
      Path home = Files.createTempDirectory(folder, "alertmanager");
      Path config =
          Files.writeString(
              home.resolve("alertmanager.yml"),
              """
              route:
                receiver: test
                group_by: [run]
                group_wait: 0s
                group_interval: 1s
              receivers:
                - name: test
                  webhook_configs:
                    - url: %s
                      send_resolved: true
              """
                  .formatted(receiver));
      Process process =
          new ProcessBuilder(
                  Binaries.ALERTMANAGER.path(),
                  "--config.file=" + config,
                  "--storage.path=" + home.resolve("data"),
                  "--web.listen-address=127.0.0.1:" + port,
                  "--cluster.listen-address=")
              .redirectErrorStream(true)
              .redirectOutput(home.resolve("log").toFile())
              .start();
      closed.add(() -> process.destroyForcibly().waitFor(10, TimeUnit.SECONDS));
      await()
          .atMost(SOON)
          .ignoreExceptionsInstanceOf(IOException.class)
          .until(() -> get(url() + "/-/ready") == 200);
    }

    String url() {
      return "http://127.0.0.1:" + port;
    }
  }

  private static int get(String url) throws IOException, InterruptedException {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(URI.create(url)).build(), HttpResponse.BodyHandlers.discarding())
        .statusCode();
  }
}
