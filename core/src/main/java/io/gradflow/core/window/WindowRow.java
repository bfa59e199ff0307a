package io.gradflow.core.window;

import io.gradflow.core.norm.Step;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;

/**
 * What a window keeps of one step; columns as in {@link Step}: 24 bytes per layer and those of the
 * signals.
 *
 * @param nonFiniteLayers ascending; null if none
 * @param signals null where release 0.1 has written the row
 */
public record WindowRow(
    long revision,
    double[] l2,
    double[] rms,
    long[] zeros,
    int[] nonFiniteLayers,
    int[] incompleteLayers,
    double[] incompleteCompleteness,
    RowSignals signals) {

  static WindowRow of(Step step) {
    return new WindowRow(
        step.revision(),
        step.norms().l2(),
        step.norms().rms(),
        step.norms().zeros(),
        step.norms().nonFinite() == null ? null : step.norms().nonFinite().layers(),
        step.incompleteLayers(),
        step.incompleteCompleteness(),
        RowSignals.of(step));
  }

  /** Share of the layer's elements that were received. */
  double completeness(int layer) {
    int at = incompleteLayers == null ? -1 : Arrays.binarySearch(incompleteLayers, layer);
    return at < 0 ? 1 : incompleteCompleteness[at];
  }

  boolean isNonFinite(int layer) {
    return nonFiniteLayers != null && Arrays.binarySearch(nonFiniteLayers, layer) >= 0;
  }

  boolean isSkipped() {
    return signals != null && signals.skipped();
  }

  /** Exact zeros of the layer; -1: unknown. */
  long zeros(int layer) {
    return zeros == null ? -1 : zeros[layer];
  }

  /** NaN of a layer that has none, or only zeros. */
  double log2Rms(int layer) {
    return rms[layer] > 0 ? Octaves.log2(rms[layer]) : Double.NaN;
  }
}
