package io.gradflow.core.compare;

import io.gradflow.core.norm.LayerSignal;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;

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

  /** Exact zeros over elements received. */
  double zeroFraction() {
    long[] zeros = step.norms().zeros();
    return zeros == null || zeros[i] < 0
        ? Double.NaN
        : Math.min(1, zeros[i] / (received * layer.elements()));
  }

  double signal(LayerSignal signal) {
    return signal.of(step, i);
  }
}
