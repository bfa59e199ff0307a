package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_WEIGHTS;

import io.gradflow.core.norm.StepSignals;
import java.util.Arrays;

/**
 * {@link FindingKind#EXPLODING_WEIGHTS}: the weights of a layer grow by more than the optimiser's
 * updates can account for: something else writes to them, such as decay of the wrong sign, a bad
 * load or a broken memory.
 *
 * <pre>
 * excess = (|w| - |w before| - 1.001 |update|) / |w|       of L2 norms in successive steps
 * </pre>
 *
 * By the triangle inequality it is at most 0 for weights that only the optimiser changes, whatever
 * the optimiser is; what a decoupled decay adds that a trainer does not count as an update is less
 * than {@code excess}. It fires when it exceeds {@code excess} in {@code steps} published steps in
 * a row, or {@code atOnce} once. There is no warm-up and no statistics.
 *
 * <p>Cannot see: runs that do not publish norms of weights and updates in every step; growth that
 * is smaller than the updates; weights that shrink; changes that leave the norm as it is.
 */
public final class ExplodingWeightsDetector {
  private static final double MEASURED = 1.001;

  private ExplodingWeightsDetector() {}

  /**
   * Thresholds.
   *
   * @param excess of the weights' norm
   * @param steps published steps in a row
   * @param atOnce of the weights' norm
   */
  public record Settings(double excess, int steps, double atOnce) {
    static final Settings DEFAULT = new Settings(0.001, 3, 0.25);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_WEIGHTS, "excess", excess, 1e-5, 1);
      Thresholds.require(EXPLODING_WEIGHTS, "steps", steps, 1, 10_000);
      Thresholds.require(EXPLODING_WEIGHTS, "atOnce", atOnce, 1e-5, 1);
    }
  }

  /**
   * State by layer, changed in place.
   *
   * @param norm of the weights in the step before, NaN if unknown
   * @param step one slot: which step that was, -1 before the first
   * @param run steps in a row over the threshold
   * @param onset the first of them
   * @param hold quiet steps until the episode is over
   */
  public record State(double[] norm, long[] step, int[] run, long[] onset, int[] hold) {
    static State of(int layers) {
      double[] norm = new double[layers];
      Arrays.fill(norm, Double.NaN);
      return new State(norm, new long[] {-1}, new int[layers], new long[layers], new int[layers]);
    }
  }

  static void observe(Reading reading, State state, Settings settings, Verdicts out) {
    StepSignals signals = reading.step().signals();
    double[] norms = signals == null ? null : signals.weightNorm();
    double[] updates = signals == null ? null : signals.updateNorm();
    boolean successive = reading.stepNumber() == state.step()[0] + 1;
    state.step()[0] = reading.stepNumber();
    if (norms == null) {
      Arrays.fill(state.norm(), Double.NaN);
      return;
    }
    var ranking = new Ranking();
    double[] excesses = new double[norms.length];
    for (int i = 0; i < norms.length; i++) {
      double before = state.norm()[i];
      state.norm()[i] = norms[i];
      if (!successive || updates == null) {
        continue;
      }
      double excess = (norms[i] - before - MEASURED * updates[i]) / norms[i];
      if (Double.isNaN(excess)) {
        continue;
      }
      excesses[i] = excess;
      boolean over = excess > settings.excess();
      state.run()[i] = over ? state.run()[i] + 1 : 0;
      if (state.run()[i] == 1) {
        state.onset()[i] = reading.stepNumber();
      }
      boolean fires = state.run()[i] >= settings.steps() || excess > settings.atOnce();
      if (fires) {
        ranking.add(i, state.onset()[i], excess);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, excess > settings.excess() / 2);
    }
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      report(reading, i, state, excesses[i], settings, out);
    }
    out.activeIfAny(EXPLODING_WEIGHTS, state.hold());
  }

  private static void report(
      Reading reading, int i, State state, double excess, Settings settings, Verdicts out) {
    boolean isLarge = excess > settings.atOnce();
    out.layer(
        EXPLODING_WEIGHTS,
        Severity.WARNING,
        reading,
        i,
        state.onset()[i],
        excess,
        excess,
        isLarge ? settings.atOnce() : settings.excess(),
        "of the weights",
        ("The weights of %s grow by %s %% at step %d beyond what the optimiser adds to them, since step"
                + " %d: something else writes to them.")
            .formatted(
                reading.table().label(i),
                Wording.number(100 * excess / Math.max(1 - excess, 1e-9)),
                reading.stepNumber(),
                state.onset()[i]));
  }
}
