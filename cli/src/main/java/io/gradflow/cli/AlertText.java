package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.incident.Alert;

/** An alert as people read it and as scripts do. */
final class AlertText {
  private static final ObjectMapper JSON = new ObjectMapper();

  private AlertText() {}

  /** One line for people. */
  static String line(Alert alert) {
    return "%-8s %-8s %-16s %s (run %s, opened at step %d%s, incident %s)"
        .formatted(
            alert.state(),
            alert.severity(),
            alert.kind(),
            alert.advice() == null
                ? alert.message()
                : alert.message() + " Advice: " + alert.advice(),
            alert.runId(),
            alert.openedStep(),
            alert.resolvedStep() == null ? "" : ", resolved at step " + alert.resolvedStep(),
            alert.incidentId());
  }

  /** An incident as the demo's report shows it; what is absent is null. */
  static ObjectNode summary(Alert alert) {
    return JSON.createObjectNode()
        .put("id", alert.incidentId())
        .put("kind", alert.kind().name())
        .put("severity", alert.severity().name())
        .put("rootLayer", alert.rootLayer())
        .put("rootRank", alert.rootRank())
        .put("openedStep", alert.openedStep())
        .put("resolvedStep", alert.resolvedStep())
        .put("message", alert.message());
  }

  /** A piece of advice as the demo's report shows it; what is absent is null. */
  static ObjectNode advice(Alert alert) {
    return JSON.createObjectNode()
        .put("id", alert.incidentId())
        .put("kind", alert.kind().name())
        .put("layer", alert.rootLayer())
        .put("openedStep", alert.openedStep())
        .put("message", alert.message())
        .put("advice", alert.advice());
  }

  /** All of one transition. */
  static ObjectNode transition(Alert alert) {
    ObjectNode node = JSON.createObjectNode();
    node.put("run", alert.runId()).put("attempt", alert.attempt()).put("stream", alert.stream());
    node.put("alertId", alert.alertId()).put("transition", alert.transition());
    node.put("state", alert.state().name());
    node.setAll(summary(alert));
    node.put("onsetStep", alert.onsetStep()).put("lastStep", alert.lastStep());
    node.put("host", alert.host()).put("device", alert.device());
    node.set("suspects", JSON.valueToTree(alert.suspects()));
    node.set("chain", JSON.valueToTree(alert.chain()));
    node.set("evidence", JSON.valueToTree(alert.evidence()));
    node.set("blindSpots", JSON.valueToTree(alert.blindSpots()));
    node.put("advice", alert.advice()).put("confidence", alert.confidence());
    node.put("policyVersion", alert.policyVersion()).put("timed", alert.timed());
    node.put("detectedAt", alert.detectedAt());
    return node;
  }
}
