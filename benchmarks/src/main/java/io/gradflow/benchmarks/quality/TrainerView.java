package io.gradflow.benchmarks.quality;

import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import java.util.List;

/**
 * What a rule within a trainer sees of a step: the reduced gradient, unscaled and not yet clipped,
 * and the loss; nothing of single ranks, and nothing of what gets lost on the way to a monitor.
 * Columns are by layer, NaN where unknown.
 */
final class TrainerView {
  private final Manifest manifest;
  private final Step step;
  private final double globalNorm;

  private TrainerView(Manifest manifest, Step step) {
    this.manifest = manifest;
    this.step = step;
    globalNorm = globalNorm(step);
  }

  /**
   * The view of a step; null of what a rule in a trainer is not shown: steps that the optimiser
   * skips, and steps, or revisions of steps, that came too late to be any but a monitor's matter.
   */
  static TrainerView of(Manifest manifest, Step step) {
    return step.scalars().stepSkipped() || step.late() ? null : new TrainerView(manifest, step);
  }

  private static double globalNorm(Step step) {
    NormColumns norms = step.norms();
    if (norms.nonFinite() != null) {
      long nans = 0;
      for (long count : norms.nonFinite().nans()) {
        nans += count;
      }
      return nans > 0 ? Double.NaN : Double.POSITIVE_INFINITY;
    }
    if (step.incompleteLayers() != null || Double.isNaN(step.globalNorm())) {
      Double reported = step.scalars().reportedGlobalNorm();
      return reported == null ? Double.NaN : reported;
    }
    return step.globalNorm();
  }

  /** L2 norm of the gradient; NaN if any element is, or if it is unknown; Inf likewise. */
  double globalNorm() {
    return globalNorm;
  }

  /** Whether the step's gradient is known. */
  boolean isKnown() {
    return step.incompleteLayers() == null;
  }

  /** Whether any element of the gradient is NaN or Inf. */
  boolean isNonFinite() {
    return step.norms().nonFinite() != null;
  }

  /** Mean loss over the ranks; NaN if it is unknown as well. */
  double loss() {
    Double loss = step.scalars().loss();
    return loss == null ? Double.NaN : loss;
  }

  int layers() {
    return step.norms().size();
  }

  List<Layer> declared() {
    return manifest.layers();
  }

  boolean isWeight(int layer) {
    return declared().get(layer).kind() == LayerKind.WEIGHT;
  }

  String name(int layer) {
    return declared().get(layer).name();
  }

  /** L2 norm of the layer's gradient; NaN if not finite. */
  double norm(int layer) {
    return step.norms().l2()[layer];
  }

  /** Mean magnitude of the layer's gradient. */
  double meanAbs(int layer) {
    double[] l1 = step.norms().l1();
    return l1 == null ? Double.NaN : l1[layer] / declared().get(layer).elements();
  }

  /** Share of zeros in the layer's gradient. */
  double zeros(int layer) {
    long[] zeros = step.norms().zeros();
    return zeros == null || zeros[layer] < 0 || Double.isNaN(norm(layer))
        ? Double.NaN
        : (double) zeros[layer] / declared().get(layer).elements();
  }

  double weightNorm(int layer) {
    StepSignals signals = step.signals();
    return signals == null || signals.weightNorm() == null
        ? Double.NaN
        : signals.weightNorm()[layer];
  }

  double updateNorm(int layer) {
    StepSignals signals = step.signals();
    return signals == null || signals.updateNorm() == null
        ? Double.NaN
        : signals.updateNorm()[layer];
  }

  /** Root of the mean square of the layer's weights. */
  double weightSpread(int layer) {
    return weightNorm(layer) / Math.sqrt((double) declared().get(layer).elements());
  }
}
