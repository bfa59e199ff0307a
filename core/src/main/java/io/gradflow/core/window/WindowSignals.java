package io.gradflow.core.window;

import io.gradflow.core.norm.LayerSignal;

/**
 * What is known of one layer over one window beyond its norms. Means are over the steps that have
 * the signal, which {@link LayerSignal} defines; null where none has. Steps that the optimiser
 * skipped do not count.
 *
 * @param snr, crest, updateRatio, trustRatio means
 * @param cosine mean; of sketches only those worth telling count, which are far from 0
 * @param saturation, mostSaturation mean and maximum, percentage points
 * @param saturatedFraction saturated activations over all activations of the window
 * @param subnormalFraction subnormals over elements that are not zero, of the steps that tell both
 * @param gradientSquare, noiseTrace means over the steps that have both
 * @param noiseScale their ratio, samples or tokens; null while it is not resolved, the mean
 *     gradientSquare not being above 0
 * @param magnitudes of the elements
 * @param loss how the layer goes with the loss
 * @param learningRate how the layer goes with the first learning rate
 * @param partner name of the layer that it goes with most
 * @param partnerLink how; null without partner
 */
public record WindowSignals(
    Double snr,
    Double crest,
    Double updateRatio,
    Double trustRatio,
    Double cosine,
    Double saturation,
    Double mostSaturation,
    Double saturatedFraction,
    Double subnormalFraction,
    Double gradientSquare,
    Double noiseTrace,
    Double noiseScale,
    Magnitudes magnitudes,
    Link loss,
    Link learningRate,
    String partner,
    Link partnerLink) {

  /**
   * The magnitudes of all steps that have a histogram, together.
   *
   * @param steps how many these are
   * @param bins exponents {@code floor(log2 |g|)}, ascending
   * @param counts elements in that octave
   * @param zeros elements that are 0, in none of them; null: unknown
   * @param p01, p50, p99 quantiles of all elements, to within an octave, or of those that are not
   *     zero where {@code zeros} is null; null without any
   */
  public record Magnitudes(
      int steps, int[] bins, long[] counts, Long zeros, Double p01, Double p50, Double p99) {}

  /**
   * That the layer's log2 RMS changes from step to step as something else does, more than it would
   * by chance in 1 of 100 layers. There is none where it does not, with fewer than {@value
   * #MIN_PAIRS} pairs of changes, and in open windows.
   *
   * @param correlation of the ranks of the changes (Spearman's), -1 to 1
   * @param lag in steps; positive: the layer follows
   * @param pairs of changes it is computed from
   */
  public record Link(double correlation, int lag, int pairs) {
    /** A link of fewer is not told. */
    public static final int MIN_PAIRS = 30;
  }

  /** These signals, or null if nothing is known. */
  WindowSignals orNull() {
    return equals(NOTHING) ? null : this;
  }

  private static final WindowSignals NOTHING =
      new WindowSignals(
          null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
          null, null);
}
