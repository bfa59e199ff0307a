package io.gradflow.core.signal;

/**
 * How far a layer's fraction of dead values exceeds the layer's own baseline: zeros, subnormals or
 * saturated activations, each with a state of its own.
 *
 * <p>The baseline is the mean of the first {@value #WARM_UP} fractions, then an exponential average
 * over {@value #MEMORY} that believes at most {@value #MOST_BELIEVED} of any surprise: however
 * saturated a layer is, its baseline rises by no more than 0.02 in 100 steps, so that an episode
 * does not become the norm while it lasts.
 *
 * <p>Changed in place.
 *
 * @param baseline fraction, 0 before the first
 * @param seen fractions learnt from
 */
public record Saturation(double[] baseline, int[] seen) {
  private static final int WARM_UP = 30;
  private static final int MEMORY = 100;
  private static final double MOST_BELIEVED = 0.02;

  /** A state that knows nothing. */
  public static Saturation of(int layers) {
    return new Saturation(new double[layers], new int[layers]);
  }

  /**
   * Compares a fraction with the layer's baseline, then lets the baseline learn from it.
   *
   * @param fraction in [0, 1]; NaN if it is not known, which changes nothing
   * @return percentage points above the baseline, negative below it; NaN in the warm-up and without
   *     a fraction
   */
  public double observe(int layer, double fraction) {
    if (Double.isNaN(fraction)) {
      return Double.NaN;
    }
    double surprise = fraction - baseline[layer];
    if (seen[layer] < WARM_UP) {
      baseline[layer] += surprise / ++seen[layer];
      return Double.NaN;
    }
    baseline[layer] += Math.max(-MOST_BELIEVED, Math.min(MOST_BELIEVED, surprise)) / MEMORY;
    return 100 * surprise;
  }
}
