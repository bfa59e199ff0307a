package io.gradflow.core.window;

import io.gradflow.core.matrix.Links;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.window.WindowSignals.Link;
import java.util.Arrays;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Finds what the layers of a window go with: the loss, the learning rate, and each other.
 *
 * <p>Compared are the changes from one step to the next: what has a trend correlates with
 * everything that has one. And of these only the ranks: of two layers with a spike each, the values
 * correlate at the lag between the spikes, by chance. Steps lie on a grid as wide as they are
 * published; one that is missing or was skipped leaves a gap, and so does one in which a layer has
 * no logarithm.
 */
final class WindowLinks {
  /** In windows of more layers no partners are sought: that takes time by their square. */
  static final int MOST_PARTNERS = 2_048;

  private static final int MAX_LAG = 8;
  private static final int LAGS = 2 * MAX_LAG + 1;

  /** Of the largest value: changes that differ by less are equal, as those of a straight line. */
  private static final double ROUNDING = 1e-9;

  private final Matrices matrices;
  private final long[] steps;
  private final boolean withPartners;
  private final int stride;
  private final long first;
  private final int places;
  private final double[][] loss;
  private final double[][] learningRate;

  /**
   * @param steps ascending
   * @param rows aligned with them
   */
  WindowLinks(Matrices matrices, long[] steps, List<WindowRow> rows) {
    this.matrices = matrices;
    this.steps = steps;
    withPartners = rows.get(0).rms().length <= MOST_PARTNERS;
    // Steps of which only local gradients are published have a cadence of their own.
    long[] normed = new long[steps.length];
    int count = 0;
    for (int i = 0; i < steps.length; i++) {
      if (Arrays.stream(rows.get(i).rms()).anyMatch(rms -> rms > 0)) {
        normed[count++] = steps[i];
      }
    }
    stride = stride(normed, count);
    first = normed[0];
    places = count == 0 ? 1 : (int) ((normed[count - 1] - first) / stride) + 1;
    loss = new double[][] {changes(column(rows, RowSignals::loss))};
    learningRate = new double[][] {changes(column(rows, RowSignals::learningRate))};
  }

  /**
   * The links of layers, among all of a window that has few enough for it.
   *
   * @param log2Rms per layer, aligned with the steps; NaN is a gap
   */
  LayerLinks[] of(double[][] log2Rms) {
    double[][] layers = Arrays.stream(log2Rms).map(this::changes).toArray(double[][]::new);
    Links ofLoss = matrices.links(layers, loss, MAX_LAG);
    Links ofRate = matrices.links(layers, learningRate, MAX_LAG);
    Links ofPartner = withPartners ? matrices.links(layers, MAX_LAG) : null;
    int others = Math.max(1, layers.length - 1);
    LayerLinks[] links = new LayerLinks[layers.length];
    for (int layer = 0; layer < links.length; layer++) {
      Link partnerLink = withPartners ? link(ofPartner, layer, others) : null;
      links[layer] =
          new LayerLinks(
              link(ofLoss, layer, 1),
              link(ofRate, layer, 1),
              partnerLink == null ? -1 : ofPartner.partner()[layer],
              partnerLink);
    }
    return links;
  }

  private static double[] column(List<WindowRow> rows, ToDoubleFunction<RowSignals> scalar) {
    return rows.stream()
        .mapToDouble(
            row ->
                row.signals() == null || row.isSkipped()
                    ? Double.NaN
                    : scalar.applyAsDouble(row.signals()))
        .toArray();
  }

  /** The widest grid that the first of the steps lie on; 1 of fewer than two. */
  private static int stride(long[] steps, int count) {
    long stride = 0;
    for (int i = 1; i < count; i++) {
      stride = greatestCommonDivisor(stride, steps[i] - steps[i - 1]);
    }
    return (int) Math.max(1, stride);
  }

  private static long greatestCommonDivisor(long a, long b) {
    return b == 0 ? a : greatestCommonDivisor(b, a % b);
  }

  /** Ranks of the changes from each place of the grid to the next, of what is known of both. */
  private double[] changes(double[] values) {
    double[] grid = new double[places];
    Arrays.fill(grid, Double.NaN);
    for (int i = 0; i < steps.length; i++) {
      long place = (steps[i] - first) / stride;
      if (steps[i] >= first && place < places && first + place * stride == steps[i]) {
        grid[(int) place] = values[i];
      }
    }
    double largest = Arrays.stream(grid).filter(Double::isFinite).map(Math::abs).max().orElse(0);
    double digit = largest * ROUNDING;
    return ranks(
        IntStream.range(1, places)
            .mapToDouble(t -> Math.rint((grid[t] - grid[t - 1]) / digit))
            .toArray());
  }

  /** Equal values share their ranks. What is not finite has none, nor have too few values. */
  private static double[] ranks(double[] values) {
    double[] ranks = new double[values.length];
    Arrays.fill(ranks, Double.NaN);
    boolean enough = Arrays.stream(values).filter(Double::isFinite).count() >= Link.MIN_PAIRS;
    for (int t = 0; t < ranks.length && enough; t++) {
      if (Double.isFinite(values[t])) {
        ranks[t] = 0;
        for (double other : values) {
          ranks[t] += other < values[t] ? 1 : other == values[t] ? 0.5 : 0;
        }
      }
    }
    return ranks;
  }

  /** Null where it may be chance: the strongest of so many others is strong by chance. */
  private Link link(Links found, int layer, int others) {
    double correlation = found.correlation()[layer];
    int pairs = found.pairs()[layer];
    return pairs >= Link.MIN_PAIRS
            && Math.abs(correlation) > Significance.limit(pairs, (long) others * LAGS)
        ? new Link(correlation, found.lag()[layer] * stride, pairs)
        : null;
  }
}
