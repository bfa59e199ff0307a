package io.gradflow.core.norm;

import java.util.function.Function;

/** A signal of one layer in one step: what each is, wherever it is shown or averaged. */
public enum LayerSignal {
  /**
   * Magnitude of the elements' mean over their standard deviation. Unknown above 1,000: norms and
   * sums that ranks send as float32 do not tell such deviations from rounding.
   */
  SNR("1"),

  /** Largest magnitude over RMS, of the elements received; 1 if all are alike. */
  CREST("1"),

  /** L2 norm of the last update over that of the weights. */
  UPDATE_RATIO("1"),

  /** L2 norm of the gradient over that of the weights, as in LARS. */
  TRUST_RATIO("1"),

  /** With the gradient of the step before; see {@link StepSignals#cosine}. */
  COSINE("1"),

  /** Above the layer's own baseline; see {@link StepSignals#saturation}. */
  SATURATION("percentage points");

  /** Of the mean square: a smaller variance is rounding. */
  private static final double LEAST_VARIANCE = 1e-6;

  private final String unit;

  LayerSignal(String unit) {
    this.unit = unit;
  }

  /** What its values are measured in; 1 for a plain number. */
  public String unit() {
    return unit;
  }

  /**
   * The signal of a layer.
   *
   * @param i position in the step's columns
   * @return NaN if it is not known
   */
  public double of(Step step, int i) {
    NormColumns norms = step.norms();
    return switch (this) {
      case SNR -> snr(value(step, StepSignals::mean, i), norms.rms()[i]);
      case CREST -> ratio(norms.linf()[i], norms.rms()[i]);
      case UPDATE_RATIO ->
          ratio(value(step, StepSignals::updateNorm, i), value(step, StepSignals::weightNorm, i));
      case TRUST_RATIO -> ratio(norms.l2()[i], value(step, StepSignals::weightNorm, i));
      case COSINE -> floatValue(step, StepSignals::cosine, i);
      case SATURATION -> floatValue(step, StepSignals::saturation, i);
    };
  }

  private static double snr(double mean, double rms) {
    double variance = rms * rms - mean * mean;
    return variance > LEAST_VARIANCE * rms * rms
        ? Math.abs(mean) / Math.sqrt(variance)
        : Double.NaN;
  }

  private static double ratio(double value, double to) {
    return to > 0 ? value / to : Double.NaN;
  }

  private static double value(Step step, Function<StepSignals, double[]> column, int i) {
    double[] values = step.signals() == null ? null : column.apply(step.signals());
    return values == null ? Double.NaN : values[i];
  }

  private static double floatValue(Step step, Function<StepSignals, float[]> column, int i) {
    float[] values = step.signals() == null ? null : column.apply(step.signals());
    return values == null ? Double.NaN : values[i];
  }
}
