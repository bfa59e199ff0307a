package io.gradflow.core.detect;

import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.signal.DepthProfile;
import java.util.Arrays;

/**
 * One step as detectors see it: per layer the working scale x = log2 RMS and the zero fraction,
 * each with missing slices at their last whole value, so that a missing rank never looks like a
 * vanishing gradient.
 *
 * <p>x is quantised to 1e-6 octave: sums differ in their last bits with the order of arrival, and a
 * replay must reach the same verdicts. It is NaN where a trend has nothing to go on: a layer that
 * is non-finite, zero, without a norm, or less complete than the policy asks.
 */
final class Reading {
  private static final double QUANTUM = 1e-6;
  private static final double LN2 = StrictMath.log(2);

  private final LayerTable table;
  private final Step step;
  private final LayerSeries series;
  private final long ordinal;
  private final double deltaSteps;
  private final double[] x;
  private final double[] zeroFraction;

  private Reading(
      LayerTable table,
      Step step,
      LayerSeries series,
      long ordinal,
      double deltaSteps,
      double[] x) {
    this.table = table;
    this.step = step;
    this.series = series;
    this.ordinal = ordinal;
    this.deltaSteps = deltaSteps;
    this.x = x;
    this.zeroFraction = new double[x.length];
  }

  /**
   * Reads a step and remembers its values in the series.
   *
   * @param ordinal how many steps of the lane were read before
   * @param deltaSteps distance from the one before: more than 1 when publishing is sampled
   */
  static Reading of(
      LayerTable table,
      Step step,
      LayerSeries series,
      long ordinal,
      double deltaSteps,
      double minCompleteness) {
    NormColumns norms = step.norms();
    var reading = new Reading(table, step, series, ordinal, deltaSteps, new double[table.size()]);
    double[] completeness = completeness(step, table.size());
    for (int i = 0; i < table.size(); i++) {
      double received = completeness == null ? 1 : completeness[i];
      reading.x[i] = reading.octaves(norms.rms()[i], received, i, minCompleteness);
      reading.zeroFraction[i] = reading.zeros(norms, received, i);
    }
    series.remember(ordinal, step.id().step(), reading.x);
    return reading;
  }

  LayerTable table() {
    return table;
  }

  Step step() {
    return step;
  }

  long stepNumber() {
    return step.id().step();
  }

  /** The step's signals that belong to no layer; null if it has none. */
  RunSignals runSignals() {
    return step.signals() == null ? null : step.signals().run();
  }

  /** How many steps of the lane were read before this one. */
  long ordinal() {
    return ordinal;
  }

  /** Steps since the one read before. */
  double deltaSteps() {
    return deltaSteps;
  }

  /** By layer: log2 RMS in octaves, or NaN. */
  double[] x() {
    return x;
  }

  /** Of the weight layers' x; null where too few are known. */
  DepthProfile depthProfile() {
    return table.depthProfile(
        Arrays.stream(table.weightsByDepth()).mapToDouble(i -> x[i]).toArray());
  }

  /** By layer: share of exact zeros, or NaN if unknown. */
  double[] zeroFraction() {
    return zeroFraction;
  }

  /** The steps of a layer's tail, oldest first, this one last. */
  long[] tailSteps(int layer) {
    long[] steps = new long[LayerSeries.TAIL];
    int size = 0;
    for (long o = Math.max(0, ordinal - LayerSeries.TAIL + 1); o <= ordinal; o++) {
      if (!Double.isNaN(tailAt(o, layer))) {
        steps[size++] = series.tailSteps()[(int) (o % LayerSeries.TAIL)];
      }
    }
    return Arrays.copyOf(steps, size);
  }

  /** The values of a layer's tail, aligned with {@link #tailSteps}. */
  double[] tail(int layer) {
    double[] values = new double[LayerSeries.TAIL];
    int size = 0;
    for (long o = Math.max(0, ordinal - LayerSeries.TAIL + 1); o <= ordinal; o++) {
      if (!Double.isNaN(tailAt(o, layer))) {
        values[size++] = tailAt(o, layer);
      }
    }
    return Arrays.copyOf(values, size);
  }

  private double tailAt(long o, int layer) {
    return series.tail()[(int) (o % LayerSeries.TAIL) * table.size() + layer];
  }

  private double octaves(double rms, double received, int layer, double minCompleteness) {
    if (!(rms > 0) || received < minCompleteness) {
      return Double.NaN;
    }
    double whole = rms;
    double last = series.wholeRms()[layer];
    if (received == 1) {
      series.wholeRms()[layer] = rms;
    } else if (!Double.isNaN(last)) {
      whole = Math.sqrt(received * rms * rms + (1 - received) * last * last);
    }
    return Math.rint(StrictMath.log(whole) / LN2 / QUANTUM) * QUANTUM;
  }

  private double zeros(NormColumns norms, double received, int layer) {
    double fraction;
    if (!(received > 0)) {
      return Double.NaN;
    } else if (norms.l2()[layer] == 0) {
      fraction = 1;
    } else if (norms.zeros() == null || norms.zeros()[layer] < 0) {
      return Double.NaN;
    } else {
      fraction = Math.min(1, norms.zeros()[layer] / (received * table.elements(layer)));
    }
    if (received == 1) {
      series.wholeZeros()[layer] = fraction;
      return fraction;
    }
    double last = series.wholeZeros()[layer];
    return received * fraction + (1 - received) * (Double.isNaN(last) ? 0 : last);
  }

  private static double[] completeness(Step step, int layers) {
    if (step.incompleteLayers() == null) {
      return null;
    }
    double[] completeness = new double[layers];
    Arrays.fill(completeness, 1);
    for (int k = 0; k < step.incompleteLayers().length; k++) {
      completeness[step.incompleteLayers()[k]] = step.incompleteCompleteness()[k];
    }
    return completeness;
  }
}
