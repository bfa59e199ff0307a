package io.gradflow.trainer;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.Stage;
import java.util.EnumMap;
import java.util.Map;

/**
 * What a rank says of one step. Filled by the training thread, published once, not to be used
 * afterwards. Nothing here throws: gradients that cannot be measured are counted as dropped.
 *
 * <p>Gradients are measured before {@link #local} and {@link #reduced} return, so that the trainer
 * may overwrite them at once.
 */
public final class StepReport {
  private final GradientPublisher publisher;
  private final Map<Stage, LayerColumns> stages = new EnumMap<>(Stage.class);
  final long step;
  int accumIndex;
  int accumSteps = 1;
  double weight = 1;
  Double lossScale;
  boolean stepSkipped;
  Clip clip;
  Double reportedGlobalNorm;
  Double loss;
  Double validationLoss;
  double[] learningRates;

  StepReport(GradientPublisher publisher, long step) {
    this.publisher = publisher;
    this.step = step;
  }

  /** The gradient before the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport local(float[][] gradients) {
    return measured(Stage.LOCAL, gradients);
  }

  /** The same, measured by the trainer; the arrays are the publisher's from now on. */
  public StepReport local(LayerColumns columns) {
    stages.put(Stage.LOCAL, columns);
    return this;
  }

  /** The gradient after the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport reduced(float[][] gradients) {
    return measured(Stage.REDUCED, gradients);
  }

  /** The same, measured by the trainer; the arrays are the publisher's from now on. */
  public StepReport reduced(LayerColumns columns) {
    stages.put(Stage.REDUCED, columns);
    return this;
  }

  /** Says that this is micro-batch {@code index}, from 0, of {@code of}. */
  public StepReport microBatch(int index, int of) {
    this.accumIndex = index;
    this.accumSteps = of;
    return this;
  }

  /** Tokens or samples this rank contributed; 1 unless said. */
  public StepReport weight(double tokensOrSamples) {
    this.weight = tokensOrSamples;
    return this;
  }

  /** What the given gradients are still multiplied by; 1 unless said. */
  public StepReport lossScale(double scale) {
    this.lossScale = scale;
    return this;
  }

  /** Says that the optimiser skips this step. */
  public StepReport skipped() {
    this.stepSkipped = true;
    return this;
  }

  /** What the trainer does to its gradient after this. */
  public StepReport clip(Clip done) {
    this.clip = done;
    return this;
  }

  /** The trainer's own global gradient norm, for the self-check. */
  public StepReport globalNorm(double norm) {
    this.reportedGlobalNorm = norm;
    return this;
  }

  /** Loss of this rank's batch; may be non-finite. */
  public StepReport loss(double value) {
    this.loss = value;
    return this;
  }

  /** Loss of the validation set; may be non-finite. */
  public StepReport validationLoss(double value) {
    this.validationLoss = value;
    return this;
  }

  /** One per parameter group. */
  public StepReport learningRates(double... rates) {
    this.learningRates = rates == null ? null : rates.clone();
    return this;
  }

  /**
   * Hands the step over and returns at once: takes a lock for a moment, never waits for Kafka. One
   * record for each stage that was given.
   */
  public void publish() {
    publisher.publish(this, stages);
  }

  private StepReport measured(Stage stage, float[][] gradients) {
    try {
      stages.put(stage, Measurement.of(gradients));
    } catch (RuntimeException e) {
      publisher.unmeasured(step, stage, e);
    }
    return this;
  }
}
