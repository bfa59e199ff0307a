package io.gradflow.core.signal;

/**
 * What clipping of the global norm does to one step.
 *
 * @param threshold norms above it are clipped; NaN while there is none
 * @param coefficient what the gradient is multiplied by: 1 if it is not clipped
 */
public record Clipping(double threshold, double coefficient) {
  static final Clipping UNKNOWN = new Clipping(Double.NaN, Double.NaN);

  /** Clipping of norms above a threshold to the threshold itself. */
  static Clipping to(double threshold, double norm) {
    return new Clipping(threshold, norm > threshold ? threshold / norm : 1);
  }
}
