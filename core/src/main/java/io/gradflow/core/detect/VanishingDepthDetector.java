package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.VANISHING_DEPTH;

/**
 * {@link FindingKind#VANISHING_DEPTH}: the gradient is lost on its way from the loss to the input.
 *
 * <p>Least squares of x on depth over the weight layers of one step (depth fits compare layers of
 * one kind):
 *
 * <pre>
 * drop = slope * (greatest depth - least depth)
 * t    = slope / sqrt(residual sum of squares / (n - 2) / S_dd)
 * </pre>
 *
 * It fires when {@code drop} and {@code t} exceed their thresholds for {@code steps} published
 * steps in a row, also in the warm-up: a badly initialised network vanishes from its first step. No
 * layer is named, the fault being the network's. At least 5 weights need a value.
 *
 * <p>Cannot see: networks without depths in their manifest; a loss over depth with a break in the
 * middle that a line fits badly; layers whose gradient is exactly 0.
 */
public final class VanishingDepthDetector {
  private static final int MIN_LAYERS = 5;
  private static final double NOISE_FLOOR = 0.001;

  private VanishingDepthDetector() {}

  /**
   * Thresholds.
   *
   * @param drop octaves over the whole depth
   * @param t of the slope
   * @param steps published steps in a row
   */
  public record Settings(double drop, double t, int steps) {
    static final Settings DEFAULT = new Settings(10, 4, 5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(VANISHING_DEPTH, "drop", drop, 0.1, 1_000);
      Thresholds.require(VANISHING_DEPTH, "t", t, 1, 1_000);
      Thresholds.require(VANISHING_DEPTH, "steps", steps, 1, 10_000);
    }
  }

  /**
   * State of a lane.
   *
   * @param run steps in a row over the thresholds
   * @param onset the first of them
   * @param hold quiet steps until the episode is over
   */
  public record State(int run, long onset, int hold) {
    static final State FRESH = new State(0, -1, 0);
  }

  static State observe(Reading reading, State state, Settings settings, Verdicts out) {
    double[] x = reading.x();
    int[] weights = reading.table().weightsByDepth();
    int n = 0;
    int first = -1;
    int last = -1;
    double meanX = 0;
    double meanD = 0;
    for (int i : weights) {
      if (!Double.isNaN(x[i])) {
        n++;
        meanX += (x[i] - meanX) / n;
        meanD += (reading.table().depth(i) - meanD) / n;
        first = first < 0 ? i : first;
        last = i;
      }
    }
    if (n < MIN_LAYERS || reading.table().depth(first) == reading.table().depth(last)) {
      if (state.hold() > 0) {
        out.active(VANISHING_DEPTH);
      }
      return state;
    }
    double sdd = 0;
    double sdx = 0;
    double sxx = 0;
    for (int i : weights) {
      if (!Double.isNaN(x[i])) {
        double d = reading.table().depth(i) - meanD;
        sdd += d * d;
        sdx += d * (x[i] - meanX);
        sxx += (x[i] - meanX) * (x[i] - meanX);
      }
    }
    double slope = sdx / sdd;
    double noise = Math.max(sxx - slope * sdx, n * NOISE_FLOOR * NOISE_FLOOR);
    double t = slope / Math.sqrt(noise / (n - 2) / sdd);
    double drop = slope * (reading.table().depth(last) - reading.table().depth(first));
    boolean over = drop > settings.drop() && t > settings.t();
    int run = over ? state.run() + 1 : 0;
    long onset = run == 1 ? reading.stepNumber() : state.onset();
    boolean fires = run >= settings.steps();
    boolean overHalf = drop > settings.drop() / 2 && t > settings.t() / 2;
    int hold = out.hold(state.hold(), fires, overHalf);
    if (fires) {
      out.run(
          VANISHING_DEPTH,
          Severity.WARNING,
          null,
          null,
          onset,
          drop,
          settings.drop(),
          "octaves",
          ("The gradient falls to 1/%s from %s to %s since step %d: times %s per layer on its way to"
                  + " the input.")
              .formatted(
                  Wording.factor(drop),
                  reading.table().label(last),
                  reading.table().label(first),
                  onset,
                  Wording.factor(-slope)),
          DepthAdvisor.cure(reading));
    }
    if (hold > 0) {
      out.active(VANISHING_DEPTH);
    }
    return new State(run, onset, hold);
  }
}
