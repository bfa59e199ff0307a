package io.gradflow.dashboard.alert;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.core.incident.Alert;

/** Alerts as JSON, the same for the page and for webhooks. */
public final class AlertJson {
  private static final ObjectMapper JSON = new ObjectMapper();

  private AlertJson() {}

  /**
   * The whole alert, with the names of GradientAlert.avsc; what is unknown is null. Numbers that
   * are not finite become the texts "NaN", "Infinity" and "-Infinity" where an ObjectMapper writes
   * them.
   */
  public static ObjectNode of(Alert alert) {
    ObjectNode node = JSON.createObjectNode();
    node.put("alertId", alert.alertId())
        .put("incidentId", alert.incidentId())
        .put("transition", alert.transition())
        .put("runId", alert.runId())
        .put("attempt", alert.attempt())
        .put("stream", alert.stream())
        .put("state", alert.state().name())
        .put("kind", alert.kind().name())
        .put("severity", alert.severity().name())
        .put("openedStep", alert.openedStep())
        .put("lastStep", alert.lastStep())
        .put("onsetStep", alert.onsetStep())
        .put("resolvedStep", alert.resolvedStep())
        .put("rootLayer", alert.rootLayer())
        .put("rootRank", alert.rootRank())
        .put("host", alert.host())
        .put("device", alert.device());
    node.set("suspects", JSON.valueToTree(alert.suspects()));
    node.set("chain", JSON.valueToTree(alert.chain()));
    node.set("evidence", JSON.valueToTree(alert.evidence()));
    node.put("message", alert.message()).put("advice", alert.advice());
    node.set("blindSpots", JSON.valueToTree(alert.blindSpots()));
    node.put("confidence", alert.confidence())
        .put("policyVersion", alert.policyVersion())
        .put("timed", alert.timed())
        .put("detectedAt", alert.detectedAt());
    Alert.Context context = alert.context();
    node.put("cause", context.cause() == null ? null : context.cause().name())
        .put("account", context.account())
        .put("lossBefore", context.lossBefore())
        .put("lossAfter", context.lossAfter());
    node.set("changes", JSON.valueToTree(context.changes()));
    return node.put("lastGoodStep", context.lastGoodStep())
        .put("lastCheckpoint", context.lastCheckpoint())
        .put("nextAction", context.nextAction());
  }
}
