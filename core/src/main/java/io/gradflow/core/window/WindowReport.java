package io.gradflow.core.window;

import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.norm.Lane;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.DoubleStream;

/** Writes the {@link LayerWindow}s of a window's rows. */
final class WindowReport {
  /** Of a layer: with less, a change may be that of what is missing. Trends pass over it. */
  private static final double MIN_COMPLETENESS = 0.9;

  /** Layers whose trends are in memory together. */
  private static final int BLOCK = WindowLinks.MOST_PARTNERS;

  private final String runId;
  private final OpenWindow window;
  private final int length;
  private final LayerNames layers;
  private final List<WindowRow> rows;
  private final SignalSummary signals;

  /**
   * @param length of the window in step numbers
   * @param rows of the window's steps, which are one or more
   */
  WindowReport(
      String runId, OpenWindow window, int length, LayerNames layers, List<WindowRow> rows) {
    this.runId = runId;
    this.window = window;
    this.length = length;
    this.layers = layers;
    this.rows = rows;
    signals = new SignalSummary(layers, rows);
  }

  /** All layers as they are so far: with slopes, without links. */
  void open(Matrices matrices, Consumer<LayerWindow> out) {
    publish(matrices, null, out);
  }

  /** All layers, with slopes and links. */
  void closed(Matrices matrices, Consumer<LayerWindow> out) {
    publish(matrices, new WindowLinks(matrices, window.steps(), rows), out);
  }

  private void publish(Matrices matrices, WindowLinks links, Consumer<LayerWindow> out) {
    double[] at = Arrays.stream(window.steps()).mapToDouble(s -> s - window.firstStep()).toArray();
    int all = layers.names().size();
    for (int from = 0; from < all; from += BLOCK) {
      double[][] trends = new double[Math.min(BLOCK, all - from)][];
      for (int i = 0; i < trends.length; i++) {
        trends[i] = trend(from + i);
      }
      double[] slopes = matrices.slopes(at, trends);
      LayerLinks[] found = links == null ? null : links.of(trends);
      for (int i = 0; i < trends.length; i++) {
        WindowSignals of = signals.of(from + i, found == null ? LayerLinks.NONE : found[i]);
        out.accept(layer(from + i, links == null, slopes[i], of));
      }
    }
  }

  /** Log2 RMS by row, a gap where the optimiser skipped the step or slices are missing. */
  private double[] trend(int layer) {
    return rows.stream()
        .mapToDouble(
            row ->
                row.isSkipped() || row.completeness(layer) < MIN_COMPLETENESS
                    ? Double.NaN
                    : row.log2Rms(layer))
        .toArray();
  }

  private LayerWindow layer(int layer, boolean open, double slope, WindowSignals ofLayer) {
    Lane lane = window.lane();
    int nonFinite = 0;
    double completeness = 0;
    Long zeros = 0L;
    for (WindowRow row : rows) {
      nonFinite += row.isNonFinite(layer) ? 1 : 0;
      completeness += row.completeness(layer);
      zeros = plus(zeros, row.zeros(layer));
    }
    return new LayerWindow(
        runId,
        lane.attempt(),
        lane.stream(),
        lane.manifestId(),
        layers.names().get(layer),
        layer,
        window.firstStep(),
        length,
        open,
        rows.size(),
        window.steps()[0],
        window.steps()[rows.size() - 1],
        completeness / rows.size(),
        spread(rows.stream().mapToDouble(row -> row.l2()[layer])),
        spread(rows.stream().mapToDouble(row -> row.log2Rms(layer))),
        known(slope),
        nonFinite,
        zeros,
        ofLayer);
  }

  private static Long plus(Long sum, long count) {
    return sum == null || count < 0 ? null : (Long) (sum + count);
  }

  private static Double known(double value) {
    return Double.isNaN(value) ? null : (Double) value;
  }

  /** Of those that are not NaN; null without any. */
  private static LayerWindow.Spread spread(DoubleStream all) {
    double[] values = all.filter(value -> !Double.isNaN(value)).toArray();
    int n = values.length;
    if (n == 0) {
      return null;
    }
    double last = values[n - 1];
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    Arrays.sort(values);
    return new LayerWindow.Spread(
        sum / n, values[0], values[n - 1], last, nearest(values, 0.5), nearest(values, 0.95));
  }

  private static double nearest(double[] ascending, double share) {
    return ascending[(int) Math.ceil(share * ascending.length) - 1];
  }
}
