package io.gradflow.trainer;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.shard.Stage;
import io.gradflow.trainer.PreviousGradient.Dots;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;

/**
 * What a rank says of one step. Filled by the training thread, published once, not to be used
 * afterwards. Nothing here throws: gradients that cannot be used are counted as dropped.
 *
 * <p>Gradients, weights and updates are measured before the call that hands them over returns, and
 * raw gradients are copied, so that the trainer may overwrite them at once. Raw gradients are
 * measured downstream, in double. Publishing them takes memory and network in proportion to the
 * model: as many bytes as they have, in records of 768 KiB at most.
 *
 * <p>Which signals are measured beside norms, and in which steps, the publisher's {@link
 * SignalPolicy} says. With {@link SignalGroup#DOTS} the publisher keeps a copy of the REDUCED
 * gradient from step to step.
 */
public final class StepReport {
  private final GradientPublisher publisher;
  private final boolean isDue;
  private final Map<Stage, Gradient> stages;
  private final Set<SignalGroup> due;
  final long step;
  int accumIndex;
  int accumSteps = 1;
  double weight = 1;
  Double lossScale;
  boolean stepSkipped;
  Double reportedGlobalNorm;
  Double loss;
  Double validationLoss;
  double[] learningRates;
  private Clip clip;
  private long[] slicesAt;
  private final ReportedSignals reported = new ReportedSignals();
  private double[] reducedDots;
  private Dots previousDots;
  private boolean held;

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
    this.isDue = publisher.isDue(step);
    this.stages = isDue ? new EnumMap<>(Stage.class) : Map.of();
    this.due = isDue ? publisher.signals().due(step) : Set.of();
  }

  /**
   * Whether this step is measured and published: the publisher is on, and the step is one of those
   * that its options sample. Everything said of another is passed over at no cost, so that only a
   * trainer that has to copy its gradients first need ask.
   */
  public boolean isDue() {
    return isDue;
  }

  /** Which step this is of. */
  public long step() {
    return step;
  }

  /** Whether this group of signals is measured in this step. */
  public boolean wants(SignalGroup group) {
    return due.contains(group);
  }

  /**
   * Says where the slices handed over after this begin in their layers, flattened: position i is
   * the manifest's layer i, {@link Slicing#UNKNOWN} of one that is not consecutive. Only sketches
   * need it, and not of slices that are whole layers of the manifest announced or referred to.
   */
  public StepReport slicesAt(long... firstElements) {
    this.slicesAt = firstElements == null ? null : firstElements.clone();
    return this;
  }

  /** The gradient before the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport local(float[][] gradients) {
    return taken(Stage.LOCAL, () -> measured(Stage.LOCAL, gradients));
  }

  /** The same, measured by the trainer; the arrays are the publisher's from now on. */
  public StepReport local(LayerColumns columns) {
    return taken(Stage.LOCAL, () -> new Gradient(columns, null));
  }

  /** The gradient after the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport reduced(float[][] gradients) {
    return taken(
        Stage.REDUCED,
        () -> {
          Gradient measured = measured(Stage.REDUCED, gradients);
          if (publisher.signals().every().containsKey(SignalGroup.DOTS)) {
            previousDots =
                due.contains(SignalGroup.DOTS) ? publisher.previous().dots(gradients) : null;
            publisher.previous().hold(gradients);
            held = true;
          }
          return measured;
        });
  }

  /**
   * {@link #local} and {@link #reduced} of a trainer that has both at once. Only so can their dot
   * product be measured, which says how much the rank agrees with the others.
   */
  public StepReport gradients(float[][] local, float[][] reduced) {
    local(local).reduced(reduced);
    if (due.contains(SignalGroup.DOTS)) {
      measured(
          "the dot product of both gradients",
          () -> {
            double[] dots = new double[local.length];
            Arrays.setAll(dots, layer -> Measurement.dot(local[layer], reduced[layer]));
            reducedDots = dots;
          });
    }
    return this;
  }

  /** The same, measured by the trainer; the arrays are the publisher's from now on. */
  public StepReport reduced(LayerColumns columns) {
    return taken(Stage.REDUCED, () -> new Gradient(columns, null));
  }

  /** The values before the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport rawLocal(float[][] gradients) {
    return taken(Stage.LOCAL, () -> raw(gradients));
  }

  /** The same as little-endian bytes; the arrays are the publisher's from now on. */
  public StepReport rawLocal(Dtype dtype, byte[][] values) {
    return taken(Stage.LOCAL, () -> raw(dtype, values));
  }

  /** The values after the data-parallel reduction: position i is the manifest's layer i. */
  public StepReport rawReduced(float[][] gradients) {
    return taken(Stage.REDUCED, () -> raw(gradients));
  }

  /** The same as little-endian bytes; the arrays are the publisher's from now on. */
  public StepReport rawReduced(Dtype dtype, byte[][] values) {
    return taken(Stage.REDUCED, () -> raw(dtype, values));
  }

  /**
   * The weights the gradient was computed with: position i is the manifest's layer i. Their norms
   * are published beside statistics, not beside raw values; nothing is kept.
   */
  public StepReport weights(float[][] weights) {
    return due.contains(SignalGroup.WEIGHTS)
        ? measured("the weights", () -> reported.weightNorms = Measurement.norms(weights))
        : this;
  }

  /** The same, measured by the trainer: L2 norms, NaN where unknown. */
  public StepReport weightNorms(float[] norms) {
    return measured(
        "the weights", () -> reported.weightNorms = norms == null ? null : norms.clone());
  }

  /**
   * What was last added to the weights: by the step before, if this is said before the optimiser's
   * step. Position i is the manifest's layer i. Their norms are published like those of weights.
   */
  public StepReport updates(float[][] updates) {
    return due.contains(SignalGroup.WEIGHTS)
        ? measured("the updates", () -> reported.updateNorms = Measurement.norms(updates))
        : this;
  }

  /** The same, measured by the trainer: L2 norms, NaN where unknown. */
  public StepReport updateNorms(float[] norms) {
    return measured(
        "the updates", () -> reported.updateNorms = norms == null ? null : norms.clone());
  }

  /**
   * How many activations each layer had in this step's batch, and how many of them were saturated:
   * zero after a ReLU, near the limits of a sigmoid. Position i is the manifest's layer i; 0 and 0
   * of a layer that has none.
   */
  public StepReport activations(long[] counts, long[] saturatedOfThem) {
    return measured(
        "the activations",
        () -> {
          reported.activations = counts == null ? null : counts.clone();
          reported.saturated = saturatedOfThem == null ? null : saturatedOfThem.clone();
        });
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

  /**
   * How the trainer clips: after what is published here, or, with {@code applied}, before, so that
   * the REDUCED gradient published is the clipped one. Clipping by the global norm, its coefficient
   * given, is then divided out; a gradient clipped otherwise cannot be seen to explode.
   */
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
    publisher.publish(this);
    if (held && accumIndex == accumSteps - 1) {
      publisher.previous().published(step, scale(Stage.REDUCED));
    }
  }

  /** What there is to publish, complete. */
  Map<Stage, Gradient> finished(long previousStep) {
    stages.replaceAll(
        (stage, gradient) ->
            gradient.columns() == null
                ? gradient
                : new Gradient(complete(stage, gradient.columns(), previousStep), null));
    return stages;
  }

  /** Clipping, as it concerns a stage: it comes after the reduction. */
  Clip clip(Stage stage) {
    return clip != null && clip.applied() && stage == Stage.LOCAL
        ? new Clip(clip.mode(), clip.norm(), clip.coef())
        : clip;
  }

  /** What the published gradient of a stage has been multiplied by, as readers undo it. */
  private double scale(Stage stage) {
    Clip concerning = clip(stage);
    double coef =
        concerning != null && concerning.applied() && concerning.isInvertible()
            ? concerning.coef()
            : 1;
    return (lossScale == null ? 1 : lossScale) * coef;
  }

  private LayerColumns complete(Stage stage, LayerColumns columns, long previousStep) {
    try {
      return stage == Stage.REDUCED
          ? reported.beside(columns, dotsWithPrevious(columns, previousStep), null)
          : (stages.containsKey(Stage.REDUCED) ? new ReportedSignals() : reported)
              .beside(columns, null, dotsWithReduced(columns));
    } catch (RuntimeException e) {
      publisher.without("weights, updates or activations", step, e);
      return columns;
    }
  }

  /** As if the previous gradient had been multiplied by what this one has. */
  private float[] dotsWithPrevious(LayerColumns columns, long previousStep) {
    return previousDots == null || previousDots.step() != previousStep
        ? null
        : ReportedSignals.dots(
            columns, previousDots.products(), scale(Stage.REDUCED) / previousDots.scale());
  }

  /** As if the reduced gradient had been multiplied by what the local one has. */
  private float[] dotsWithReduced(LayerColumns columns) {
    return reducedDots == null || (clip != null && clip.hides())
        ? null
        : ReportedSignals.dots(columns, reducedDots, scale(Stage.LOCAL) / scale(Stage.REDUCED));
  }

  private Gradient measured(Stage stage, float[][] gradients) {
    Set<SignalGroup> groups = EnumSet.copyOf(SignalGroup.of(stage));
    groups.retainAll(due);
    Slicing slicing =
        publisher.slicing(gradients.length, layer -> gradients[layer].length, slicesAt);
    return new Gradient(Measurement.of(groups, slicing, gradients), null);
  }

  private Gradient raw(float[][] gradients) {
    Slicing slicing =
        publisher.slicing(gradients.length, layer -> gradients[layer].length, slicesAt);
    return new Gradient(null, RawValues.copyOf(gradients, slicing));
  }

  private Gradient raw(Dtype dtype, byte[][] values) {
    Slicing slicing =
        publisher.slicing(values.length, layer -> values[layer].length / dtype.width(), slicesAt);
    return new Gradient(null, new RawValues(dtype, values, slicing));
  }

  private StepReport measured(String what, Runnable measurement) {
    if (!isDue) {
      return this;
    }
    try {
      measurement.run();
    } catch (RuntimeException e) {
      publisher.without(what, step, e);
    }
    return this;
  }

  private StepReport taken(Stage stage, Supplier<Gradient> gradient) {
    if (!isDue) {
      return this;
    }
    try {
      stages.put(stage, gradient.get());
    } catch (RuntimeException e) {
      publisher.unusable(step, stage, e);
    }
    return this;
  }
}
