package io.gradflow.core.compare;

import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Layer;
import java.util.function.Function;

/**
 * One layer in one step, as measures read it; what is unknown is NaN.
 *
 * @param i its position in the step's columns
 * @param received share of its elements that are in the step, above 0
 */
record LayerReading(Step step, int i, Layer layer, double received) {

  double rms() {
    return step.norms().rms()[i];
  }

  double l2() {
    return step.norms().l2()[i];
  }

  double linf() {
    return step.norms().linf()[i];
  }

  /** Exact zeros over elements received. */
  double zeroFraction() {
    long[] zeros = step.norms().zeros();
    return zeros == null || zeros[i] < 0
        ? Double.NaN
        : Math.min(1, zeros[i] / (received * layer.elements()));
  }

  /** Magnitude of the elements' mean over their standard deviation. */
  double snr() {
    double mean = signal(StepSignals::mean);
    return Math.abs(mean) / Math.sqrt(rms() * rms() - mean * mean);
  }

  double weightNorm() {
    return signal(StepSignals::weightNorm);
  }

  double updateNorm() {
    return signal(StepSignals::updateNorm);
  }

  double cosine() {
    float[] cosines = step.signals() == null ? null : step.signals().cosine();
    return cosines == null ? Double.NaN : cosines[i];
  }

  double saturation() {
    float[] saturation = step.signals() == null ? null : step.signals().saturation();
    return saturation == null ? Double.NaN : saturation[i];
  }

  private double signal(Function<StepSignals, double[]> column) {
    double[] values = step.signals() == null ? null : column.apply(step.signals());
    return values == null ? Double.NaN : values[i];
  }
}
