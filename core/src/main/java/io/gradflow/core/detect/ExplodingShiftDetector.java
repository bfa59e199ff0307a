package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_SHIFT;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * {@link FindingKind#EXPLODING_SHIFT}: a layer's gradient has settled far above where it was, in
 * whatever way it came there: too slowly for a spike, too quickly or unevenly for a line.
 *
 * <pre>
 * own  = x as far as the baseline believes it
 * ref  = exponentially weighted mean of own, weight memory^age; at first a plain mean
 * C    = max(0, C + (own - ref) / s - k),   s of the baseline (Page's CUSUM)
 * rise = level of the baseline - ref
 * </pre>
 *
 * It fires when C exceeds {@code h} and rise exceeds {@code rise} octaves. Once C is over half its
 * threshold the reference learns no faster than its memory says. The estimated onset is the step
 * after C was last 0. Where the run sends a loss and that is at its best, the layer must have risen
 * by 2 octaves more than the median layer: all layers growing together while the loss falls is
 * learning. While the run's {@link Conditions} change, the level is the reference.
 *
 * <p>Source: Page (1954), "Continuous inspection schemes".
 *
 * <p>Cannot see: a shift within the warm-up; a rise slower than the reference forgets ({@link
 * SlowTrendDetector}).
 */
public final class ExplodingShiftDetector {
  private static final double STANDS_OUT = 2;

  private ExplodingShiftDetector() {}

  /**
   * Thresholds.
   *
   * @param memory weight of a value in the reference against the one a step later
   * @param k what of a surprise is usual, in units of the layer's noise
   * @param h accumulated surprise, in the same unit
   * @param rise octaves
   */
  public record Settings(double memory, double k, double h, double rise) {
    static final Settings DEFAULT = new Settings(0.998, 1, 20, 4);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_SHIFT, "memory", memory, 0.5, 0.99999);
      Thresholds.require(EXPLODING_SHIFT, "k", k, 0.1, 10);
      Thresholds.require(EXPLODING_SHIFT, "h", h, 1, 10_000);
      Thresholds.require(EXPLODING_SHIFT, "rise", rise, 0.1, 100);
    }
  }

  /**
   * State by layer, changed in place; fields as in the formula.
   *
   * @param ref NaN before the first value
   * @param calm the last step at which C was 0
   * @param hold quiet steps until the episode is over
   * @param onset estimated when the episode began
   */
  public record State(double[] ref, double[] cusum, long[] calm, int[] hold, long[] onset) {
    static State of(int layers) {
      double[] ref = new double[layers];
      Arrays.fill(ref, Double.NaN);
      return new State(
          ref, new double[layers], new long[layers], new int[layers], new long[layers]);
    }
  }

  static void observe(
      Reading reading,
      LogHolt baseline,
      Conditions conditions,
      LossTrend loss,
      State state,
      Settings settings,
      Verdicts out) {
    double refGain = 1 - Math.pow(settings.memory(), reading.deltaSteps());
    double[] rises = new double[state.ref().length];
    Arrays.fill(rises, Double.NaN);
    boolean any = false;
    for (int i = 0; i < rises.length; i++) {
      double own = baseline.believed(i);
      if (Double.isNaN(own) || !reading.table().hasLevel(i)) {
        continue;
      }
      int n = baseline.seenBefore(i);
      if (Double.isNaN(state.ref()[i]) || conditions.restartsTrends()) {
        state.ref()[i] = baseline.level(i);
        state.cusum()[i] = 0;
        state.calm()[i] = reading.stepNumber();
        state.hold()[i] = out.hold(state.hold()[i], false, false);
        continue;
      }
      double c = state.cusum()[i] + (own - state.ref()[i]) / baseline.scale(i) - settings.k();
      state.cusum()[i] = n >= out.policy().warmUpSteps() ? Math.max(0, c) : 0;
      if (state.cusum()[i] == 0) {
        state.calm()[i] = reading.stepNumber();
      }
      boolean calm = state.cusum()[i] < settings.h() / 2;
      double gain = calm ? Math.max(refGain, 1.0 / (n + 1)) : refGain;
      state.ref()[i] += gain * (own - state.ref()[i]);
      rises[i] = baseline.level(i) - state.ref()[i];
      any |= isOver(state, rises, i, settings, 1) || state.hold()[i] > 0;
    }
    if (any) {
      judge(reading, loss, state, rises, settings, out);
    }
  }

  private static boolean isOver(
      State state, double[] rises, int i, Settings settings, double share) {
    return state.cusum()[i] > share * settings.h() && rises[i] > share * settings.rise();
  }

  private static void judge(
      Reading reading,
      LossTrend loss,
      State state,
      double[] rises,
      Settings settings,
      Verdicts out) {
    boolean learning = loss.isSent() && !loss.isRising();
    int[] all = IntStream.range(0, rises.length).toArray();
    double least =
        learning
            ? VanishingTrendDetector.median(rises, all, new double[rises.length]) + STANDS_OUT
            : Double.NEGATIVE_INFINITY;
    var ranking = new Ranking();
    for (int i = 0; i < rises.length; i++) {
      if (Double.isNaN(rises[i])) {
        continue;
      }
      boolean fires = isOver(state, rises, i, settings, 1) && rises[i] > least;
      if (fires) {
        if (state.hold()[i] == 0) {
          state.onset()[i] = Math.min(reading.stepNumber(), state.calm()[i] + 1);
        }
        ranking.add(i, state.onset()[i], rises[i]);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, isOver(state, rises, i, settings, 0.5));
    }
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      out.layer(
          EXPLODING_SHIFT,
          Severity.WARNING,
          reading,
          i,
          ranking.onset(place),
          ranking.score(place),
          rises[i],
          settings.rise(),
          "octaves",
          "The gradient of %s has settled at %s times its level, since about step %d."
              .formatted(reading.table().label(i), Wording.factor(rises[i]), ranking.onset(place)));
    }
  }
}
