package io.gradflow.dashboard.forward;

import static io.gradflow.dashboard.forward.AlertOf.NOON;
import static io.gradflow.dashboard.forward.AlertOf.at;
import static io.gradflow.dashboard.forward.AlertOf.incident;
import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.State;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.Test;

class OpenIncidentsTest {
  private static final long NOW = NOON + 60_000;
  private static final long MINUTE = Duration.ofMinutes(1).toMillis();

  private final OpenIncidents incidents =
      new OpenIncidents(new Links(Optional.of("http://page"), Optional.of("http://book#")));

  @Test
  void anOpenIncidentIsToldAtOnceAndAgainEachMinute() throws Exception {
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));

    JsonNode told = next(NOW).get(0);
    assertThat(told.path("labels"))
        .isEqualTo(
            json(
                """
                {"alertname": "GradflowNonFinite", "run": "run a", "stream": "main", "incident": "a",
                 "root_rank": "3", "root_layer": "block.0", "severity": "critical"}
                """));
    assertThat(told.path("annotations"))
        .isEqualTo(
            json(
                """
                {"summary": "NaN in block.0.", "description": "First this, then that.",
                 "cause": "NUMERIC", "next_action": "Go back to step 30.",
                 "suspects": "rank 3 on host-1 (gpu 0), layer block.0", "steps": "39 to 41",
                 "page": "http://page/#run=run%20a&incident=a", "runbook_url": "http://book#non_finite"}
                """));
    assertThat(told.path("startsAt").asText()).isEqualTo(Instant.ofEpochMilli(NOON).toString());
    assertThat(told.has("endsAt")).isFalse();
    assertThat(told.path("generatorURL").asText()).startsWith("http://page/#run=");

    incidents.settle(NOW);
    assertThat(incidents.next(NOW + MINUTE - 1)).isEmpty();
    assertThat(incidents.next(NOW + MINUTE).orElseThrow().transitions())
        .as("a repetition is no news")
        .isZero();
  }

  @Test
  void labelsStayAsTheyWereWhateverIsFoundOutLater() throws Exception {
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));
    JsonNode opened = settled(NOW).get(0);
    incidents.take(
        AlertOf.with("a", 1, State.UPDATED, Severity.CRITICAL, "run a", "block.9", 7), at(0, 6));
    JsonNode updated = settled(NOW).get(0);
    incidents.take(
        AlertOf.with("a", 2, State.RESOLVED, Severity.CRITICAL, "run a", null, null), at(0, 7));
    JsonNode resolved = settled(NOW).get(0);

    assertThat(updated.path("labels")).isEqualTo(opened.path("labels"));
    assertThat(updated.at("/annotations/suspects").asText()).contains("rank 7", "block.9");
    assertThat(updated.path("startsAt")).isEqualTo(opened.path("startsAt"));
    assertThat(resolved.path("labels")).isEqualTo(opened.path("labels"));
    assertThat(resolved.path("startsAt")).isEqualTo(opened.path("startsAt"));
    assertThat(resolved.path("endsAt").asText())
        .isEqualTo(Instant.ofEpochMilli(NOON + 2_000).toString());
    assertThat(incidents.next(NOW + 10 * MINUTE)).as("it is over").isEmpty();
  }

  @Test
  void whenTheSeverityRisesOneAlertEndsAndAnotherBegins() throws Exception {
    incidents.take(severity(0, State.OPENED, Severity.WARNING), at(0, 5));
    JsonNode warning = settled(NOW).get(0);
    incidents.take(severity(1, State.UPDATED, Severity.CRITICAL), at(0, 6));

    List<JsonNode> told = settled(NOW);

    assertThat(told).hasSize(2);
    assertThat(told.get(0).path("labels")).isEqualTo(warning.path("labels"));
    assertThat(told.get(0).has("endsAt")).isTrue();
    assertThat(told.get(1).at("/labels/severity").asText()).isEqualTo("critical");
    assertThat(told.get(1).has("endsAt")).isFalse();
    incidents.take(severity(2, State.RESOLVED, Severity.CRITICAL), at(0, 7));
    List<JsonNode> end = settled(NOW);
    assertThat(end).hasSize(1);
    assertThat(end.get(0).path("labels")).isEqualTo(told.get(1).path("labels"));
  }

  @Test
  void ofWhatHappenedWhileNobodyAnsweredTheNewestIsTold() throws Exception {
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));
    incidents.take(incident("a", 1, State.UPDATED), at(0, 6));
    incidents.take(incident("b", 0, State.OPENED), at(1, 3));
    incidents.take(incident("b", 1, State.EXPIRED), at(1, 4));

    assertThat(incidents.waiting())
        .as("what a later process has to read again")
        .containsExactlyInAnyOrder(at(0, 5), at(1, 3));
    List<JsonNode> told = settled(NOW);

    assertThat(told)
        .extracting(node -> node.at("/labels/incident").asText())
        .containsExactly("b", "a");
    assertThat(told.get(0).has("endsAt")).isTrue();
    assertThat(incidents.waiting()).isEmpty();
  }

  @Test
  void copiesOfOldTransitionsOpenNothingAgain() throws Exception {
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));
    incidents.take(incident("a", 1, State.RESOLVED), at(0, 6));
    settled(NOW);
    incidents.take(incident("a", 0, State.OPENED), at(0, 7));
    incidents.take(incident("a", 1, State.RESOLVED), at(0, 8));

    assertThat(incidents.next(NOW)).isEmpty();
    assertThat(incidents.waiting()).isEmpty();
  }

  @Test
  void anIncidentThatOpensAgainBeginsAgain() throws Exception {
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));
    incidents.take(incident("a", 1, State.RESOLVED), at(0, 6));
    incidents.take(incident("a", 2, State.OPENED), at(0, 7));

    List<JsonNode> told = settled(NOW);

    assertThat(told).hasSize(2);
    assertThat(told.get(0).has("endsAt")).isTrue();
    assertThat(told.get(1).has("endsAt")).isFalse();
    assertThat(told.get(1).path("startsAt").asText())
        .isEqualTo(Instant.ofEpochMilli(NOON + 2_000).toString());
  }

  @Test
  void afterARestartOpenIncidentsAreToldAndFinishedOnesAreNot() throws Exception {
    incidents.remember(incident("over", 0, State.OPENED), at(0, 1));
    incidents.remember(incident("over", 1, State.RESOLVED), at(0, 2));
    incidents.remember(incident("open", 0, State.OPENED), at(0, 3));
    incidents.remember(
        AlertOf.with("open", 1, State.UPDATED, Severity.CRITICAL, "run a", "block.9", 7), at(0, 4));

    List<JsonNode> told = settled(NOW);

    assertThat(told)
        .singleElement()
        .satisfies(
            node -> {
              assertThat(node.at("/labels/incident").asText()).isEqualTo("open");
              assertThat(node.at("/labels/root_layer").asText()).isEqualTo("block.0");
            });
    incidents.take(incident("open", 2, State.RESOLVED), at(0, 5));
    assertThat(settled(NOW).get(0).path("labels")).isEqualTo(told.get(0).path("labels"));
  }

  @Test
  void whatNobodySpokeOfForThirtyDaysIsForgotten() {
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));

    assertThat(incidents.next(NOON + Duration.ofDays(30).toMillis())).isPresent();
    assertThat(incidents.next(NOON + Duration.ofDays(30).toMillis() + 1)).isEmpty();
  }

  @Test
  void manyGoOutInSeveralRequests() throws Exception {
    for (int i = 0; i < 120; i++) {
      incidents.take(incident("i" + i, 0, State.OPENED), at(0, i));
    }

    assertThat(settled(NOW)).hasSize(50);
    assertThat(settled(NOW)).hasSize(50);
    assertThat(settled(NOW)).hasSize(20);
    assertThat(incidents.next(NOW)).isEmpty();
  }

  @Test
  void hostileNamesMakeLabelsAllTheSame() throws Exception {
    String name = "\u0000\u001b[2J\n\u202e\ud800\ud83d\ude00" + "x".repeat(490);
    incidents.take(AlertOf.with("a", 0, State.OPENED, Severity.CRITICAL, name, name, 0), at(0, 1));
    incidents.take(AlertOf.with("b", 0, State.OPENED, Severity.CRITICAL, name, "", 0), at(0, 2));

    List<JsonNode> told = settled(NOW);
    String run = told.get(0).at("/labels/run").asText();
    assertThat(run).startsWith("??[2J???\ud83d\ude00xxx").endsWith("x…");
    assertThat(run.codePointCount(0, run.length())).isEqualTo(200);
    assertThat(told.get(0).at("/labels/root_layer").asText()).isEqualTo(run);
    Map<String, String> annotations =
        new ObjectMapper().convertValue(told.get(0).path("annotations"), new TypeReference<>() {});
    assertThat(annotations.values())
        .allSatisfy(text -> assertThat(text).doesNotContainPattern("\\p{Cntrl}"));
  }

  @Test
  void timesAreNotInTheFutureOfAlertmanager() throws Exception {
    long before = NOON - 5_000;
    incidents.take(incident("a", 0, State.OPENED), at(0, 5));
    incidents.take(incident("b", 0, State.OPENED), at(0, 6));
    incidents.take(incident("b", 1, State.RESOLVED), at(0, 7));

    assertThat(settled(before))
        .allSatisfy(
            node ->
                assertThat(node.path("startsAt").asText())
                    .isEqualTo(Instant.ofEpochMilli(before).toString()));
  }

  private static Alert severity(int transition, State state, Severity severity) {
    return AlertOf.with("a", transition, state, severity, "run a", "block.0", 3);
  }

  private List<JsonNode> next(long now) throws Exception {
    JsonNode body = json(incidents.next(now).orElseThrow().body());
    return StreamSupport.stream(body.spliterator(), false).toList();
  }

  private List<JsonNode> settled(long now) throws Exception {
    List<JsonNode> told = next(now);
    incidents.settle(now);
    return told;
  }

  private static JsonNode json(String text) throws Exception {
    return new ObjectMapper().readTree(text);
  }
}
