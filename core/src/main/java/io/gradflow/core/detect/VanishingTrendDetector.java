package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.VANISHING_TREND;

import java.util.Arrays;

/**
 * {@link FindingKind#VANISHING_TREND}: a layer's gradient falls steadily, against the other layers
 * of its kind. What moves all layers together (learning rate, batch, loss scale, a falling loss)
 * cancels.
 *
 * <pre>
 * own      = x, upward only as far as the baseline believes it: a spike raises no reference
 * y        = own - median of x over the layers of its kind
 * recent   = exponentially weighted mean of y, gain 0.1
 * ref      = exponentially weighted mean of y, weight memory^age
 * refOwn   = the same of own
 * fall     = ref - recent,   own fall = refOwn - level of the baseline
 * C        = max(0, C + (ref - y) / s - 1),   s of the baseline (Page's CUSUM with drift k = 1)
 * </pre>
 *
 * At first the references are plain means, so that they are right after the warm-up; but once C is
 * over half its threshold they learn no faster than their memory says, lest a young reference
 * follow the fall. It fires when {@code fall}, {@code ownFall} and {@code C} all exceed their
 * thresholds. C uses the references before this step. The estimated onset is the step after C was
 * last 0. Source of the CUSUM and its change point: Page (1954), "Continuous inspection schemes".
 *
 * <p>While the run's {@link Conditions} change, the present is the reference.
 *
 * <p>Cannot see: a network of which half the layers or more vanish together, for the median goes
 * with them; a fall slower than the reference forgets, which is for {@link SlowTrendDetector}.
 */
public final class VanishingTrendDetector {
  private static final double RECENT_GAIN = 0.1;
  private static final double DRIFT = 1;

  private VanishingTrendDetector() {}

  /**
   * Thresholds.
   *
   * @param memory weight of a value in the references against the one a step later
   * @param fall octaves, against the other layers
   * @param ownFall octaves
   * @param cusum C
   * @param slope octaves per step, of the slow lines: a tenth of it at ten times the memory
   * @param t of that slope
   */
  public record Settings(
      double memory, double fall, double ownFall, double cusum, double slope, double t) {
    static final Settings DEFAULT = new Settings(0.998, 3, 2, 20, 0.012, 8);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(VANISHING_TREND, "memory", memory, 0.5, 0.99999);
      Thresholds.require(VANISHING_TREND, "fall", fall, 0.1, 100);
      Thresholds.require(VANISHING_TREND, "ownFall", ownFall, 0.1, 100);
      Thresholds.require(VANISHING_TREND, "cusum", cusum, 1, 10_000);
      Thresholds.require(VANISHING_TREND, "slope", slope, 1e-7, 10);
      Thresholds.require(VANISHING_TREND, "t", t, 1, 1_000);
    }
  }

  /**
   * State by layer, changed in place; fields as in the formula.
   *
   * @param calm the last step at which C was 0
   * @param hold quiet steps until the episode is over
   * @param onset estimated when the episode began
   */
  public record State(
      double[] ref,
      double[] refOwn,
      double[] recent,
      double[] cusum,
      long[] calm,
      int[] hold,
      long[] onset) {
    static State of(int layers) {
      return new State(
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new long[layers],
          new int[layers],
          new long[layers]);
    }
  }

  static void observe(
      Reading reading,
      LogHolt baseline,
      Conditions conditions,
      State state,
      Settings settings,
      Verdicts out) {
    var ranking = new Ranking();
    double recentGain = 1 - Math.pow(1 - RECENT_GAIN, reading.deltaSteps());
    double refGain = 1 - Math.pow(settings.memory(), reading.deltaSteps());
    double[] x = reading.x();
    double[] scratch = new double[x.length];
    for (LayerTable.Peers peers : reading.table().peers()) {
      double median = median(x, peers.reference(), scratch);
      if (Double.isNaN(median)) {
        continue;
      }
      for (int i : peers.members()) {
        if (Double.isNaN(x[i]) || !reading.table().hasLevel(i)) {
          continue;
        }
        double own = Math.min(x[i], baseline.believed(i));
        double y = own - median;
        int n = baseline.seenBefore(i);
        if (n == 0) {
          state.recent()[i] = y;
          state.ref()[i] = y;
          state.refOwn()[i] = own;
        }
        if (conditions.restartsTrends()) {
          restart(reading, baseline, state, i, y, recentGain);
          state.hold()[i] = out.hold(state.hold()[i], false, false);
          continue;
        }
        double c = state.cusum()[i] + (state.ref()[i] - y) / baseline.scale(i) - DRIFT;
        boolean judged = n >= out.policy().warmUpSteps();
        state.cusum()[i] = judged ? Math.max(0, c) : 0;
        if (state.cusum()[i] == 0) {
          state.calm()[i] = reading.stepNumber();
        }
        boolean calm = state.cusum()[i] < settings.cusum() / 2;
        double gain = calm ? Math.max(refGain, 1.0 / (n + 1)) : refGain;
        state.recent()[i] += recentGain * (y - state.recent()[i]);
        state.ref()[i] += gain * (y - state.ref()[i]);
        state.refOwn()[i] += gain * (own - state.refOwn()[i]);
        if (judge(reading.stepNumber(), baseline, state, settings, i, out)) {
          ranking.add(i, state.onset()[i], state.ref()[i] - state.recent()[i]);
        }
      }
    }
    for (int place = 0; place < ranking.size(); place++) {
      report(reading, baseline, state, settings, ranking, place, out);
    }
    out.activeIfAny(VANISHING_TREND, state.hold());
  }

  /** The present becomes the reference: the past is no measure of it. */
  private static void restart(
      Reading reading, LogHolt baseline, State state, int i, double y, double recentGain) {
    state.recent()[i] += recentGain * (y - state.recent()[i]);
    state.ref()[i] = state.recent()[i];
    state.refOwn()[i] = baseline.level(i);
    state.cusum()[i] = 0;
    state.calm()[i] = reading.stepNumber();
  }

  private static boolean judge(
      long step, LogHolt baseline, State state, Settings settings, int i, Verdicts out) {
    double fall = state.ref()[i] - state.recent()[i];
    double ownFall = state.refOwn()[i] - baseline.level(i);
    double c = state.cusum()[i];
    boolean fires = fall > settings.fall() && ownFall > settings.ownFall() && c > settings.cusum();
    boolean overHalf =
        fall > settings.fall() / 2 && ownFall > settings.ownFall() / 2 && c > settings.cusum() / 2;
    if (fires && state.hold()[i] == 0) {
      state.onset()[i] = Math.min(step, state.calm()[i] + 1);
    }
    state.hold()[i] = out.hold(state.hold()[i], fires, overHalf);
    return fires;
  }

  private static void report(
      Reading reading,
      LogHolt baseline,
      State state,
      Settings settings,
      Ranking ranking,
      int place,
      Verdicts out) {
    int i = ranking.at(place);
    double fall = ranking.score(place);
    out.layer(
        VANISHING_TREND,
        Severity.WARNING,
        reading,
        i,
        ranking.onset(place),
        fall,
        fall,
        settings.fall(),
        "octaves",
        ("The gradient of %s has fallen to 1/%s of its level since about step %d, and to 1/%s"
                + " against the other layers of its kind.")
            .formatted(
                reading.table().label(i),
                Wording.factor(state.refOwn()[i] - baseline.level(i)),
                ranking.onset(place),
                Wording.factor(fall)));
  }

  /** Median of the values that are there, NaN if none is. */
  static double median(double[] x, int[] layers, double[] scratch) {
    int size = 0;
    for (int i : layers) {
      if (!Double.isNaN(x[i])) {
        scratch[size++] = x[i];
      }
    }
    if (size == 0) {
      return Double.NaN;
    }
    Arrays.sort(scratch, 0, size);
    return (scratch[(size - 1) / 2] + scratch[size / 2]) / 2;
  }
}
