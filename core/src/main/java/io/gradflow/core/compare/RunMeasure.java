package io.gradflow.core.compare;

import io.gradflow.core.norm.Step;
import java.util.function.ToDoubleFunction;

/**
 * What of a run as a whole is compared; a further one is a further constant here. The slope over
 * depth is of all parts of a step together and therefore read by {@link SpanStatistics}.
 */
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
  DEPTH_SLOPE("octaves per layer of depth", Scale.PLAIN, step -> Double.NaN);

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

  private static double learningRate(Step step) {
    double[] rates = step.scalars().learningRates();
    return rates == null || rates.length == 0 ? Double.NaN : rates[0];
  }

  private static double known(Double value) {
    return value == null ? Double.NaN : value;
  }
}
