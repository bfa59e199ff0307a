package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowSignals;

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
            .set("slope", window.slope())
            .set("nonFinite", window.nonFinite())
            .set("zeros", window.zeros());
    if (window.signals() != null) {
      row.set("signals", toRow(window.signals(), row.nested("signals")));
    }
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

  private static Row toRow(WindowSignals signals, Row row) {
    return row.set("snr", signals.snr())
        .set("crest", signals.crest())
        .set("updateRatio", signals.updateRatio())
        .set("trustRatio", signals.trustRatio())
        .set("cosine", signals.cosine())
        .set("saturation", signals.saturation())
        .set("mostSaturation", signals.mostSaturation())
        .set("saturatedFraction", signals.saturatedFraction())
        .set("subnormalFraction", signals.subnormalFraction())
        .set("gradientSquare", signals.gradientSquare())
        .set("noiseTrace", signals.noiseTrace())
        .set("noiseScale", signals.noiseScale())
        .set("magnitudes", toRow(signals.magnitudes(), row.nested("magnitudes")))
        .set("loss", toRow(signals.loss(), row.nested("loss")))
        .set("learningRate", toRow(signals.learningRate(), row.nested("learningRate")))
        .set("partner", signals.partner())
        .set("partnerLink", toRow(signals.partnerLink(), row.nested("partnerLink")));
  }

  private static Row toRow(WindowSignals.Magnitudes magnitudes, Row row) {
    return magnitudes == null
        ? null
        : row.set("steps", magnitudes.steps())
            .set("bins", magnitudes.bins())
            .set("counts", magnitudes.counts())
            .set("zeros", magnitudes.zeros())
            .set("p01", magnitudes.p01())
            .set("p50", magnitudes.p50())
            .set("p99", magnitudes.p99());
  }

  private static Row toRow(WindowSignals.Link link, Row row) {
    return link == null
        ? null
        : row.set("correlation", link.correlation())
            .set("lag", link.lag())
            .set("pairs", link.pairs());
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
        row.optionalReal("slope"),
        row.integer("nonFinite"),
        row.optionalNumber("zeros"),
        signals(row.record("signals")));
  }

  private static WindowSignals signals(Row row) {
    return row == null
        ? null
        : new WindowSignals(
            row.optionalReal("snr"),
            row.optionalReal("crest"),
            row.optionalReal("updateRatio"),
            row.optionalReal("trustRatio"),
            row.optionalReal("cosine"),
            row.optionalReal("saturation"),
            row.optionalReal("mostSaturation"),
            row.optionalReal("saturatedFraction"),
            row.optionalReal("subnormalFraction"),
            row.optionalReal("gradientSquare"),
            row.optionalReal("noiseTrace"),
            row.optionalReal("noiseScale"),
            magnitudes(row.record("magnitudes")),
            link(row.record("loss")),
            link(row.record("learningRate")),
            row.text("partner"),
            link(row.record("partnerLink")));
  }

  private static WindowSignals.Magnitudes magnitudes(Row row) {
    if (row == null) {
      return null;
    }
    Checks.aligned("counts", row.longs("counts"), row.ints("bins").length);
    return new WindowSignals.Magnitudes(
        row.integer("steps"),
        row.ints("bins"),
        row.longs("counts"),
        row.optionalNumber("zeros"),
        row.optionalReal("p01"),
        row.optionalReal("p50"),
        row.optionalReal("p99"));
  }

  private static WindowSignals.Link link(Row row) {
    return row == null
        ? null
        : new WindowSignals.Link(row.real("correlation"), row.integer("lag"), row.integer("pairs"));
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
