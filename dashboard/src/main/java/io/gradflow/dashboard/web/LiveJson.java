package io.gradflow.dashboard.web;

import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.databind.JsonNode;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.dashboard.alert.AlertJson;
import io.gradflow.dashboard.live.Cells;
import io.gradflow.dashboard.live.IncidentRow;
import io.gradflow.dashboard.live.LiveStream;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.live.RunStream;
import io.gradflow.dashboard.live.StepRow;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/** How the page is told of runs, steps and incidents. */
final class LiveJson {
  private static final int MAGIC = 0x31464347;

  private LiveJson() {}

  /** One column of steps: its name, and a row's value of it. */
  private record Column(String name, Value value) {}

  private interface Value {
    void write(JsonGenerator out, StepRow row) throws IOException;
  }

  private static final List<Column> COLUMNS =
      List.of(
          new Column("step", (out, row) -> out.writeNumber(row.step())),
          new Column("attempt", (out, row) -> out.writeNumber(row.attempt())),
          new Column("completeness", (out, row) -> Json.number(out, row.completeness())),
          new Column("closedBy", (out, row) -> out.writeString(row.closedBy().name())),
          new Column("late", (out, row) -> out.writeBoolean(row.late())),
          new Column("globalNorm", LiveJson::globalNorm),
          new Column("loss", (out, row) -> Json.number(out, row.loss())),
          new Column("validationLoss", (out, row) -> Json.number(out, row.validationLoss())),
          new Column("learningRate", (out, row) -> Json.number(out, row.learningRate())),
          new Column("lossScale", (out, row) -> Json.number(out, row.lossScale())),
          new Column("clipCoef", (out, row) -> Json.number(out, row.clipCoef())),
          new Column("weight", (out, row) -> Json.number(out, row.weight())),
          new Column("skipped", (out, row) -> out.writeBoolean(row.skipped())),
          new Column("missing", (out, row) -> out.writeNumber(row.missing())),
          new Column("dropped", (out, row) -> out.writeNumber(row.dropped())),
          new Column(
              "lagMs",
              (out, row) -> Json.number(out, row.lagMs() < 0 ? Double.NaN : (double) row.lagMs())),
          new Column("histograms", (out, row) -> out.writeBoolean(row.histograms())),
          new Column("writtenAt", (out, row) -> out.writeNumber(row.writtenAt())));

  private static void globalNorm(JsonGenerator out, StepRow row) throws IOException {
    if (!row.finite()) {
      out.writeString("NaN");
    } else if (Double.isNaN(row.globalNorm())) {
      out.writeNull();
    } else {
      Json.numberOrWord(out, row.globalNorm());
    }
  }

  /** Steps as columns. */
  static byte[] steps(List<StepRow> rows) {
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  for (Column column : COLUMNS) {
                    Json.array(out, column.name(), rows, row -> column.value().write(out, row));
                  }
                }));
  }

  /** One step's values, as fields. */
  static void scalars(JsonGenerator out, StepRow row) throws IOException {
    for (Column column : COLUMNS) {
      out.writeFieldName(column.name());
      column.value().write(out, row);
    }
  }

  /** What a client is told of a step. */
  static byte[] step(RunStream of, StepRow row) {
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  stream(out, of);
                  scalars(out, row);
                  out.writeNumberField("layers", row.cells().length);
                  out.writeStringField(
                      "cells", Base64.getEncoder().encodeToString(Cells.bytes(row.cells())));
                }));
  }

  static void stream(JsonGenerator out, RunStream of) throws IOException {
    out.writeStringField("run", of.run());
    out.writeStringField("stream", of.stream());
  }

  /**
   * The cells of steps that all have the same layers; steps of other layers than the last one's are
   * left out.
   */
  static byte[] cells(List<StepRow> rows) {
    int layers = rows.isEmpty() ? 0 : rows.get(rows.size() - 1).cells().length;
    List<StepRow> same = rows.stream().filter(row -> row.cells().length == layers).toList();
    ByteBuffer out =
        ByteBuffer.allocate(4 * Integer.BYTES + same.size() * (Double.BYTES + layers * Short.BYTES))
            .order(ByteOrder.LITTLE_ENDIAN);
    out.putInt(MAGIC).putInt(layers).putInt(same.size()).putInt(0);
    same.forEach(row -> out.putDouble((double) row.step()));
    for (StepRow row : same) {
      for (short cell : row.cells()) {
        out.putShort(cell);
      }
    }
    return out.array();
  }

  /** How far the topics have been read, and how long ago the broker was last heard, ms. */
  static void reading(JsonGenerator out, Reading reading, long now) throws IOException {
    Json.object(
        out,
        "reading",
        () -> {
          out.writeBooleanField("done", reading.done());
          Json.number(out, "fraction", reading.fraction());
        });
    long lag = reading.heardAt() == 0 ? 0 : Math.max(0, now - reading.heardAt());
    out.writeNumberField("readLagMs", lag);
  }

  /** A row of the list of runs. */
  static void run(JsonGenerator out, LiveStream stream, long now) throws IOException {
    Json.object(
        out,
        () -> {
          out.writeStringField("run", stream.name().run());
          out.writeNumberField("attempt", stream.attempt());
          out.writeStringField("stream", stream.name().stream());
          out.writeNumberField("firstStep", stream.firstStep());
          out.writeNumberField("step", stream.lastStep());
          out.writeStringField("state", stream.state(now).name());
          out.writeNumberField("open", stream.open());
          out.writeStringField("worst", stream.worst() == null ? null : stream.worst().name());
          out.writeNumberField("lastAt", stream.lastAt());
        });
  }

  /** A manifest. */
  static byte[] manifest(Manifest manifest) {
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  out.writeStringField("run", manifest.runId());
                  out.writeNumberField("attempt", manifest.attempt());
                  out.writeStringField("stream", manifest.stream());
                  out.writeStringField("manifestId", hex(manifest.manifestId()));
                  out.writeNumberField("worldSize", manifest.worldSize());
                  Json.array(
                      out,
                      "mesh",
                      manifest.mesh(),
                      axis ->
                          Json.object(
                              out,
                              () -> {
                                out.writeStringField("name", axis.name());
                                out.writeNumberField("size", axis.size());
                              }));
                  out.writeStringField("gradientDtype", manifest.gradientDtype());
                  out.writeStringField("optimizer", manifest.optimizer());
                  Json.array(out, "layers", manifest.layers(), layer -> layer(out, layer));
                }));
  }

  private static void layer(JsonGenerator out, Layer layer) throws IOException {
    Json.object(
        out,
        () -> {
          out.writeStringField("name", layer.name());
          out.writeStringField("block", layer.block());
          Json.whole(out, "depth", layer.depth());
          out.writeStringField("kind", layer.kind().name());
          out.writeNumberField("elements", layer.elements());
          out.writeStringField("dtype", layer.dtype());
          out.writeBooleanField("trainable", layer.trainable());
        });
  }

  static String hex(long manifestId) {
    return String.format(Locale.ROOT, "%016x", manifestId);
  }

  /** Something that happened to a run, as fields. */
  static void event(JsonGenerator out, RunEvent event) throws IOException {
    out.writeStringField("type", event.type().name());
    out.writeNumberField("step", event.step());
    out.writeNumberField("at", event.at());
    Json.object(
        out,
        "attributes",
        () -> {
          for (var attribute : event.attributes().entrySet()) {
            out.writeStringField(attribute.getKey(), attribute.getValue());
          }
        });
  }

  /** A verdict, as fields. */
  static void verdict(JsonGenerator out, Feedback feedback) throws IOException {
    out.writeStringField("verdict", feedback.verdict().name());
    out.writeStringField("by", feedback.by());
    out.writeNumberField("at", feedback.at());
    out.writeStringField("note", feedback.note());
  }

  private static void verdictOrNull(JsonGenerator out, Feedback feedback) throws IOException {
    if (feedback == null) {
      out.writeNullField("verdict");
    } else {
      Json.object(out, "verdict", () -> verdict(out, feedback));
    }
  }

  /**
   * An incident.
   *
   * @param similar to it
   */
  static void incident(JsonGenerator out, IncidentRow row, Collection<IncidentRow> similar)
      throws IOException {
    Json.object(
        out,
        () -> {
          out.writeStringField("run", row.alert().runId());
          for (Map.Entry<String, JsonNode> field : AlertJson.of(row.alert()).properties()) {
            out.writeFieldName(field.getKey());
            out.writeTree(field.getValue());
          }
          verdictOrNull(out, row.verdict());
          Json.array(out, "similar", similar, other -> similar(out, other));
        });
  }

  private static void similar(JsonGenerator out, IncidentRow row) throws IOException {
    Alert alert = row.alert();
    Json.object(
        out,
        () -> {
          out.writeStringField("run", alert.runId());
          out.writeStringField("stream", alert.stream());
          out.writeStringField("incidentId", alert.incidentId());
          out.writeStringField("kind", alert.kind().name());
          out.writeStringField("rootLayer", alert.rootLayer());
          Json.whole(out, "rootRank", alert.rootRank());
          out.writeNumberField("openedStep", alert.openedStep());
          out.writeStringField("state", alert.state().name());
          out.writeStringField(
              "cause", alert.context().cause() == null ? null : alert.context().cause().name());
          out.writeStringField(
              "verdict", row.verdict() == null ? null : row.verdict().verdict().name());
        });
  }

  /** A rule. */
  static void rule(JsonGenerator out, Rule rule) throws IOException {
    Json.object(
        out,
        () -> {
          out.writeStringField("scope", rule.scope());
          out.writeStringField("kind", rule.kind().name());
          out.writeNumberField("policyVersion", rule.policyVersion());
          out.writeStringField("mode", rule.mode().name());
          Json.object(
              out,
              "thresholds",
              () -> {
                for (var threshold : rule.thresholds().entrySet()) {
                  Json.number(out, threshold.getKey(), threshold.getValue());
                }
              });
        });
  }
}
