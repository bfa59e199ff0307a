package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.incident.Alert;
import java.util.Locale;

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
            sentences(alert),
            alert.runId(),
            alert.openedStep(),
            alert.resolvedStep() == null ? "" : ", resolved at step " + alert.resolvedStep(),
            alert.incidentId());
  }

  private static String sentences(Alert alert) {
    Alert.Context context = alert.context();
    StringBuilder text = new StringBuilder(alert.message());
    if (context.cause() != null) {
      text.append(
          String.format(
              Locale.ROOT,
              " Cause: %s (confidence %.2f). %s Next: %s",
              context.cause(),
              alert.confidence(),
              context.account(),
              context.nextAction()));
    }
    if (alert.advice() != null) {
      text.append(" Advice: ").append(alert.advice());
    }
    return text.toString();
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
        .put("message", alert.message())
        .put("cause", alert.context().cause() == null ? null : alert.context().cause().name())
        .put("confidence", alert.confidence())
        .put("account", alert.context().account())
        .put("nextAction", alert.context().nextAction());
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
    Alert.Context context = alert.context();
    node.put("lossBefore", context.lossBefore()).put("lossAfter", context.lossAfter());
    node.set("changes", JSON.valueToTree(context.changes()));
    node.put("lastGoodStep", context.lastGoodStep());
    node.put("lastCheckpoint", context.lastCheckpoint());
    node.put("advice", alert.advice());
    node.put("policyVersion", alert.policyVersion()).put("timed", alert.timed());
    node.put("detectedAt", alert.detectedAt());
    return node;
  }
}
