package io.gradflow.training.zoo;

/** Learning rate by step. The same step gives the same rate. */
@FunctionalInterface
public interface Schedule {

  /** The rate of a step, from 0. */
  double rate(long step);

  /** One rate for ever. */
  static Schedule constant(double rate) {
    return step -> rate;
  }

  /** Rises over {@code warmup} steps, then falls along half a cosine to a hundredth of the peak. */
  static Schedule cosine(double peak, int warmup, int steps) {
    return step -> {
      if (step < warmup) {
        return peak * (step + 1) / warmup;
      }
      double part = Math.min(1, (step - warmup) / (double) Math.max(1, steps - warmup));
      return peak * (.01 + .99 * .5 * (1 + Math.cos(Math.PI * part)));
    };
  }

  /**
   * Rises over {@code warmup} steps, stays, and falls in a straight line to a hundredth of the peak
   * from {@code decay} to {@code steps}.
   */
  static Schedule stable(double peak, int warmup, int decay, int steps) {
    return step -> {
      if (step < warmup) {
        return peak * (step + 1) / warmup;
      }
      double part = Math.max(0, Math.min(1, (step - decay) / (double) Math.max(1, steps - decay)));
      return peak * (1 - .99 * part);
    };
  }
}
