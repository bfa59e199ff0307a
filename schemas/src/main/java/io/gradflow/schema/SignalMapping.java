package io.gradflow.schema;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Sketches;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/** {@link SignalColumns} and {@link StepSignals} on the wire. */
final class SignalMapping {
  private SignalMapping() {}

  // --- of a shard
  // ---------------------------------------------------------------------------------

  static void set(Row row, SignalColumns signals) {
    if (signals == null) {
      return;
    }
    row.set("sum", signals.sum())
        .set("subnormals", signals.subnormals())
        .set("minNonzeroAbs", signals.minNonzeroAbs())
        .set("weightNorm", signals.weightNorm())
        .set("updateNorm", signals.updateNorm())
        .set("dotPrevious", signals.dotPrevious())
        .set("dotReduced", signals.dotReduced())
        .set("activations", signals.activations())
        .set("saturated", signals.saturated())
        .set("contentHash", signals.contentHash());
    setHistograms(row, signals.histograms());
    if (signals.sketches() != null) {
      row.set("sketchLayers", signals.sketches().layers())
          .set("sketchWidth", signals.sketches().width())
          .set("sketches", signals.sketches().values());
    }
  }

  /** The signals of a row whose record has these many layers; null if it has none. */
  static SignalColumns columns(Row row, int size) {
    for (String field :
        List.of("sum", "minNonzeroAbs", "weightNorm", "updateNorm", "dotPrevious", "dotReduced")) {
      Checks.aligned(field, row.floats(field), size);
    }
    for (String field : List.of("subnormals", "activations", "saturated", "contentHash")) {
      Checks.aligned(field, row.longs(field), size);
    }
    for (String field : List.of("minNonzeroAbs", "weightNorm", "updateNorm")) {
      Checks.knownMagnitudes(field, row.floats(field));
    }
    for (String field : List.of("sum", "dotPrevious", "dotReduced")) {
      Checks.finiteOrUnknown(field, row.floats(field));
    }
    for (String field : List.of("subnormals", "activations", "saturated")) {
      Checks.notNegative(field, row.longs(field), 0);
    }
    return new SignalColumns(
            row.floats("sum"),
            row.longs("subnormals"),
            row.floats("minNonzeroAbs"),
            row.floats("weightNorm"),
            row.floats("updateNorm"),
            row.floats("dotPrevious"),
            row.floats("dotReduced"),
            row.longs("activations"),
            row.longs("saturated"),
            row.longs("contentHash"),
            histograms(row, size),
            sketches(row))
        .orNull();
  }

  private static Sketches sketches(Row row) {
    int[] layers = row.ints("sketchLayers");
    float[] values = row.floats("sketches");
    Integer width = row.optionalInteger("sketchWidth");
    // Release 0.1 had sketches by names of blocks, which nobody wrote.
    if (layers == null) {
      return null;
    }
    if (width == null || width < 1 || values == null) {
      throw Malformed.columns(
          "expected sketches and a sketchWidth of 1 or more beside sketchLayers, got "
              + (values == null ? "none" : width));
    }
    Checks.ascending("sketchLayers", layers);
    if (values.length != (long) layers.length * width) {
      throw Malformed.columns(
          "expected " + (long) layers.length * width + " values in sketches, got " + values.length);
    }
    Checks.finiteOrUnknown("sketches", values);
    return new Sketches(layers, width, values);
  }

  /** The positions from {@code from} to before {@code to}; layers are those of the record. */
  static SignalColumns slice(SignalColumns all, int from, int to, int firstLayer, int endLayer) {
    if (all == null) {
      return null;
    }
    return new SignalColumns(
        Columns.slice(all.sum(), from, to),
        Columns.slice(all.subnormals(), from, to),
        Columns.slice(all.minNonzeroAbs(), from, to),
        Columns.slice(all.weightNorm(), from, to),
        Columns.slice(all.updateNorm(), from, to),
        Columns.slice(all.dotPrevious(), from, to),
        Columns.slice(all.dotReduced(), from, to),
        Columns.slice(all.activations(), from, to),
        Columns.slice(all.saturated(), from, to),
        Columns.slice(all.contentHash(), from, to),
        slice(all.histograms(), from, to),
        slice(all.sketches(), firstLayer, endLayer));
  }

  private static Sketches slice(Sketches all, int firstLayer, int endLayer) {
    if (all == null) {
      return null;
    }
    int from = Checks.lowerBound(all.layers(), firstLayer);
    int to = Checks.lowerBound(all.layers(), endLayer);
    return from == to
        ? null
        : new Sketches(
            Columns.slice(all.layers(), from, to),
            all.width(),
            Columns.slice(all.values(), from * all.width(), to * all.width()));
  }

  // --- of a step
  // ----------------------------------------------------------------------------------

  static Row toRow(StepSignals signals, Row row) {
    row.set("mean", signals.mean())
        .set("subnormals", signals.subnormals())
        .set("minNonzeroAbs", signals.minNonzeroAbs())
        .set("weightNorm", signals.weightNorm())
        .set("updateNorm", signals.updateNorm())
        .set("cosine", signals.cosine())
        .set("cosineError", signals.cosineError())
        .set("gradientSquare", signals.gradientSquare())
        .set("noiseTrace", signals.noiseTrace())
        .set("saturation", signals.saturation())
        .set("activations", signals.activations())
        .set("saturated", signals.saturated())
        .set("mismatchedLayers", signals.mismatchedLayers());
    setHistograms(row, signals.histograms());
    if (signals.run() != null) {
      row.set("run", toRow(signals.run(), row.nested("run")));
    }
    return row;
  }

  private static Row toRow(RunSignals run, Row row) {
    return row.set("cosineSince", run.cosineSince())
        .set("cosine", known(run.cosine()))
        .set("cosineError", known(run.cosineError()))
        .set("gradientSquare", known(run.gradientSquare()))
        .set("noiseTrace", known(run.noiseTrace()))
        .set("noiseScale", known(run.noiseScale()))
        .set("headroom", known(run.headroom()))
        .set("underflow", known(run.underflow()))
        .set("advisedLossScale", known(run.advisedLossScale()))
        .set("clippedFraction", known(run.clippedFraction()))
        .set("clipCoefficient", known(run.clipCoefficient()))
        .set("advisedClip", known(run.advisedClip()))
        .set("autoClip", known(run.autoClip()))
        .set("zClip", known(run.zClip()))
        .set("adaGcLayers", run.adaGcLayers())
        .set("adaGcNorm", known(run.adaGcNorm()))
        .set("depthSlope", known(run.depthSlope()))
        .set("depthT", known(run.depthT()))
        .set("depthDrop", known(run.depthDrop()));
  }

  /** Null of NaN. */
  static Double known(double value) {
    return Double.isNaN(value) ? null : (Double) value;
  }

  private static double value(Row row, String field) {
    Double value = row.optionalReal(field);
    return value == null ? Double.NaN : value;
  }

  /** The signals of a step with these many layers; null of null. */
  static StepSignals signals(Row row, int size) {
    if (row == null) {
      return null;
    }
    for (String field :
        List.of(
            "mean", "minNonzeroAbs", "weightNorm", "updateNorm", "gradientSquare", "noiseTrace")) {
      Checks.aligned(field, row.doubles(field), size);
    }
    for (String field : List.of("cosine", "cosineError", "saturation")) {
      Checks.aligned(field, row.floats(field), size);
    }
    for (String field : List.of("subnormals", "activations", "saturated")) {
      Checks.aligned(field, row.longs(field), size);
      Checks.notNegative(field, row.longs(field), -1);
    }
    if (row.ints("mismatchedLayers") != null) {
      Checks.ascending("mismatchedLayers", row.ints("mismatchedLayers"));
    }
    return new StepSignals(
        row.doubles("mean"),
        row.longs("subnormals"),
        row.doubles("minNonzeroAbs"),
        row.doubles("weightNorm"),
        row.doubles("updateNorm"),
        row.floats("cosine"),
        row.floats("cosineError"),
        row.doubles("gradientSquare"),
        row.doubles("noiseTrace"),
        row.floats("saturation"),
        row.longs("activations"),
        row.longs("saturated"),
        histograms(row, size),
        row.ints("mismatchedLayers"),
        run(row.record("run")));
  }

  private static RunSignals run(Row row) {
    return row == null
        ? null
        : new RunSignals(
            row.number("cosineSince"),
            value(row, "cosine"),
            value(row, "cosineError"),
            value(row, "gradientSquare"),
            value(row, "noiseTrace"),
            value(row, "noiseScale"),
            value(row, "headroom"),
            value(row, "underflow"),
            value(row, "advisedLossScale"),
            value(row, "clippedFraction"),
            value(row, "clipCoefficient"),
            value(row, "advisedClip"),
            value(row, "autoClip"),
            value(row, "zClip"),
            row.integer("adaGcLayers"),
            value(row, "adaGcNorm"),
            value(row, "depthSlope"),
            value(row, "depthT"),
            value(row, "depthDrop"));
  }

  static StepSignals slice(
      StepSignals all, int from, int to, int firstLayer, int endLayer, boolean withRun) {
    if (all == null) {
      return null;
    }
    int[] mismatched = all.mismatchedLayers() == null ? new int[0] : all.mismatchedLayers();
    int mismatchedFrom = Checks.lowerBound(mismatched, firstLayer);
    int mismatchedTo = Checks.lowerBound(mismatched, endLayer);
    return new StepSignals(
        Columns.slice(all.mean(), from, to),
        Columns.slice(all.subnormals(), from, to),
        Columns.slice(all.minNonzeroAbs(), from, to),
        Columns.slice(all.weightNorm(), from, to),
        Columns.slice(all.updateNorm(), from, to),
        Columns.slice(all.cosine(), from, to),
        Columns.slice(all.cosineError(), from, to),
        Columns.slice(all.gradientSquare(), from, to),
        Columns.slice(all.noiseTrace(), from, to),
        Columns.slice(all.saturation(), from, to),
        Columns.slice(all.activations(), from, to),
        Columns.slice(all.saturated(), from, to),
        slice(all.histograms(), from, to),
        mismatchedFrom == mismatchedTo
            ? null
            : Arrays.copyOfRange(mismatched, mismatchedFrom, mismatchedTo),
        withRun ? all.run() : null);
  }

  static StepSignals join(List<StepSignals> parts) {
    if (parts.get(0) == null) {
      return null;
    }
    return new StepSignals(
        Columns.join(parts, StepSignals::mean),
        Columns.join(parts, StepSignals::subnormals),
        Columns.join(parts, StepSignals::minNonzeroAbs),
        Columns.join(parts, StepSignals::weightNorm),
        Columns.join(parts, StepSignals::updateNorm),
        Columns.join(parts, StepSignals::cosine),
        Columns.join(parts, StepSignals::cosineError),
        Columns.join(parts, StepSignals::gradientSquare),
        Columns.join(parts, StepSignals::noiseTrace),
        Columns.join(parts, StepSignals::saturation),
        Columns.join(parts, StepSignals::activations),
        Columns.join(parts, StepSignals::saturated),
        joinHistograms(parts.stream().map(StepSignals::histograms).toList()),
        Columns.join(parts, StepSignals::mismatchedLayers),
        parts.get(0).run());
  }

  // --- histograms, of both
  // ------------------------------------------------------------------------

  private static void setHistograms(Row row, Histograms histograms) {
    if (histograms != null) {
      row.set("histogramOffsets", histograms.offsets())
          .set("histogramBins", histograms.bins())
          .set("histogramCounts", histograms.counts());
    }
  }

  private static Histograms histograms(Row row, int size) {
    int[] offsets = row.ints("histogramOffsets");
    if (offsets == null) {
      return null;
    }
    int[] bins = row.ints("histogramBins");
    long[] counts = row.longs("histogramCounts");
    if (bins == null || counts == null) {
      throw Malformed.columns(
          "expected histogramBins and histogramCounts beside histogramOffsets, got none");
    }
    Checks.aligned("histogramCounts", counts, bins.length);
    Checks.offsets("histogramOffsets", offsets, size, bins.length);
    Checks.notNegative("histogramCounts", counts, Histograms.UNKNOWN);
    for (int i = 0; i < size; i++) {
      for (int k = offsets[i]; k < offsets[i + 1]; k++) {
        boolean isOctave = bins[k] >= LOWEST_OCTAVE && bins[k] <= HIGHEST_OCTAVE;
        if (!isOctave || (k > offsets[i] && bins[k] <= bins[k - 1])) {
          throw Malformed.columns(
              "expected histogramBins ascending within %d to %d in a row, got %d in row %d"
                  .formatted(LOWEST_OCTAVE, HIGHEST_OCTAVE, bins[k], i));
        }
      }
    }
    return new Histograms(offsets, bins, counts);
  }

  /** Beyond every float's, also after a loss scale was taken out. */
  private static final int LOWEST_OCTAVE = -400;

  private static final int HIGHEST_OCTAVE = 400;

  private static Histograms slice(Histograms all, int from, int to) {
    if (all == null) {
      return null;
    }
    int first = all.offsets()[from];
    int last = all.offsets()[to];
    return new Histograms(
        IntStream.rangeClosed(from, to).map(i -> all.offsets()[i] - first).toArray(),
        Columns.slice(all.bins(), first, last),
        Columns.slice(all.counts(), first, last));
  }

  private static Histograms joinHistograms(List<Histograms> parts) {
    if (parts.get(0) == null) {
      return null;
    }
    return new Histograms(
        Columns.joinOffsets(parts.stream().map(Histograms::offsets).toList()),
        Columns.join(parts, Histograms::bins),
        Columns.join(parts, Histograms::counts));
  }
}
