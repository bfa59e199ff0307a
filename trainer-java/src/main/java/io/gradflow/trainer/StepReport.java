package io.gradflow.trainer;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;

/**
 * What a rank reports of one step. Gradients are measured, in one pass, in the call that hands them
 * over, so that the trainer may overwrite them afterwards. Not safe for use by several threads; not
 * to be changed once published.
 */
public final class StepReport {
  final long step;
  LayerColumns local;
  LayerColumns reduced;
  double samples = 1;
  Double loss;
  Double validationLoss;
  double[] learningRates;
  Double lossScale;
  boolean skipped;
  Clip clip;
  Double globalNorm;
  int accumIndex;
  int accumSteps = 1;

  private StepReport(long step) {
    this.step = step;
  }

  /**
   * A report of a step without anything.
   *
   * @param step number of the optimiser step, from 0, skipped ones counted
   */
  public static StepReport of(long step) {
    return new StepReport(step);
  }

  /** Gradients before the data-parallel reduction: one array per layer, in the manifest's order. */
  public StepReport local(float[][] gradients) {
    return local(Measurement.of(gradients));
  }

  /** Statistics of the gradients before the data-parallel reduction. */
  public StepReport local(LayerColumns columns) {
    this.local = columns;
    return this;
  }

  /**
   * Gradients after the reduction and before clipping: one array per layer, in the manifest's
   * order.
   */
  public StepReport reduced(float[][] gradients) {
    return reduced(Measurement.of(gradients));
  }

  /** Statistics of the gradients after the reduction and before clipping. */
  public StepReport reduced(LayerColumns columns) {
    this.reduced = columns;
    return this;
  }

  /** Samples or tokens this rank contributed. */
  public StepReport samples(double count) {
    this.samples = count;
    return this;
  }

  /** Loss of this rank's batch. */
  public StepReport loss(double value) {
    this.loss = value;
    return this;
  }

  /** Validation loss, where one was computed at this step. */
  public StepReport validationLoss(double value) {
    this.validationLoss = value;
    return this;
  }

  /** Learning rates, one per parameter group. */
  public StepReport learningRates(double... values) {
    this.learningRates = values.clone();
    return this;
  }

  /** What the gradients are still multiplied by. */
  public StepReport lossScale(double value) {
    this.lossScale = value;
    return this;
  }

  /** The optimiser skips this step, as a loss scaler does on overflow. */
  public StepReport skipped() {
    this.skipped = true;
    return this;
  }

  /** How the trainer clips. */
  public StepReport clip(Clip value) {
    this.clip = value;
    return this;
  }

  /** The trainer's own global gradient norm. */
  public StepReport globalNorm(double value) {
    this.globalNorm = value;
    return this;
  }

  /** This is micro-batch {@code index} of {@code count}; the last holds the step's gradient. */
  public StepReport accumulation(int index, int count) {
    this.accumIndex = index;
    this.accumSteps = count;
    return this;
  }
}
