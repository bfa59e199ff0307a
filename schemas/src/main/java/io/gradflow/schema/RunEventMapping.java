package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.shard.RunEvent;

/** {@link RunEvent} on the wire: as a record of its own, and inside a step. */
final class RunEventMapping implements Codec.Mapping<RunEvent> {

  @Override
  public String key(RunEvent event) {
    return Topic.key(event.runId());
  }

  @Override
  public Row toRow(RunEvent event, RowType type) {
    return set(type.row(), event).set("runId", event.runId());
  }

  @Override
  public RunEvent fromRow(Row row, Origin origin) {
    return event(row, Checks.name(row, "runId"));
  }

  /** Sets all but the run, which a step has already. */
  static Row set(Row row, RunEvent event) {
    return row.set("attempt", event.attempt())
        .set("stream", event.stream())
        .set("step", event.step())
        .set("type", event.type().name())
        .set("at", event.at())
        .set("attributes", event.attributes());
  }

  static RunEvent event(Row row, String runId) {
    long step = row.number("step");
    if (step < -1) {
      throw Malformed.header("expected step of -1 or more, got " + step);
    }
    return new RunEvent(
        runId,
        Checks.notNegative(row, "attempt"),
        Checks.name(row, "stream"),
        step,
        row.constant("type", RunEvent.Type.class),
        row.number("at"),
        row.map("attributes"));
  }
}
