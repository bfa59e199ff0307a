package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_UPDATE;

import io.gradflow.core.signal.Octaves;

/**
 * {@link FindingKind#EXPLODING_UPDATE}: the optimiser's step is suddenly many times what it was:
 * what a learning rate does that is wrong for a few steps, whether or not the gradient shows it.
 *
 * <pre>
 * u = log2(L2 norm of the last update / L2 norm of the weights), over the layers that say both
 * psi = clip(u - level, +-3 s),   level = level + 0.05 psi,   s^2 = 0.95 s^2 + 0.05 psi^2
 * peak = max(level, peak - 0.001),   e = u - peak
 * </pre>
 *
 * It fires when {@code e > rise} and {@code e > z s}, s being at least 0.25 octave. Over a gap of d
 * steps the gains are {@code 1 - 0.95^d}. The peak is what was usual at any time lately, so that a
 * schedule may begin anew. While the learning rate warms up, the present is the level. Bounded
 * influence as of {@link LogHolt}.
 *
 * <p>Cannot see: runs that do not publish norms of weights and updates; a step of one layer that is
 * small beside those of the others; the warm-up; that a rate was raised so far on purpose.
 */
public final class ExplodingUpdateDetector {
  private static final double GAIN = 0.05;
  private static final double CLIP = 3;
  private static final double FADING = 0.001;
  private static final double LEAST_SCALE = 0.25;

  private ExplodingUpdateDetector() {}

  /**
   * Thresholds.
   *
   * @param z multiple of the updates' own scale of noise
   * @param rise octaves
   */
  public record Settings(double z, double rise) {
    static final Settings DEFAULT = new Settings(8, 3);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_UPDATE, "z", z, 1, 1_000);
      Thresholds.require(EXPLODING_UPDATE, "rise", rise, 0.1, 100);
    }
  }

  /**
   * State of a lane; fields as in the formula.
   *
   * @param seen updates learnt from
   * @param onset first step of the episode
   * @param hold quiet steps until the episode is over
   */
  public record State(int seen, double level, double variance, double peak, long onset, int hold) {
    static final State FRESH = new State(0, 0, 0, Double.NEGATIVE_INFINITY, -1, 0);
  }

  static State observe(
      Reading reading, Conditions conditions, State state, Settings settings, Verdicts out) {
    Double update = Circumstances.updateOverWeights(reading.step());
    if (update == null || !(update > 0)) {
      return state;
    }
    double u = Octaves.log2(update);
    if (state.seen() == 0 || conditions.isWarmingUp()) {
      int hold = out.hold(state.hold(), false, false);
      return new State(state.seen() + 1, u, state.variance(), u, state.onset(), hold);
    }
    boolean settled = state.seen() >= out.policy().warmUpSteps();
    double gain = Math.max(1 - Math.pow(1 - GAIN, reading.deltaSteps()), 1.0 / (state.seen() + 1));
    double s = Math.max(LEAST_SCALE, Math.sqrt(state.variance()));
    double off = u - state.level();
    double psi = settled ? Math.max(-CLIP * s, Math.min(CLIP * s, off)) : off;
    double level = state.level() + gain * psi;
    double faded = state.peak() - FADING * reading.deltaSteps();
    double e = u - Math.max(state.level(), faded);
    boolean fires = settled && e > settings.rise() && e > settings.z() * s;
    boolean overHalf = e > settings.rise() / 2 && e > settings.z() / 2 * s;
    long onset = fires && state.hold() == 0 ? reading.stepNumber() : state.onset();
    if (fires) {
      out.run(
          EXPLODING_UPDATE,
          Severity.WARNING,
          null,
          null,
          onset,
          e,
          settings.rise(),
          "octaves",
          ("The update before step %d was %s times what is usual, %s %% of the weights: look for a"
                  + " learning rate that is wrong for a step, or an optimiser that lost its state.")
              .formatted(reading.stepNumber(), Wording.factor(e), Wording.number(100 * update)));
    }
    return new State(
        state.seen() + 1,
        level,
        (1 - gain) * state.variance() + gain * psi * psi,
        Math.max(level, faded),
        onset,
        out.hold(state.hold(), fires, overHalf));
  }
}
