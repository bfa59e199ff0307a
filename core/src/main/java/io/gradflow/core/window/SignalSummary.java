package io.gradflow.core.window;

import io.gradflow.core.signal.Octaves;
import io.gradflow.core.window.WindowSignals.Magnitudes;
import java.util.Arrays;
import java.util.List;
import java.util.function.Function;
import java.util.stream.DoubleStream;

/** Sums up the signals of a window's rows, those left out that the optimiser skipped. */
final class SignalSummary {
  private final LayerNames layers;
  private final List<WindowRow> rows;

  SignalSummary(LayerNames layers, List<WindowRow> all) {
    this.layers = layers;
    rows = all.stream().filter(row -> row.signals() != null && !row.isSkipped()).toList();
  }

  /** The signals of a layer, with its links; null if nothing is known. */
  WindowSignals of(int layer, LayerLinks links) {
    double[] noise = noise(layer);
    return new WindowSignals(
            mean(layer, RowSignals::snr),
            mean(layer, RowSignals::crest),
            mean(layer, RowSignals::updateRatio),
            mean(layer, RowSignals::trustRatio),
            mean(layer, RowSignals::cosine),
            mean(layer, RowSignals::saturation),
            most(layer, RowSignals::saturation),
            saturatedFraction(layer),
            subnormalFraction(layer),
            known(noise[0]),
            known(noise[1]),
            noise[0] > 0 ? known(noise[1] / noise[0]) : null,
            magnitudes(layer),
            links.loss(),
            links.learningRate(),
            links.partner() < 0 ? null : layers.names().get(links.partner()),
            links.partnerLink())
        .orNull();
  }

  private DoubleStream values(int layer, Function<RowSignals, float[]> column) {
    return rows.stream()
        .map(row -> column.apply(row.signals()))
        .filter(values -> values != null && !Float.isNaN(values[layer]))
        .mapToDouble(values -> values[layer]);
  }

  private Double mean(int layer, Function<RowSignals, float[]> column) {
    double[] values = values(layer, column).toArray();
    return fraction(Arrays.stream(values).sum(), values.length);
  }

  private Double most(int layer, Function<RowSignals, float[]> column) {
    return known(values(layer, column).max().orElse(Double.NaN));
  }

  /** Null of nothing. */
  private static Double fraction(double part, double whole) {
    return whole > 0 ? part / whole : null;
  }

  private static Double known(double value) {
    return Double.isNaN(value) ? null : (Double) value;
  }

  private Double saturatedFraction(int layer) {
    double saturated = 0;
    double activations = 0;
    for (WindowRow row : rows) {
      long part = at(row.signals().saturated(), layer);
      long whole = at(row.signals().activations(), layer);
      if (part >= 0 && whole >= 0) {
        saturated += part;
        activations += whole;
      }
    }
    return fraction(saturated, activations);
  }

  private Double subnormalFraction(int layer) {
    double subnormals = 0;
    double nonZero = 0;
    for (WindowRow row : rows) {
      long part = at(row.signals().subnormals(), layer);
      long zeros = row.zeros(layer);
      if (part >= 0 && zeros >= 0 && layers.elements() != null) {
        subnormals += part;
        nonZero += layers.elements()[layer] - zeros;
      }
    }
    return fraction(subnormals, nonZero);
  }

  private static long at(long[] column, int layer) {
    return column == null ? -1 : column[layer];
  }

  /** Means of gradientSquare and noiseTrace over the steps that have both; NaN without any. */
  private double[] noise(int layer) {
    double[] sums = new double[2];
    int steps = 0;
    for (WindowRow row : rows) {
      double[] squares = row.signals().gradientSquare();
      double[] traces = row.signals().noiseTrace();
      if (squares != null
          && traces != null
          && !Double.isNaN(squares[layer])
          && !Double.isNaN(traces[layer])) {
        sums[0] += squares[layer];
        sums[1] += traces[layer];
        steps++;
      }
    }
    return new double[] {sums[0] / steps, sums[1] / steps};
  }

  private Magnitudes magnitudes(int layer) {
    List<WindowRow> with =
        rows.stream()
            .filter(
                row ->
                    row.signals().histograms() != null && row.signals().histograms().isKnown(layer))
            .toList();
    if (with.isEmpty()) {
      return null;
    }
    Octaves octaves = new Octaves(new int[0], new long[0]);
    long zeros = 0;
    boolean zerosKnown = true;
    for (WindowRow row : with) {
      octaves = octaves.plus(row.signals().histograms().layer(layer));
      zerosKnown &= row.zeros(layer) >= 0;
      zeros += row.zeros(layer);
    }
    long below = zerosKnown ? zeros : 0;
    return new Magnitudes(
        with.size(),
        octaves.bins(),
        octaves.counts(),
        zerosKnown ? (Long) zeros : null,
        known(octaves.quantile(0.01, below)),
        known(octaves.quantile(0.5, below)),
        known(octaves.quantile(0.99, below)));
  }
}
