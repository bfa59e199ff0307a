package io.gradflow.core.compare;

import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;

/** What of a layer is compared; a further one is a further constant here. */
public enum Measure {
  /** Root mean square of the gradient's elements. */
  RMS("gradient RMS", Scale.OCTAVES, (step, i, layer, received) -> step.norms().rms()[i]),

  /** Share of exact zeros among the gradient's elements received. */
  ZERO_FRACTION("zero fraction", Scale.PLAIN, Measure::zeroFraction),

  /** Largest magnitude over RMS: how much of the gradient sits in few elements. */
  CREST(
      "crest factor",
      Scale.OCTAVES,
      (step, i, layer, received) -> step.norms().linf()[i] / step.norms().rms()[i]);

  private final String label;
  private final Scale scale;

  @SuppressWarnings("ImmutableEnumChecker") // functions without state
  private final Reader reader;

  Measure(String label, Scale scale, Reader reader) {
    this.label = label;
    this.scale = scale;
    this.reader = reader;
  }

  /** Reads a measure from position {@code i} of a step's columns, NaN if unknown. */
  private interface Reader {
    double read(Step step, int i, Layer layer, double received);
  }

  /** Its name for people. */
  public String label() {
    return label;
  }

  /** How its values are averaged and compared. */
  public Scale scale() {
    return scale;
  }

  /**
   * The measure on its scale; NaN where the step does not have it.
   *
   * @param i position in the step's columns
   * @param received share of the layer's elements that are in the step, above 0
   */
  double of(Step step, int i, Layer layer, double received) {
    return scale.of(reader.read(step, i, layer, received));
  }

  private static double zeroFraction(Step step, int i, Layer layer, double received) {
    NormColumns norms = step.norms();
    return norms.zeros() == null || norms.zeros()[i] < 0
        ? Double.NaN
        : Math.min(1, norms.zeros()[i] / (received * layer.elements()));
  }
}
