package io.gradflow.core.compare;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import java.util.function.ToDoubleFunction;

/** What of a run as a whole is compared; a further one is a further constant here. */
public enum RunMeasure {
  /** Mean over ranks. */
  LOSS("loss", Scale.PLAIN, step -> known(step.scalars().loss())),

  /** Mean over ranks. */
  VALIDATION_LOSS("validation loss", Scale.PLAIN, step -> known(step.scalars().validationLoss())),

  /** Of the first parameter group. */
  LEARNING_RATE("learning rate", Scale.OCTAVES, RunMeasure::learningRate),

  /** Tokens or samples of a step. */
  BATCH("batch", Scale.OCTAVES, step -> step.scalars().weight()),

  /** L2 norm over all layers. */
  GLOBAL_NORM("global norm", Scale.OCTAVES, Step::globalNorm),

  /**
   * Slope of log2 RMS over depth, weight layers only, in octaves per layer: positive where the
   * gradient shrinks on its way from the loss to the input.
   */
  DEPTH_SLOPE("depth slope, octaves", Scale.PLAIN, signal(RunSignals::depthSlope)),

  /** Of the whole gradient with the one before. */
  COSINE("cosine to last step", Scale.PLAIN, signal(RunSignals::cosine)),

  /** Batch size up to which a larger one pays off. */
  NOISE_SCALE("noise scale", Scale.OCTAVES, signal(RunSignals::noiseScale)),

  /** How often the trainer clips. */
  CLIPPED_FRACTION("clipped fraction", Scale.PLAIN, signal(RunSignals::clippedFraction)),

  /** Octaves between the largest magnitude and the end of its dtype. */
  HEADROOM("headroom, octaves", Scale.PLAIN, signal(RunSignals::headroom)),

  /** Share of subnormals among the elements that are not zero. */
  UNDERFLOW("underflow", Scale.PLAIN, signal(RunSignals::underflow));

  private final String label;
  private final Scale scale;

  @SuppressWarnings("ImmutableEnumChecker") // functions without state
  private final ToDoubleFunction<Step> reader;

  RunMeasure(String label, Scale scale, ToDoubleFunction<Step> reader) {
    this.label = label;
    this.scale = scale;
    this.reader = reader;
  }

  /** Its name for people. */
  public String label() {
    return label;
  }

  /** How its values are averaged and compared. */
  public Scale scale() {
    return scale;
  }

  /** The measure on its scale; NaN where the step does not have it. */
  double of(Step step) {
    return scale.of(reader.applyAsDouble(step));
  }

  private static ToDoubleFunction<Step> signal(ToDoubleFunction<RunSignals> signal) {
    return step ->
        step.signals() == null || step.signals().run() == null
            ? Double.NaN
            : signal.applyAsDouble(step.signals().run());
  }

  private static double learningRate(Step step) {
    double[] rates = step.scalars().learningRates();
    return rates == null || rates.length == 0 ? Double.NaN : rates[0];
  }

  private static double known(Double value) {
    return value == null ? Double.NaN : value;
  }
}
