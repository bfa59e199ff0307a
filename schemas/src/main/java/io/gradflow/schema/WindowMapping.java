package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.window.LayerWindow;

/** {@link LayerWindow} on the wire. */
final class WindowMapping implements Codec.Mapping<LayerWindow> {

  @Override
  public String key(LayerWindow window) {
    return Topic.key(window.runId(), window.layer(), window.firstStep());
  }

  @Override
  public Row toRow(LayerWindow window, RowType type) {
    Row row =
        type.row()
            .set("runId", window.runId())
            .set("attempt", window.attempt())
            .set("stream", window.stream())
            .set("manifestId", window.manifestId())
            .set("layer", window.layer())
            .set("layerIndex", window.layerIndex())
            .set("firstStep", window.firstStep())
            .set("length", window.length())
            .set("open", window.open())
            .set("steps", window.steps())
            .set("firstSeen", window.firstSeen())
            .set("lastSeen", window.lastSeen())
            .set("completeness", window.completeness())
            .set("nonFinite", window.nonFinite())
            .set("zeros", window.zeros());
    return row.set("l2", toRow(window.l2(), row.nested("l2")))
        .set("log2Rms", toRow(window.log2Rms(), row.nested("log2Rms")));
  }

  private static Row toRow(LayerWindow.Spread spread, Row row) {
    return spread == null
        ? null
        : row.set("mean", spread.mean())
            .set("min", spread.min())
            .set("max", spread.max())
            .set("last", spread.last())
            .set("p50", spread.p50())
            .set("p95", spread.p95());
  }

  @Override
  public LayerWindow fromRow(Row row, Origin origin) {
    return new LayerWindow(
        Checks.name(row, "runId"),
        Checks.notNegative(row, "attempt"),
        Checks.name(row, "stream"),
        row.number("manifestId"),
        Checks.name(row, "layer"),
        row.integer("layerIndex"),
        row.number("firstStep"),
        Checks.within(row, "length", 1, Integer.MAX_VALUE),
        row.flag("open"),
        row.integer("steps"),
        row.number("firstSeen"),
        row.number("lastSeen"),
        row.real("completeness"),
        spread(row.record("l2")),
        spread(row.record("log2Rms")),
        row.integer("nonFinite"),
        row.optionalNumber("zeros"));
  }

  private static LayerWindow.Spread spread(Row row) {
    return row == null
        ? null
        : new LayerWindow.Spread(
            row.real("mean"),
            row.real("min"),
            row.real("max"),
            row.real("last"),
            row.real("p50"),
            row.real("p95"));
  }
}
