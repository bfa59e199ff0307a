package io.gradflow.core.norm;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Statistic;
import io.gradflow.core.signal.DepthProfile;
import io.gradflow.core.signal.LossScaling;
import io.gradflow.core.signal.NoiseScale;
import io.gradflow.core.signal.Octaves;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.function.IntToDoubleFunction;
import java.util.stream.IntStream;

/**
 * Writes the {@link StepSignals} of a closed step's sums. Nothing but weights, updates and
 * activations is known of a layer with slices missing or with any non-finite element.
 */
final class SignalReport {
  private final Layout layout;
  private final StepId id;
  private final StepSums sums;
  private final NormColumns norms;
  private final double globalNorm;
  private final boolean[] whole;
  private final double[] wholeNorms;
  private final double[] gradientSquares;
  private final double[] noiseTraces;

  /**
   * @param norms, globalNorm of the same sums
   */
  SignalReport(Layout layout, StepId id, StepSums sums, NormColumns norms, double globalNorm) {
    this.layout = layout;
    this.id = id;
    this.sums = sums;
    this.norms = norms;
    int layers = layout.layerCount();
    whole = new boolean[layers];
    wholeNorms = new double[layers];
    boolean isWhole = true;
    for (int layer = 0; layer < layers; layer++) {
      whole[layer] = isReceived(layer) && !Double.isNaN(norms.l2()[layer]);
      wholeNorms[layer] = whole[layer] ? norms.l2()[layer] : Double.NaN;
      isWhole &= whole[layer] || !counts(layer);
    }
    this.globalNorm = isWhole ? globalNorm : Double.NaN;
    gradientSquares = new double[layers];
    noiseTraces = new double[layers];
    estimateNoise();
  }

  // --- what is tracked from step to step
  // ----------------------------------------------------------

  long step() {
    return id.step();
  }

  boolean isSkipped() {
    return sums.scalars().stepSkipped();
  }

  /** The step that all ranks published before this one; -1 if they differ or none was. */
  long previousStep() {
    return sums.scalars().commonPreviousStep();
  }

  /** Whether the layer is one of those that the global norm is of. */
  private boolean counts(int layer) {
    return !layout.isOptional(layer);
  }

  /** Per layer the L2 norm of a whole layer; NaN of others. */
  double[] norms() {
    return wholeNorms;
  }

  /** NaN unless every layer is whole. */
  double globalNorm() {
    return globalNorm;
  }

  double clipNorm() {
    Clip clip = sums.scalars().clip();
    return clip == null || clip.norm() == null ? Double.NaN : clip.norm();
  }

  double clipCoefficient() {
    Clip clip = sums.scalars().clip();
    return clip == null || clip.coef() == null ? Double.NaN : clip.coef();
  }

  double dotPrevious(int layer) {
    return whole[layer] ? value(Statistic.DOT_PREVIOUS, layer) : Double.NaN;
  }

  /** Over all layers of the global norm; NaN if one lacks it. */
  double dotPrevious() {
    return sumOfCounting(this::dotPrevious);
  }

  private double[] sketch(int layer) {
    LayerSums best = whole[layer] ? best(layer) : null;
    return best == null || best.signals() == null ? null : best.signals().sketch(layer);
  }

  /** Per layer, with null rows; null without any. */
  double[][] sketches() {
    double[][] rows = new double[layout.layerCount()][];
    boolean any = false;
    for (int layer = 0; layer < rows.length; layer++) {
      rows[layer] = sketch(layer);
      any |= rows[layer] != null;
    }
    return any ? rows : null;
  }

  /** The sum of such rows over the layers of the global norm; null if one lacks it. */
  double[] sumOfCounting(double[][] rows) {
    double[] sum = null;
    for (int layer = 0; layer < rows.length; layer++) {
      if (counts(layer)) {
        if (rows[layer] == null) {
          return null;
        }
        sum = RankRows.sum(sum, rows[layer]);
      }
    }
    return sum;
  }

  /** Saturated activations where they are sent, else zeros, of all; NaN if neither is known. */
  double deadFraction(int layer) {
    double activations = received(Statistic.ACTIVATIONS, layer);
    if (activations > 0) {
      return value(Statistic.SATURATED, layer) / activations;
    }
    boolean known = whole[layer] && norms.zeros() != null && norms.zeros()[layer] >= 0;
    return known && layout.elements()[layer] > 0
        ? (double) norms.zeros()[layer] / layout.elements()[layer]
        : Double.NaN;
  }

  /** Of all layers together; NaN if one lacks it. */
  double gradientSquare() {
    return sumOfCounting(layer -> gradientSquares[layer]);
  }

  /** Of all layers together; NaN if one lacks it. */
  double noiseTrace() {
    return sumOfCounting(layer -> noiseTraces[layer]);
  }

  // --- the step's own
  // -----------------------------------------------------------------------------

  /** The signals, with those that were tracked; null if there are none at all. */
  StepSignals signals(TrackedSignals tracked) {
    Histograms histograms = histograms();
    return new StepSignals(
        column(this::mean),
        counts(Statistic.SUBNORMALS, true),
        column(
            layer ->
                whole[layer] ? aboveZero(value(Statistic.MIN_NONZERO_ABS, layer)) : Double.NaN),
        column(layer -> Math.sqrt(received(Statistic.WEIGHT_SQUARES, layer))),
        column(layer -> Math.sqrt(received(Statistic.UPDATE_SQUARES, layer))),
        tracked.cosines(),
        tracked.cosineErrors(),
        column(layer -> gradientSquares[layer]),
        column(layer -> noiseTraces[layer]),
        tracked.saturations(),
        counts(Statistic.ACTIVATIONS, false),
        counts(Statistic.SATURATED, false),
        histograms,
        sums.reduced() == null ? null : sums.reduced().mismatched(),
        run(tracked, histograms));
  }

  private double mean(int layer) {
    return whole[layer] ? value(Statistic.SUM, layer) / layout.elements()[layer] : Double.NaN;
  }

  private static double aboveZero(double value) {
    return value > 0 ? value : Double.NaN;
  }

  private void estimateNoise() {
    Arrays.fill(gradientSquares, Double.NaN);
    Arrays.fill(noiseTraces, Double.NaN);
    LocalSums local = sums.local();
    if (local == null || local.elements() == null) {
      return;
    }
    int workers = layout.workers();
    double samples = sums.scalars().weightOfRank();
    for (int layer = 0; layer < whole.length; layer++) {
      if (whole[layer] && local.elements()[layer] > 0 && local.firstNonFinite()[layer] < 0) {
        // Slices of a worker and copies of its slices weigh as much as they have elements.
        double meanSquare =
            (local.squares()[layer] + local.squaresLow()[layer])
                * layout.elements()[layer]
                / local.elements()[layer];
        double norm = layout.summed() ? wholeNorms[layer] / workers : wholeNorms[layer];
        gradientSquares[layer] = NoiseScale.gradientSquare(meanSquare, norm * norm, workers);
        noiseTraces[layer] = NoiseScale.trace(meanSquare, norm * norm, workers, samples);
      }
    }
  }

  private RunSignals run(TrackedSignals tracked, Histograms histograms) {
    DepthProfile profile = depthProfile();
    return new RunSignals(
        tracked.cosineSince(),
        tracked.cosine(),
        tracked.cosineError(),
        gradientSquare(),
        noiseTrace(),
        tracked.noiseScale(),
        headroom(),
        underflow(histograms),
        advisedLossScale(),
        tracked.clippedFraction(),
        tracked.clipCoefficient(),
        tracked.advisedClip(),
        tracked.autoClip(),
        tracked.zClip(),
        tracked.adaGcLayers(),
        tracked.adaGcNorm(),
        profile == null ? Double.NaN : profile.slope(),
        profile == null ? Double.NaN : profile.t(),
        profile == null ? Double.NaN : profile.drop());
  }

  /** The least of all layers of a known format; NaN if one of these is not whole: it may be out. */
  private double headroom() {
    double least = Double.POSITIVE_INFINITY;
    for (int layer = 0; layer < whole.length; layer++) {
      Dtype dtype = layout.dtype(layer);
      if (dtype != null && counts(layer)) {
        double headroom = LossScaling.headroom(dtype.word(), lossScale(), largest(layer));
        least = isZero(layer) ? least : Math.min(least, headroom);
      }
    }
    return Double.isInfinite(least) ? Double.NaN : least;
  }

  private double advisedLossScale() {
    double largest = 0;
    for (int layer = 0; layer < whole.length; layer++) {
      if (layout.dtype(layer) == Dtype.FLOAT16 && counts(layer)) {
        largest = Math.max(largest, largest(layer));
      }
    }
    return LossScaling.advisedScale(Dtype.FLOAT16.word(), largest);
  }

  private double largest(int layer) {
    return whole[layer] ? norms.linf()[layer] : Double.NaN;
  }

  private boolean isZero(int layer) {
    return whole[layer] && norms.linf()[layer] == 0;
  }

  private double lossScale() {
    Double scale = sums.scalars().lossScale();
    return scale == null ? 1 : scale;
  }

  /** By the trainer's own count where it sends one, else by the histograms. */
  private double underflow(Histograms histograms) {
    double small = 0;
    double all = 0;
    for (int layer = 0; layer < whole.length; layer++) {
      double subnormals = value(Statistic.SUBNORMALS, layer);
      boolean known = whole[layer] && norms.zeros() != null && norms.zeros()[layer] >= 0;
      if (!counts(layer)) {
        continue;
      }
      if (!known || Double.isNaN(subnormals)) {
        return underflowOf(histograms);
      }
      small += subnormals;
      all += layout.elements()[layer] - norms.zeros()[layer];
    }
    return all > 0 ? small / all : Double.NaN;
  }

  private double underflowOf(Histograms histograms) {
    double small = 0;
    double all = 0;
    for (int layer = 0; histograms != null && layer < whole.length; layer++) {
      Octaves row = histograms.layer(layer);
      Dtype dtype = layout.dtype(layer);
      if (counts(layer) && (row == null || dtype == null)) {
        return Double.NaN;
      }
      if (counts(layer) && row.total() > 0) {
        small += row.total() * LossScaling.underflow(dtype.word(), lossScale(), row);
        all += row.total();
      }
    }
    return all > 0 ? small / all : Double.NaN;
  }

  private DepthProfile depthProfile() {
    int[] depths = layout.depths();
    if (depths == null) {
      return null;
    }
    int[] byDepth =
        IntStream.range(0, depths.length)
            .filter(layer -> depths[layer] >= 0)
            .boxed()
            .sorted(Comparator.comparingInt(layer -> depths[layer]))
            .mapToInt(Integer::intValue)
            .toArray();
    return DepthProfile.of(
        Arrays.stream(byDepth).mapToDouble(this::log2Rms).toArray(),
        Arrays.stream(byDepth).map(layer -> depths[layer]).toArray());
  }

  private double log2Rms(int layer) {
    return whole[layer] && norms.rms()[layer] > 0 ? Octaves.log2(norms.rms()[layer]) : Double.NaN;
  }

  private Histograms histograms() {
    List<Octaves> rows = new ArrayList<>();
    boolean any = false;
    for (int layer = 0; layer < whole.length; layer++) {
      LayerSums best = whole[layer] ? best(layer) : null;
      Octaves row = best == null || best.signals() == null ? null : best.signals().octaves(layer);
      any |= row != null;
      rows.add(row);
    }
    return any ? Histograms.of(rows) : null;
  }

  private boolean isReceived(int layer) {
    LayerSums best = best(layer);
    return best != null && best.elements()[layer] >= layout.elements()[layer];
  }

  private LayerSums best(int layer) {
    return sums.reduced() == null ? null : sums.reduced().best(layer);
  }

  private double received(Statistic statistic, int layer) {
    return isReceived(layer) ? value(statistic, layer) : Double.NaN;
  }

  private double value(Statistic statistic, int layer) {
    LayerSums best = best(layer);
    return best == null || best.signals() == null
        ? Double.NaN
        : best.signals().value(statistic, layer);
  }

  private double sumOfCounting(IntToDoubleFunction value) {
    double sum = 0;
    for (int layer = 0; layer < whole.length; layer++) {
      sum += counts(layer) ? value.applyAsDouble(layer) : 0;
    }
    return sum;
  }

  /** Null of a column that says nothing. */
  private double[] column(IntToDoubleFunction value) {
    double[] column = new double[whole.length];
    boolean any = false;
    for (int layer = 0; layer < column.length; layer++) {
      column[layer] = value.applyAsDouble(layer);
      any |= !Double.isNaN(column[layer]);
    }
    return any ? column : null;
  }

  private long[] counts(Statistic statistic, boolean ofWhole) {
    long[] column = new long[whole.length];
    boolean any = false;
    for (int layer = 0; layer < column.length; layer++) {
      double value = ofWhole && !whole[layer] ? Double.NaN : received(statistic, layer);
      column[layer] = Double.isNaN(value) ? -1 : (long) value;
      any |= column[layer] >= 0;
    }
    return any ? column : null;
  }
}
