package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Cause;
import java.util.ArrayList;
import java.util.List;

/** {@link Alert} on the wire. */
final class AlertMapping implements Codec.Mapping<Alert> {
  // An alert is never split: these bound its size by the length of names.
  private static final int MAX_SUSPECTS = 100;
  private static final int MAX_LINKS = 500;

  @Override
  public String key(Alert alert) {
    return Topic.key(alert.runId());
  }

  @Override
  public Row toRow(Alert alert, RowType type) {
    Row row =
        type.row()
            .set("alertId", alert.alertId())
            .set("incidentId", alert.incidentId())
            .set("transition", alert.transition())
            .set("runId", alert.runId())
            .set("attempt", alert.attempt())
            .set("stream", alert.stream())
            .set("state", alert.state().name())
            .set("kind", alert.kind().name())
            .set("severity", alert.severity().name())
            .set("openedStep", alert.openedStep())
            .set("lastStep", alert.lastStep())
            .set("onsetStep", alert.onsetStep())
            .set("resolvedStep", alert.resolvedStep())
            .set("rootLayer", alert.rootLayer())
            .set("rootRank", alert.rootRank())
            .set("host", alert.host())
            .set("device", alert.device())
            .set("message", alert.message())
            .set("advice", alert.advice())
            .set("blindSpots", alert.blindSpots())
            .set("confidence", alert.confidence())
            .set("policyVersion", alert.policyVersion())
            .set("timed", alert.timed())
            .set("detectedAt", alert.detectedAt());
    row.set(
        "suspects",
        alert.suspects().stream()
            .limit(MAX_SUSPECTS)
            .map(
                s ->
                    row.nested("suspects")
                        .set("layer", s.layer())
                        .set("rank", s.rank())
                        .set("score", s.score())
                        .set("host", s.host())
                        .set("device", s.device()))
            .toList());
    row.set(
        "chain",
        alert.chain().stream()
            .limit(MAX_LINKS)
            .map(
                l ->
                    row.nested("chain")
                        .set("step", l.step())
                        .set("kind", l.kind().name())
                        .set("layer", l.layer())
                        .set("rank", l.rank())
                        .set("observed", l.observed()))
            .toList());
    Alert.Evidence evidence = alert.evidence();
    if (evidence != null) {
      row.set(
          "evidence",
          row.nested("evidence")
              .set("observed", evidence.observed())
              .set("threshold", evidence.threshold())
              .set("unit", evidence.unit())
              .set("tailSteps", evidence.tailSteps())
              .set("tail", evidence.tail()));
    }
    Alert.Context context = alert.context();
    return row.set("cause", context.cause() == null ? null : context.cause().name())
        .set("account", context.account())
        .set("lossBefore", context.lossBefore())
        .set("lossAfter", context.lossAfter())
        .set("changes", context.changes())
        .set("lastGoodStep", context.lastGoodStep())
        .set("lastCheckpoint", context.lastCheckpoint())
        .set("nextAction", context.nextAction());
  }

  @Override
  public Alert fromRow(Row row, Origin origin) {
    List<Alert.Suspect> suspects = new ArrayList<>();
    for (Row suspect : row.records("suspects")) {
      suspects.add(
          new Alert.Suspect(
              suspect.text("layer"),
              suspect.optionalInteger("rank"),
              suspect.real("score"),
              suspect.text("host"),
              suspect.text("device")));
    }
    List<Alert.Link> chain = new ArrayList<>();
    for (Row link : row.records("chain")) {
      chain.add(
          new Alert.Link(
              link.number("step"),
              link.constant("kind", FindingKind.class),
              link.text("layer"),
              link.optionalInteger("rank"),
              link.real("observed")));
    }
    return new Alert(
        Checks.name(row, "alertId"),
        Checks.name(row, "incidentId"),
        Checks.within(row, "transition", 0, Integer.MAX_VALUE),
        Checks.name(row, "runId"),
        Checks.notNegative(row, "attempt"),
        Checks.name(row, "stream"),
        row.constant("state", Alert.State.class),
        row.constant("kind", FindingKind.class),
        row.constant("severity", Severity.class),
        row.number("openedStep"),
        row.number("lastStep"),
        row.number("onsetStep"),
        row.optionalNumber("resolvedStep"),
        row.text("rootLayer"),
        row.optionalInteger("rootRank"),
        row.text("host"),
        row.text("device"),
        suspects,
        chain,
        evidence(row.record("evidence")),
        row.text("message"),
        row.text("advice"),
        row.texts("blindSpots"),
        row.optionalReal("confidence"),
        row.number("policyVersion"),
        row.flag("timed"),
        row.number("detectedAt"),
        context(row));
  }

  private static Alert.Context context(Row row) {
    return new Alert.Context(
        row.text("cause") == null ? null : row.constant("cause", Cause.class),
        row.text("account"),
        row.optionalReal("lossBefore"),
        row.optionalReal("lossAfter"),
        row.texts("changes"),
        row.optionalNumber("lastGoodStep"),
        row.optionalNumber("lastCheckpoint"),
        row.text("nextAction"));
  }

  private static Alert.Evidence evidence(Row row) {
    if (row == null) {
      return null;
    }
    Checks.aligned("tail", row.doubles("tail"), row.longs("tailSteps").length);
    return new Alert.Evidence(
        row.real("observed"),
        row.real("threshold"),
        row.text("unit"),
        row.longs("tailSteps"),
        row.doubles("tail"));
  }
}
