package io.gradflow.trainer;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.Stage;
import java.util.EnumMap;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What a rank says of one step. Filled by the training thread, published once, not to be used
 * afterwards. Nothing here throws: gradients that cannot be used are counted as dropped.
 *
 * <p>Gradients are measured before {@link #local} and {@link #reduced} return, and copied before
 * {@link #rawLocal} and {@link #rawReduced} do, so that the trainer may overwrite them at once. Raw
 * gradients are measured downstream, in double. Publishing them takes memory and network in
 * proportion to the model: as many bytes as they have, in records of 768 KiB at most.
 */
public final class StepReport {
  private final GradientPublisher publisher;
  private final Map<Stage, Gradient> stages = new EnumMap<>(Stage.class);
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

  /** What is published of a stage: statistics, or values. The other is null. */
  record Gradient(LayerColumns columns, RawValues raw) {
    /** How much of the queue it takes: statistics take 1. */
    int room() {
      return raw == null ? 1 : raw.room();
    }
  }

  StepReport(GradientPublisher publisher, long step) {
    this.publisher = publisher;
    this.step = step;
  }

  /** The gradient before the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport local(float[][] gradients) {
    return taken(Stage.LOCAL, () -> new Gradient(Measurement.of(gradients), null));
  }

  /** The same, measured by the trainer; the arrays are the publisher's from now on. */
  public StepReport local(LayerColumns columns) {
    stages.put(Stage.LOCAL, new Gradient(columns, null));
    return this;
  }

  /** The gradient after the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport reduced(float[][] gradients) {
    return taken(Stage.REDUCED, () -> new Gradient(Measurement.of(gradients), null));
  }

  /** The same, measured by the trainer; the arrays are the publisher's from now on. */
  public StepReport reduced(LayerColumns columns) {
    stages.put(Stage.REDUCED, new Gradient(columns, null));
    return this;
  }

  /** The values before the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport rawLocal(float[][] gradients) {
    return taken(Stage.LOCAL, () -> new Gradient(null, RawValues.copyOf(gradients)));
  }

  /** The same as little-endian bytes; the arrays are the publisher's from now on. */
  public StepReport rawLocal(Dtype dtype, byte[][] values) {
    return taken(Stage.LOCAL, () -> new Gradient(null, new RawValues(dtype, values)));
  }

  /** The values after the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport rawReduced(float[][] gradients) {
    return taken(Stage.REDUCED, () -> new Gradient(null, RawValues.copyOf(gradients)));
  }

  /** The same as little-endian bytes; the arrays are the publisher's from now on. */
  public StepReport rawReduced(Dtype dtype, byte[][] values) {
    return taken(Stage.REDUCED, () -> new Gradient(null, new RawValues(dtype, values)));
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
   * record for each stage that was given; of raw values at least one for each layer.
   */
  public void publish() {
    publisher.publish(this, stages);
  }

  private StepReport taken(Stage stage, Supplier<Gradient> gradient) {
    try {
      stages.put(stage, gradient.get());
    } catch (RuntimeException e) {
      publisher.unusable(step, stage, e);
    }
    return this;
  }
}
