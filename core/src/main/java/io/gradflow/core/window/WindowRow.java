package io.gradflow.core.window;

import io.gradflow.core.norm.Step;

/**
 * What a window keeps of one step; columns as in {@link Step}.
 *
 * @param nonFiniteLayers ascending; null if none
 */
public record WindowRow(
    long revision,
    double[] l2,
    double[] rms,
    long[] zeros,
    int[] nonFiniteLayers,
    int[] incompleteLayers,
    double[] incompleteCompleteness) {

  static WindowRow of(Step step) {
    return new WindowRow(
        step.revision(),
        step.norms().l2(),
        step.norms().rms(),
        step.norms().zeros(),
        step.norms().nonFinite() == null ? null : step.norms().nonFinite().layers(),
        step.incompleteLayers(),
        step.incompleteCompleteness());
  }
}
