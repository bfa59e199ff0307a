package io.gradflow.dashboard.forward;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.Suspect;
import java.time.Instant;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/**
 * An incident as Alertmanager has it.
 *
 * @param labels who it is: what Alertmanager tells alerts apart by
 * @param annotations what is known now
 * @param page where it is shown
 * @param startsAt ms since the epoch
 * @param endsAt empty while it is open
 */
record Notice(
    Map<String, String> labels,
    Map<String, String> annotations,
    Optional<String> page,
    long startsAt,
    OptionalLong endsAt) {
  private static final int LABEL = 200;
  private static final int SENTENCE = 1_000;
  private static final int MOST_SUSPECTS = 5;

  /** An incident that is told for the first time; its names stay as they are in this alert. */
  static Notice opening(Alert alert, Links links, long at) {
    Map<String, String> labels = new LinkedHashMap<>();
    labels.put("alertname", alertname(alert));
    labels.put("run", PlainText.of(alert.runId(), LABEL));
    labels.put("stream", PlainText.of(alert.stream(), LABEL));
    labels.put("incident", PlainText.of(alert.incidentId(), LABEL));
    if (alert.rootRank() != null) {
      labels.put("root_rank", alert.rootRank().toString());
    }
    if (alert.rootLayer() != null) {
      labels.put("root_layer", PlainText.of(alert.rootLayer(), LABEL));
    }
    return new Notice(labels, Map.of(), Optional.empty(), at, OptionalLong.empty())
        .updated(alert, links);
  }

  /**
   * The same incident as a further alert tells it. Only its severity may be another label, and then
   * it is another alert to Alertmanager.
   */
  Notice updated(Alert alert, Links links) {
    Map<String, String> now = new LinkedHashMap<>(labels);
    now.put("severity", alert.severity().name().toLowerCase(Locale.ROOT));
    return new Notice(
        now, annotations(alert, links), links.incident(alert), startsAt, OptionalLong.empty());
  }

  /** The same as it ends. */
  Notice ended(long at) {
    return new Notice(labels, annotations, page, startsAt, OptionalLong.of(at));
  }

  /** Alertmanager's form; times are not in its future, whatever the clocks. */
  ObjectNode json(long nowMs) {
    ObjectNode node = JsonNodeFactory.instance.objectNode();
    long ends = Math.min(nowMs, endsAt.orElse(nowMs));
    ObjectNode named = node.putObject("labels");
    labels.forEach(named::put);
    ObjectNode told = node.putObject("annotations");
    annotations.forEach(told::put);
    node.put("startsAt", Instant.ofEpochMilli(Math.min(startsAt, ends)).toString());
    if (endsAt.isPresent()) {
      node.put("endsAt", Instant.ofEpochMilli(ends).toString());
    }
    page.ifPresent(url -> node.put("generatorURL", url));
    return node;
  }

  private static String alertname(Alert alert) {
    return Arrays.stream(alert.kind().name().split("_", -1))
        .map(word -> word.charAt(0) + word.substring(1).toLowerCase(Locale.ROOT))
        .collect(Collectors.joining("", "Gradflow", ""));
  }

  private static Map<String, String> annotations(Alert alert, Links links) {
    Alert.Context context = alert.context();
    Map<String, String> annotations = new LinkedHashMap<>();
    annotate(annotations, "summary", alert.message());
    annotate(annotations, "description", context.account());
    annotate(annotations, "cause", context.cause() == null ? null : context.cause().name());
    annotate(annotations, "next_action", context.nextAction());
    annotate(annotations, "advice", alert.advice());
    annotate(
        annotations,
        "suspects",
        alert.suspects().stream()
            .limit(MOST_SUSPECTS)
            .map(Notice::suspect)
            .collect(Collectors.joining("; ")));
    annotate(annotations, "steps", "%d to %d".formatted(alert.onsetStep(), alert.lastStep()));
    links.incident(alert).ifPresent(url -> annotations.put("page", url));
    links.runbook(alert).ifPresent(url -> annotations.put("runbook_url", url));
    return annotations;
  }

  private static void annotate(Map<String, String> annotations, String name, String text) {
    if (text != null && !text.isEmpty()) {
      annotations.put(name, PlainText.of(text, SENTENCE));
    }
  }

  private static String suspect(Suspect suspect) {
    StringBuilder text = new StringBuilder();
    if (suspect.rank() != null) {
      text.append("rank ").append(suspect.rank());
      if (suspect.host() != null) {
        text.append(" on ").append(PlainText.of(suspect.host(), LABEL));
      }
      if (suspect.device() != null) {
        text.append(" (").append(PlainText.of(suspect.device(), LABEL)).append(')');
      }
    }
    if (suspect.layer() != null) {
      text.append(text.isEmpty() ? "" : ", ")
          .append("layer ")
          .append(PlainText.of(suspect.layer(), LABEL));
    }
    return text.toString();
  }
}
