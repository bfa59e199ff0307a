package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.shard.Capture;
import java.util.List;

/** {@link Capture} on the wire. */
final class CaptureMapping implements Codec.Mapping<Capture> {

  @Override
  public String key(Capture capture) {
    return Topic.key(capture.runId());
  }

  @Override
  public Row toRow(Capture capture, RowType type) {
    return type.row()
        .set("captureId", capture.captureId())
        .set("runId", capture.runId())
        .set("stream", capture.stream())
        .set("layers", capture.layers())
        .set("ranks", capture.ranks())
        .set("firstStep", capture.firstStep())
        .set("steps", capture.steps())
        .set("byteBudget", capture.byteBudget())
        .set("expiresAt", capture.expiresAt())
        .set("requestedBy", capture.requestedBy())
        .set("requestedAt", capture.requestedAt());
  }

  @Override
  public Capture fromRow(Row row, Origin origin) {
    List<String> layers = row.texts("layers");
    layers.forEach(layer -> Checks.name("layers", layer));
    int[] ranks = row.ints("ranks");
    if (ranks != null) {
      Checks.ascending("ranks", ranks);
    }
    if (row.optionalNumber("firstStep") != null) {
      Checks.notNegative(row, "firstStep");
    }
    return new Capture(
        Checks.name(row, "captureId"),
        Checks.name(row, "runId"),
        Checks.name(row, "stream"),
        layers,
        ranks,
        row.optionalNumber("firstStep"),
        Checks.within(row, "steps", 1, Integer.MAX_VALUE),
        Checks.notNegative(row, "byteBudget"),
        Checks.notNegative(row, "expiresAt"),
        row.text("requestedBy"),
        Checks.notNegative(row, "requestedAt"));
  }
}
