package io.gradflow.core.detect;

import java.util.Arrays;

/**
 * The baseline of each layer: damped-trend exponential smoothing of x = log2 RMS with bounded
 * influence, after Gelper, Fried and Croux (2010), "Robust forecasting with exponential and
 * Holt-Winters smoothing".
 *
 * <pre>
 * p = l + 0.98 b            what the step is expected to be
 * e = x - p                 by how much it is not
 * psi = clip(e, +-3 s)      what of it the baseline believes
 * l = p + 0.1 psi
 * b = 0.98 b + 0.005 psi
 * s^2 = 0.98 s^2 + 0.02 * 1.005 * min(e^2, 9 s^2),  s at least 0.1
 * </pre>
 *
 * <p>Over a gap of d steps (sampled publishing) the damping is summed, and the three gains become
 * {@code 1 - (1 - gain)^d}, the slope's divided by d. In the first steps gains are at least 1/n and
 * nothing is clipped: there is no scale yet to clip by.
 *
 * <p>Because of the clipping a spike of any size moves the baseline by no more than 0.3 s. Of a
 * layer without a value the baseline is what was expected. While levels may shift because of what
 * the run does ({@link Conditions}), up to 2 octaves are believed at once and the level's gain is
 * 0.3.
 */
final class LogHolt {
  private static final double DAMPING = 0.98;
  private static final double LEVEL_GAIN = 0.1;
  private static final double SLOPE_GAIN = 0.005;
  private static final double SCALE_GAIN = 0.02;
  private static final double SCALE_CORRECTION = 1.005;
  private static final double CLIP = 3;
  private static final double MIN_SCALE = 0.1;
  private static final double SETTLING_GAIN = 0.3;
  private static final double SETTLING_CLIP = 2;

  /** Values after which clipping begins: the scale is then worth something. */
  private static final int SETTLED = 10;

  private final Baselines state;
  private final double[] surprise;
  private final double[] scale;
  private final double[] believed;

  private LogHolt(Baselines state) {
    int layers = state.seen().length;
    this.state = state;
    this.surprise = filled(layers);
    this.scale = filled(layers);
    this.believed = filled(layers);
  }

  /** Compares a step with the baselines, then lets them learn from it. */
  static LogHolt observe(Reading reading, Conditions conditions, Baselines state) {
    var step = new LogHolt(state);
    double[] x = reading.x();
    double d = reading.deltaSteps();
    double damped = Math.pow(DAMPING, d);
    double damping = DAMPING * (1 - damped) / (1 - DAMPING);
    double levelGain = 1 - Math.pow(1 - (conditions.isSettling() ? SETTLING_GAIN : LEVEL_GAIN), d);
    double leastClip = conditions.isSettling() ? SETTLING_CLIP : 0;
    double slopeGain = (1 - Math.pow(1 - SLOPE_GAIN, d)) / d;
    double scaleGain = 1 - Math.pow(1 - SCALE_GAIN, d);
    for (int i = 0; i < x.length; i++) {
      if (!Double.isNaN(x[i])) {
        step.observe(i, x[i], damping, damped, levelGain, slopeGain, scaleGain, leastClip);
      } else {
        // Time goes on without a value, too.
        state.level()[i] += damping * state.slope()[i];
        state.slope()[i] *= damped;
      }
    }
    return step;
  }

  /** Values the layer's baseline had learnt from before this step. */
  int seenBefore(int layer) {
    return Double.isNaN(surprise[layer]) ? state.seen()[layer] : state.seen()[layer] - 1;
  }

  /** e, in octaves; NaN for a layer without a value. */
  double surprise(int layer) {
    return surprise[layer];
  }

  /** s before this step, in octaves. */
  double scale(int layer) {
    return scale[layer];
  }

  /** p + psi: the value as far as the baseline believes it; NaN for a layer without one. */
  double believed(int layer) {
    return believed[layer];
  }

  /** l after this step. */
  double level(int layer) {
    return state.level()[layer];
  }

  private void observe(
      int i,
      double x,
      double damping,
      double damped,
      double levelGain,
      double slopeGain,
      double scaleGain,
      double leastClip) {
    int n = ++state.seen()[i];
    if (n == 1) {
      state.level()[i] = x;
      state.variance()[i] = MIN_SCALE * MIN_SCALE;
      surprise[i] = 0;
      scale[i] = MIN_SCALE;
      believed[i] = x;
      return;
    }
    double p = state.level()[i] + damping * state.slope()[i];
    double e = x - p;
    double s = Math.max(MIN_SCALE, Math.sqrt(state.variance()[i]));
    boolean settled = n > SETTLED;
    double limit = Math.max(CLIP * s, leastClip);
    double psi = settled ? Math.max(-limit, Math.min(limit, e)) : e;
    double square = settled ? Math.min(e * e, CLIP * CLIP * s * s) : e * e;
    double gain = Math.max(scaleGain, 1.0 / n);
    state.level()[i] = p + Math.max(levelGain, 1.0 / n) * psi;
    state.slope()[i] = damped * state.slope()[i] + slopeGain * psi;
    state.variance()[i] = (1 - gain) * state.variance()[i] + gain * SCALE_CORRECTION * square;
    surprise[i] = e;
    scale[i] = s;
    believed[i] = p + psi;
  }

  private static double[] filled(int layers) {
    double[] column = new double[layers];
    Arrays.fill(column, Double.NaN);
    return column;
  }
}
