package io.gradflow.core.compare;

import io.gradflow.core.norm.LayerSignal;
import java.util.function.ToDoubleFunction;

/** What of a layer is compared; a further one is a further constant here. */
public enum Measure {
  /** Root mean square of the gradient's elements. */
  RMS("gradient RMS", Scale.OCTAVES, LayerReading::rms),

  /** Share of exact zeros among the gradient's elements received. */
  ZERO_FRACTION("zero fraction", Scale.PLAIN, LayerReading::zeroFraction),

  /** Largest magnitude over RMS: how much of the gradient sits in few elements. */
  CREST("crest factor", Scale.OCTAVES, layer -> layer.signal(LayerSignal.CREST)),

  /** Magnitude of the elements' mean over their standard deviation. */
  SNR("element SNR", Scale.OCTAVES, layer -> layer.signal(LayerSignal.SNR)),

  /** Cosine with the gradient of the step before. */
  COSINE("cosine to the last step", Scale.PLAIN, layer -> layer.signal(LayerSignal.COSINE)),

  /** Norm of the last update over that of the weights. */
  UPDATE_RATIO("update ratio", Scale.OCTAVES, layer -> layer.signal(LayerSignal.UPDATE_RATIO)),

  /** Norm of the gradient over that of the weights. */
  TRUST_RATIO("trust ratio", Scale.OCTAVES, layer -> layer.signal(LayerSignal.TRUST_RATIO)),

  /**
   * Zeros, or saturated activations where these are sent, above the layer's own baseline, in
   * percentage points.
   */
  SATURATION("saturation, points", Scale.PLAIN, layer -> layer.signal(LayerSignal.SATURATION));

  private final String label;
  private final Scale scale;

  @SuppressWarnings("ImmutableEnumChecker") // functions without state
  private final ToDoubleFunction<LayerReading> reader;

  Measure(String label, Scale scale, ToDoubleFunction<LayerReading> reader) {
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
  double of(LayerReading layer) {
    return scale.of(reader.applyAsDouble(layer));
  }
}
