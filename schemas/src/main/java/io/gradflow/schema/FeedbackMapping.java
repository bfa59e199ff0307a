package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.incident.Feedback;

/** {@link Feedback} on the wire. */
final class FeedbackMapping implements Codec.Mapping<Feedback> {

  @Override
  public String key(Feedback feedback) {
    // The incident too: a run has many, and compaction keeps one verdict per key.
    return Topic.key(feedback.runId(), feedback.incidentId());
  }

  @Override
  public Row toRow(Feedback feedback, RowType type) {
    return type.row()
        .set("runId", feedback.runId())
        .set("incidentId", feedback.incidentId())
        .set("verdict", feedback.verdict().name())
        .set("by", feedback.by())
        .set("at", feedback.at())
        .set("note", feedback.note());
  }

  @Override
  public Feedback fromRow(Row row, Origin origin) {
    return new Feedback(
        Checks.name(row, "runId"),
        Checks.name(row, "incidentId"),
        row.constant("verdict", Feedback.Verdict.class),
        row.text("by"),
        Checks.notNegative(row, "at"),
        row.text("note"));
  }
}
