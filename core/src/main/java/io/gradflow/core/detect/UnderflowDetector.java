package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.UNDERFLOW;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.StepSignals;

/**
 * {@link FindingKind#UNDERFLOW}: more and more of a layer's gradient is too small for its number
 * format and becomes 0.
 *
 * <p>Layers of dtype {@code float16} and the 8-bit formats {@code float8...} alone. It fires when
 * the share of exact zeros lies {@code points} percentage points above the layer's own baseline for
 * {@code steps} published steps in a row. The baseline is a mean over 500 steps, at first a plain
 * mean, and learns nothing from a layer that is over half the threshold. Where subnormals are
 * counted (of the layer, else of the run), at least 1 % of the elements that are not 0 must be
 * subnormal: in float16 ten octaves of them lie above what is flushed to 0, while units that die
 * leave none. Source: Micikevicius et al. (2018), "Mixed precision training".
 *
 * <p>Not judged: sparse and frozen layers, embeddings and experts; a share of zeros that makes the
 * layer dead ({@link DeadLayerDetector}).
 *
 * <p>Cannot see: runs that count no zeros; a run that underflows from its first step on; which of
 * the zeros would have been values, where no subnormals are counted.
 */
public final class UnderflowDetector {
  private static final double MEMORY = 500;
  private static final double LEAST_SUBNORMAL = 0.01;

  private UnderflowDetector() {}

  /**
   * Thresholds.
   *
   * @param points percentage points above the baseline
   * @param steps published steps in a row
   */
  public record Settings(double points, int steps) {
    static final Settings DEFAULT = new Settings(10, 5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(UNDERFLOW, "points", points, 0.1, 100);
      Thresholds.require(UNDERFLOW, "steps", steps, 1, 10_000);
    }
  }

  /**
   * State by layer, changed in place.
   *
   * @param baseline share of zeros
   * @param seen shares learnt from
   * @param run steps in a row over the threshold
   * @param onset the first of them
   * @param hold quiet steps until the episode is over
   */
  public record State(double[] baseline, int[] seen, int[] run, long[] onset, int[] hold) {
    static State of(int layers) {
      return new State(
          new double[layers], new int[layers], new int[layers], new long[layers], new int[layers]);
    }
  }

  static void observe(Reading reading, State state, Settings settings, Verdicts out) {
    LayerTable table = reading.table();
    double dead = out.policy().deadLayer().zeros();
    double gain = 1 - Math.pow(1 - 1 / MEMORY, reading.deltaSteps());
    var ranking = new Ranking();
    for (int i = 0; i < table.size(); i++) {
      double zeros = reading.zeroFraction()[i];
      if (!table.mayUnderflow(i) || Double.isNaN(zeros) || zeros >= dead) {
        continue;
      }
      double over = 100 * (zeros - state.baseline()[i]);
      boolean judged = state.seen()[i] >= out.policy().warmUpSteps();
      boolean high = judged && over > settings.points() && hasSubnormals(reading, i);
      boolean overHalf = judged && over > settings.points() / 2;
      state.run()[i] = high ? state.run()[i] + 1 : 0;
      state.onset()[i] = state.run()[i] == 1 ? reading.stepNumber() : state.onset()[i];
      boolean fires = state.run()[i] >= settings.steps();
      if (fires) {
        ranking.add(i, state.onset()[i], over);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, overHalf);
      if (!overHalf) {
        double share = Math.max(gain, 1.0 / ++state.seen()[i]);
        state.baseline()[i] += share * (zeros - state.baseline()[i]);
      }
    }
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      out.layer(
          UNDERFLOW,
          Severity.WARNING,
          reading,
          i,
          ranking.onset(place),
          ranking.score(place),
          ranking.score(place),
          settings.points(),
          "percentage points",
          "%s %% more of the gradient of %s than usual is 0 since step %d: too small for %s."
              .formatted(
                  Wording.number(ranking.score(place)),
                  table.label(i),
                  ranking.onset(place),
                  table.dtype(i)));
    }
  }

  /** Whether values lie below the format's full precision, as far as anybody says. */
  private static boolean hasSubnormals(Reading reading, int i) {
    StepSignals signals = reading.step().signals();
    if (signals != null && signals.subnormals() != null && signals.subnormals()[i] >= 0) {
      double living = reading.table().elements(i) * (1 - reading.zeroFraction()[i]);
      return signals.subnormals()[i] >= LEAST_SUBNORMAL * living;
    }
    RunSignals run = reading.runSignals();
    return run == null || !(run.underflow() < LEAST_SUBNORMAL);
  }
}
