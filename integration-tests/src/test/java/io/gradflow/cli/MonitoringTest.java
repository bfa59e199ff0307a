package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.dataformat.yaml.YAMLMapper;
import io.gradflow.dashboard.forward.Forwarder;
import io.gradflow.dashboard.metrics.PageMetrics;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What is under {@code deploy/monitoring} is understood, and names metrics that there are. */
class MonitoringTest {
  private static final Path MONITORING = Path.of("..", "deploy", "monitoring");
  private static final Path RULES = MONITORING.resolve("prometheus/gradflow-rules.yaml");
  private static final Path RULES_TEST = MONITORING.resolve("prometheus/gradflow-rules-test.yaml");
  private static final String FLINK = "flink_";

  /** What Prometheus itself makes. */
  private static final Set<String> OF_PROMETHEUS = Set.of("up", "ALERTS");

  private static final Set<String> WORDS =
      Set.of("and", "or", "unless", "by", "without", "on", "ignoring", "bool", "offset");

  @TempDir private Path folder;

  @Test
  void prometheusUnderstandsRulesAndScraping() throws Exception {
    assertThat(Binaries.PROMTOOL.run("check", "rules", RULES.toString())).contains("SUCCESS");
    assertThat(Binaries.PROMTOOL.run("test", "rules", RULES_TEST.toString())).contains("SUCCESS");
    assertThat(
            Binaries.PROMTOOL.run(
                "check", "config", MONITORING.resolve("prometheus/scrape.yaml").toString()))
        .contains("SUCCESS");
  }

  @Test
  void alertmanagerUnderstandsTheRoutes() throws Exception {
    assertThat(
            Binaries.AMTOOL.run(
                "check-config", MONITORING.resolve("alertmanager/alertmanager.yml").toString()))
        .contains("SUCCESS");
  }

  @Test
  void everyAlertIsSeenToFireAndNotToFire() throws Exception {
    Set<String> alerts = new TreeSet<>();
    rules()
        .filter(rule -> rule.has("alert"))
        .forEach(rule -> alerts.add(rule.path("alert").asText()));

    String tests = Files.readString(RULES_TEST);

    assertThat(alerts)
        .isNotEmpty()
        .allSatisfy(alert -> assertThat(tests).contains("alertname=\"" + alert + "\""));
    assertThat(tests).contains("expr: 'ALERTS', eval_time: 60m, exp_samples: []");
    assertThat(rules().filter(rule -> rule.has("alert")))
        .allSatisfy(
            rule -> {
              assertThat(rule.at("/labels/severity").asText()).isIn("critical", "warning");
              assertThat(rule.at("/annotations/summary").asText()).isNotEmpty();
              assertThat(rule.at("/annotations/description").asText()).isNotEmpty();
            });
  }

  @Test
  void theRulesIndentedAreTheSpecOfAPrometheusRule() throws Exception {
    String spec =
        Files.readString(RULES).lines().map(line -> "  " + line).collect(Collectors.joining("\n"));
    Path resource = Files.writeString(folder.resolve("rule.yaml"), "spec:\n" + spec + "\n");

    assertThat(new YAMLMapper().readTree(resource.toFile()).path("spec"))
        .isEqualTo(new YAMLMapper().readTree(RULES.toFile()));
  }

  @ParameterizedTest
  @ValueSource(strings = {"pipeline-health.json", "gradient-fleet.json"})
  void dashboardsSayWhatTheyShowAndPrometheusUnderstandsThem(String name) throws Exception {
    JsonNode dashboard = dashboard(name);

    assertThat(dashboard.path("schemaVersion").asInt()).isGreaterThanOrEqualTo(38);
    Set<Integer> ids = new HashSet<>();
    for (JsonNode panel : dashboard.path("panels")) {
      assertThat(ids.add(panel.path("id").asInt())).as("ids are unique").isTrue();
      if (!panel.path("type").asText().equals("row")) {
        String title = panel.path("title").asText();
        assertThat(title).isNotEmpty();
        assertThat(panel.path("description").asText()).as(title).endsWith(".");
        assertThat(panel.at("/fieldConfig/defaults/unit").asText()).as(title).isNotEmpty();
        assertThat(panel.at("/datasource/uid").asText()).as(title).isEqualTo("${datasource}");
        assertThat(panel.path("targets")).as(title).isNotEmpty();
      }
    }
    assertThat(dashboard.findValuesAsText("url")).anyMatch(url -> url.startsWith("${page}"));
    List<String> expressions = expressions(dashboard);
    List<Map<String, Object>> rules = new ArrayList<>();
    for (String expression : expressions) {
      rules.add(Map.of("record", "r" + rules.size(), "expr", filledIn(expression)));
    }
    Path file = folder.resolve("expressions.yaml");
    new YAMLMapper()
        .writeValue(file.toFile(), Map.of("groups", List.of(Map.of("name", "g", "rules", rules))));
    assertThat(Binaries.PROMTOOL.run("check", "rules", file.toString()))
        .contains("%d rules found".formatted(expressions.size()));
    assertThat(expressions)
        .as("nothing is told apart by rank, layer or step")
        .allSatisfy(
            expression -> assertThat(expression).doesNotContainPattern("\\b(rank|layer|step)\\b"));
  }

  @Test
  void everyMetricThatIsNamedExists() throws Exception {
    Set<String> named = new TreeSet<>(namesIn(Files.readString(RULES_TEST), "series: '(.*?)'"));
    Set<String> existing = new TreeSet<>(OF_PROMETHEUS);
    rules()
        .forEach(
            rule -> {
              named.addAll(metrics(rule.path("expr").asText()));
              existing.add(rule.path("record").asText());
            });
    for (String dashboard : List.of("pipeline-health.json", "gradient-fleet.json")) {
      expressions(dashboard(dashboard))
          .forEach(expression -> named.addAll(metrics(filledIn(expression))));
    }
    existing.addAll(PageMetrics.metricNames());
    existing.addAll(Forwarder.metricNames());
    assertThat(named).hasSizeGreaterThan(40);
    Set<String> flink =
        named.stream().filter(name -> name.startsWith(FLINK)).collect(Collectors.toSet());

    assertThat(named.stream().filter(name -> !name.startsWith(FLINK)))
        .allSatisfy(
            name ->
                assertThat(existing).contains(name.replaceFirst("_seconds_bucket$", "_seconds")));
    assertFlinkExports(flink);
  }

  @Test
  void theTablesOfMetricsNameThoseThatThereAre() throws IOException {
    Set<String> existing = new TreeSet<>(PageMetrics.metricNames());
    existing.addAll(Forwarder.metricNames());

    assertThat(
            namesIn(
                Files.readString(Path.of("..", "docs", "monitoring.md")),
                "(?m)^\\| `(gradflow_\\w+)`"))
        .isEqualTo(existing);
  }

  private void assertFlinkExports(Set<String> wanted) throws Exception {
    int port = Ports.anyFree();
    Configuration flink = new Configuration();
    flink.setString(
        "metrics.reporter.prom.factory.class",
        "org.apache.flink.metrics.prometheus.PrometheusReporterFactory");
    flink.setString("metrics.reporter.prom.port", Integer.toString(port));
    try (LocalKafka kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree())) {
      try (Topics topics = Topics.of(kafka.bootstrapServers())) {
        topics.create(OptionalInt.of(1), Optional.empty());
      }
      JobsUnderTest jobs = new JobsUnderTest(flink, 2);
      try {
        for (String job : List.of("NormJob", "AlertJob")) {
          jobs.start(
              "io.gradflow.jobs." + job,
              job,
              "--gradflow.kafka.bootstrap.servers",
              kafka.bootstrapServers());
        }
        await()
            .atMost(Duration.ofSeconds(60))
            .untilAsserted(
                () -> {
                  String scraped = scrape(port);
                  assertThat(namesIn(scraped, "(?m)^(\\w+)\\{")).containsAll(wanted);
                  assertThat(scraped).contains("job_name=\"NormJob\"", "job_name=\"AlertJob\"");
                });
      } finally {
        jobs.close();
      }
    }
  }

  private static String scrape(int port) throws IOException, InterruptedException {
    return HttpClient.newHttpClient()
        .send(
            HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + port + "/metrics")).build(),
            HttpResponse.BodyHandlers.ofString())
        .body();
  }

  @Test
  void namesAreFoundInExpressions() {
    assertThat(
            metrics(
                "max by (job_name) (increase(flink_x{job=~\"a|b_c{\"}[10m])) > 2 or"
                    + " gradflow:y:p99 unless on (z) (rate(up[5m] offset 1h)) / 1e3 >= bool 0"))
        .containsExactlyInAnyOrder("flink_x", "gradflow:y:p99", "up");
  }

  /** The metrics an expression names. */
  private static Set<String> metrics(String expression) {
    String bare =
        expression
            .replaceAll("\"[^\"]*\"", "")
            .replaceAll("\\{[^}]*\\}", "")
            .replaceAll("\\[[^\\]]*\\]", "")
            .replaceAll("\\b(by|without|on|ignoring)\\s*\\([^)]*\\)", "")
            .replaceAll("\\boffset\\s+\\w+", "");
    return Pattern.compile("(?<![\\w:.])[a-zA-Z_:][\\w:]*(?!\\w|\\s*\\()")
        .matcher(bare)
        .results()
        .map(MatchResult::group)
        .filter(name -> !WORDS.contains(name))
        .collect(Collectors.toSet());
  }

  private static Set<String> namesIn(String text, String pattern) {
    return Pattern.compile(pattern)
        .matcher(text)
        .results()
        .map(found -> found.group(1).replaceFirst("\\{.*", ""))
        .collect(Collectors.toSet());
  }

  private static Stream<JsonNode> rules() throws IOException {
    List<JsonNode> rules = new ArrayList<>();
    for (JsonNode group : new YAMLMapper().readTree(RULES.toFile()).path("groups")) {
      group.path("rules").forEach(rules::add);
    }
    return rules.stream();
  }

  private static JsonNode dashboard(String name) throws IOException {
    return new ObjectMapper().readTree(MONITORING.resolve("grafana").resolve(name).toFile());
  }

  /** Of panels and annotations, and the metrics that variables are made of. */
  private static List<String> expressions(JsonNode dashboard) {
    List<String> expressions = new ArrayList<>(dashboard.findValuesAsText("expr"));
    for (String definition : dashboard.findValuesAsText("definition")) {
      expressions.add(definition.replaceFirst("label_values\\((.*), \\w+\\)", "$1"));
    }
    return expressions;
  }

  /** As Grafana sends it. */
  private static String filledIn(String expression) {
    return expression
        .replace("$__rate_interval", "1m")
        .replace("$run", "a run")
        .replace("$stream", "main");
  }
}
