package io.gradflow.schema;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** {@link Shard} on the wire. */
final class ShardMapping implements Codec.Mapping<Shard> {
  private static final Clip NOT_SAID = new Clip(null, null, null);

  @Override
  public String key(Shard shard) {
    return Topic.key(shard.id().runId(), shard.rank());
  }

  @Override
  public Row toRow(Shard shard, RowType type) {
    LayerColumns columns = shard.columns();
    Row row =
        header(shard, type)
            .set("firstLayer", columns.firstLayer())
            .set("layers", columns.layers())
            .set("elements", columns.elements())
            .set("norm", columns.norm())
            .set("maxAbs", columns.maxAbs())
            .set("sumAbs", columns.sumAbs())
            .set("zeros", columns.zeros());
    Checks.setNonFinite(row, columns.nonFinite());
    SignalMapping.set(row, columns.signals());
    return row;
  }

  /** A row of everything but the columns, of a type that has these fields. */
  static Row header(Shard shard, RowType type) {
    StepId id = shard.id();
    Row row =
        type.row()
            .set("runId", id.runId())
            .set("attempt", id.attempt())
            .set("stream", id.stream())
            .set("step", id.step())
            .set("rank", shard.rank())
            .set("coords", shard.coords())
            .set("part", shard.part())
            .set("parts", shard.parts())
            .set("manifestId", shard.manifestId())
            .set("stage", shard.stage().name())
            .set("previousStep", shard.previousStep())
            .set("accumIndex", shard.accumIndex())
            .set("accumSteps", shard.accumSteps())
            .set("sentAt", shard.sentAt())
            .set("producerSeq", shard.producerSeq())
            .set("dropped", shard.dropped())
            .set("weight", shard.weight())
            .set("lossScale", shard.lossScale())
            .set("stepSkipped", shard.stepSkipped())
            .set("reportedGlobalNorm", shard.reportedGlobalNorm())
            .set("loss", shard.loss())
            .set("validationLoss", shard.validationLoss())
            .set("learningRates", shard.learningRates())
            .set("host", shard.host())
            .set("device", shard.device());
    setClip(row, shard.clip());
    return row;
  }

  @Override
  public Shard fromRow(Row row, Origin origin) {
    Shard header = header(row, origin);
    return header.part(header.part(), header.parts(), columns(row));
  }

  /** The shard of a row that has the header's fields, without columns. */
  static Shard header(Row row, Origin origin) {
    StepId id = Checks.stepId(row);
    int rank = Checks.rank(row, "rank");
    for (int coordinate : row.ints("coords")) {
      if (coordinate < 0) {
        throw Malformed.header("expected coords not to be negative, got " + coordinate);
      }
    }
    int parts = Checks.parts(row);
    long previousStep = row.number("previousStep");
    if (previousStep < -1 || previousStep >= id.step()) {
      throw Malformed.header(
          "expected previousStep of -1 to below step " + id.step() + ", got " + previousStep);
    }
    int accumSteps = Checks.within(row, "accumSteps", 1, Integer.MAX_VALUE);
    int accumIndex = Checks.within(row, "accumIndex", 0, accumSteps - 1);
    Double lossScale = row.optionalReal("lossScale");
    if (lossScale != null && !(lossScale > 0 && lossScale < Double.POSITIVE_INFINITY)) {
      throw Malformed.header("expected lossScale to be finite and positive, got " + lossScale);
    }
    return new Shard(
        id,
        rank,
        row.ints("coords"),
        row.integer("part"),
        parts,
        row.number("manifestId"),
        row.constant("stage", Stage.class),
        previousStep,
        accumIndex,
        accumSteps,
        row.number("sentAt"),
        row.number("producerSeq"),
        Checks.notNegative(row, "dropped"),
        Checks.finiteNotNegative(row, "weight"),
        lossScale,
        row.flag("stepSkipped"),
        clip(row),
        row.optionalReal("reportedGlobalNorm"),
        row.optionalReal("loss"),
        row.optionalReal("validationLoss"),
        row.doubles("learningRates"),
        row.text("host"),
        row.text("device"),
        null,
        origin);
  }

  private static LayerColumns columns(Row row) {
    float[] norm = row.floats("norm");
    float[] maxAbs = row.floats("maxAbs");
    if (norm == null || maxAbs == null) {
      throw Malformed.columns("expected the columns norm and maxAbs, got none");
    }
    int size = norm.length;
    int firstLayer = Checks.firstLayer(row, size);
    int[] layers = row.ints("layers");
    Checks.aligned("layers", layers, size);
    if (layers != null) {
      Checks.ascending("layers", layers);
    }
    Checks.aligned("maxAbs", maxAbs, size);
    Checks.aligned("elements", row.longs("elements"), size);
    Checks.aligned("sumAbs", row.floats("sumAbs"), size);
    Checks.aligned("zeros", row.longs("zeros"), size);
    Checks.magnitudes("norm", norm);
    Checks.magnitudes("maxAbs", maxAbs);
    Checks.magnitudes("sumAbs", row.floats("sumAbs"));
    Checks.notNegative("elements", row.longs("elements"), 0);
    Checks.notNegative("zeros", row.longs("zeros"), 0);
    LayerColumns columns =
        new LayerColumns(
            firstLayer,
            layers,
            row.longs("elements"),
            norm,
            maxAbs,
            row.floats("sumAbs"),
            row.longs("zeros"),
            Checks.nonFinite(row),
            null,
            SignalMapping.columns(row, size));
    requireOwnLayers(columns);
    return columns;
  }

  private static void requireOwnLayers(LayerColumns columns) {
    if (columns.nonFinite() == null) {
      return;
    }
    for (int layer : columns.nonFinite().layers()) {
      boolean own =
          columns.layers() == null
              ? layer >= columns.firstLayer() && layer - columns.firstLayer() < columns.size()
              : Arrays.binarySearch(columns.layers(), layer) >= 0;
      if (!own) {
        throw Malformed.columns(
            "expected nonFiniteLayers among the layers of the record, got " + layer);
      }
    }
  }

  static Clip clip(Row row) {
    Clip clip =
        new Clip(
            row.text("clipMode"),
            row.optionalReal("clipNorm"),
            row.optionalReal("clipCoef"),
            row.flag("clipApplied"));
    return clip.equals(NOT_SAID) ? null : clip;
  }

  static void setClip(Row row, Clip clip) {
    if (clip != null) {
      row.set("clipMode", clip.mode())
          .set("clipNorm", clip.norm())
          .set("clipCoef", clip.coef())
          .set("clipApplied", clip.applied());
    }
  }

  @Override
  public int layers(Shard shard) {
    return shard.parts() > 1 ? 1 : shard.columns().size();
  }

  @Override
  public List<Shard> split(Shard shard, int parts) {
    List<Shard> split = new ArrayList<>(parts);
    int size = shard.columns().size();
    for (int part = 0; part < parts; part++) {
      int from = Columns.start(size, parts, part);
      int to = Columns.start(size, parts, part + 1);
      split.add(shard.part(part, parts, slice(shard.columns(), from, to)));
    }
    return split;
  }

  private static LayerColumns slice(LayerColumns columns, int from, int to) {
    NonFinite nonFinite =
        Checks.slice(columns.nonFinite(), columns.layer(from), columns.layer(to - 1) + 1);
    return new LayerColumns(
        columns.layer(from),
        Columns.slice(columns.layers(), from, to),
        Columns.slice(columns.elements(), from, to),
        Columns.slice(columns.norm(), from, to),
        Columns.slice(columns.maxAbs(), from, to),
        Columns.slice(columns.sumAbs(), from, to),
        Columns.slice(columns.zeros(), from, to),
        nonFinite,
        null,
        SignalMapping.slice(
            columns.signals(), from, to, columns.layer(from), columns.layer(to - 1) + 1));
  }
}
