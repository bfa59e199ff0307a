package io.gradflow.core.signal;

import java.util.Arrays;

/**
 * How a run's gradient clipping does: how often and how hard it clips, what would be a better
 * value, and what three adaptive clippers would have done instead, on the norms that the run had.
 * (Under another clipper the run itself would have gone another way.)
 *
 * <p>The state of one lane. Its arrays are changed in place: of a monitor that has observed a step,
 * only the one that came of it may be used on. It learns from pre-clip norms that are finite and
 * positive; a step without one leaves everything but {@code last} as it is.
 *
 * @param norms pre-clip norms learnt from
 * @param recent the last 1,000 of them, a ring
 * @param weight of the averages: the steps whose clipping is known, discounted by 1 % a step
 * @param clippedSum steps of these that were clipped, discounted
 * @param coefficientSum clipping coefficients of these, discounted
 * @param last what the others would have done in the last step
 */
public record ClipMonitor(
    long norms,
    double[] recent,
    double weight,
    double clippedSum,
    double coefficientSum,
    AutoClip autoClip,
    ZClip zClip,
    AdaGc adaGc,
    Alternatives last) {
  private static final int RECENT = 1_000;
  private static final int LEAST_RECENT = 100;
  private static final double ADVISED_QUANTILE = 0.9;
  private static final double MEMORY = 0.99;

  /** What the adaptive clippers would have done in one step, unknown without its norm. */
  public record Alternatives(Clipping autoClip, Clipping zClip, AdaGc.Outcome adaGc) {
    static final Alternatives UNKNOWN =
        new Alternatives(Clipping.UNKNOWN, Clipping.UNKNOWN, AdaGc.Outcome.UNKNOWN);
  }

  /** A monitor that knows nothing. */
  public static ClipMonitor of(int layers) {
    return new ClipMonitor(
        0,
        new double[RECENT],
        0,
        0,
        0,
        AutoClip.fresh(),
        ZClip.FRESH,
        AdaGc.of(layers),
        Alternatives.UNKNOWN);
  }

  /**
   * The monitor after one more step.
   *
   * @param globalNorm before clipping
   * @param clipNorm the norm that the trainer clips to; NaN if it does not say
   * @param coefficient what the trainer multiplied by; NaN if it does not say, which the clip norm
   *     then does
   * @param layerNorms per layer, before clipping, NaN where unknown
   */
  public ClipMonitor observe(
      double globalNorm, double clipNorm, double coefficient, double[] layerNorms) {
    if (!(globalNorm > 0) || Double.isInfinite(globalNorm)) {
      return new ClipMonitor(
          norms,
          recent,
          weight,
          clippedSum,
          coefficientSum,
          autoClip,
          zClip,
          adaGc,
          Alternatives.UNKNOWN);
    }
    recent[(int) (norms % RECENT)] = globalNorm;
    double applied =
        Double.isNaN(coefficient) && !Double.isNaN(clipNorm)
            ? Clipping.to(clipNorm, globalNorm).coefficient()
            : coefficient;
    boolean known = Double.isFinite(applied);
    Alternatives alternatives =
        new Alternatives(
            autoClip.observe(globalNorm),
            zClip.clipping(globalNorm),
            adaGc.outcome(globalNorm, layerNorms));
    return new ClipMonitor(
        norms + 1,
        recent,
        known ? MEMORY * weight + 1 : weight,
        known ? MEMORY * clippedSum + (applied < 1 ? 1 : 0) : clippedSum,
        known ? MEMORY * coefficientSum + Math.min(1, applied) : coefficientSum,
        autoClip,
        zClip.observe(globalNorm),
        adaGc.observe(globalNorm, layerNorms),
        alternatives);
  }

  /** The fraction of steps that were clipped, over about 100 steps; NaN if none is known. */
  public double clippedFraction() {
    return clippedSum / weight;
  }

  /** The mean clipping coefficient over about 100 steps; NaN if none is known. */
  public double meanCoefficient() {
    return coefficientSum / weight;
  }

  /**
   * A norm to clip to: the 90th percentile of the last 1,000 pre-clip norms, the least one that 90
   * % do not exceed. Of n independent norms of density f it has the standard error {@code 0.3 / (f
   * sqrt(n))}.
   *
   * @return NaN before 100 norms
   */
  public double advisedClip() {
    if (norms < LEAST_RECENT) {
      return Double.NaN;
    }
    double[] sorted = Arrays.copyOf(recent, (int) Math.min(norms, RECENT));
    Arrays.sort(sorted);
    return sorted[(int) Math.ceil(ADVISED_QUANTILE * sorted.length) - 1];
  }
}
