package io.gradflow.core.signal;

import java.util.Arrays;

/**
 * What AdaGC would clip: each tensor to 1.05 times the exponential mean of its own clipped norms.
 * Wang, Li, Chen et al. (2025), "AdaGC: improving training stability for large language model
 * pretraining".
 *
 * <pre>
 * warm-up: h = min(1, 1 / global norm),               gamma = min(gamma, h norm)
 * after:   h = min(1, 1.05 gamma / norm) per tensor,  gamma = 0.98 gamma + 0.02 h norm
 * </pre>
 *
 * The warm-up of {@value #WARM_UP} steps clips the global norm to 1. A tensor without a finite norm
 * is passed over; so is one whose gradient is exactly 0 in the warm-up, whose gamma would be 0 for
 * ever and would clip all that follows to nothing.
 *
 * <p>{@code gamma} is changed in place.
 *
 * @param seen steps learnt from
 * @param gamma per tensor, NaN before its first norm
 */
public record AdaGc(long seen, double[] gamma) {
  private static final int WARM_UP = 100;
  private static final double RELATIVE = 1.05;
  private static final double ABSOLUTE = 1;
  private static final double BETA = 0.98;

  /**
   * What AdaGC does to one step.
   *
   * @param layers clipped ones
   * @param coefficient norm of the whole gradient after clipping, by that before; NaN if nothing is
   *     known
   */
  public record Outcome(int layers, double coefficient) {
    static final Outcome UNKNOWN = new Outcome(0, Double.NaN);
  }

  /** A clipper that has seen no norm. */
  static AdaGc of(int layers) {
    double[] gamma = new double[layers];
    Arrays.fill(gamma, Double.NaN);
    return new AdaGc(0, gamma);
  }

  /** What would happen to a step. */
  Outcome outcome(double globalNorm, double[] norms) {
    int clipped = 0;
    double before = 0;
    double after = 0;
    for (int i = 0; i < norms.length; i++) {
      if (isUsable(norms[i])) {
        double h = coefficient(i, globalNorm, norms[i]);
        clipped += h < 1 ? 1 : 0;
        before += norms[i] * norms[i];
        after += h * norms[i] * h * norms[i];
      }
    }
    return before > 0 ? new Outcome(clipped, Math.sqrt(after / before)) : Outcome.UNKNOWN;
  }

  /** Learns a step. */
  AdaGc observe(double globalNorm, double[] norms) {
    for (int i = 0; i < norms.length; i++) {
      if (isUsable(norms[i])) {
        double norm = coefficient(i, globalNorm, norms[i]) * norms[i];
        if (Double.isNaN(gamma[i])) {
          gamma[i] = norm;
        } else if (seen < WARM_UP) {
          gamma[i] = Math.min(gamma[i], norm);
        } else {
          gamma[i] = BETA * gamma[i] + (1 - BETA) * norm;
        }
      }
    }
    return new AdaGc(seen + 1, gamma);
  }

  private double coefficient(int i, double globalNorm, double norm) {
    if (seen < WARM_UP) {
      return Math.min(1, ABSOLUTE / globalNorm);
    }
    return Double.isNaN(gamma[i]) ? 1 : Math.min(1, RELATIVE * gamma[i] / norm);
  }

  private boolean isUsable(double norm) {
    return Double.isFinite(norm) && (norm > 0 || seen >= WARM_UP);
  }
}
