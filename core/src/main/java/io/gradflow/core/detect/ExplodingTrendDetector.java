package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_TREND;

import io.gradflow.core.signal.Octaves;
import java.util.Arrays;

/**
 * {@link FindingKind#EXPLODING_TREND}: a layer's gradient grows steadily.
 *
 * <p>Exponentially weighted least squares of x (as far as the baseline believes it) on the step
 * number, weight {@code memory^age}. With the weights' sum W, the weighted sums of squares S about
 * the mean, and age 0 at the present:
 *
 * <pre>
 * slope = S_tx / S_tt
 * t     = slope / sqrt(max(S_xx - slope S_tx, W floor^2) / (W - 2) / S_tt),  floor 0.001 octave
 * fit   = value of the line at the present
 * rise  = fit - base
 * </pre>
 *
 * {@code base} is the lower of fit and weighted mean when the slope or its t last stood under half
 * its threshold: where the layer was before it began to grow. It fires when {@code slope}, {@code
 * t} and {@code rise} all exceed their thresholds. The estimated onset is where the line comes from
 * the base, {@code rise / slope} steps ago, but no more than a memory, {@code 1 / (1 - memory)}
 * steps, before the base was last set: a step up is no line. Noise of successive steps is
 * correlated, which makes t too large; the rise does the work against false alarms.
 *
 * <p>While the loss improves ({@link LossTrend}) the rise must be twice as large: layers that wake
 * up as a network learns grow, too. Layers of fewer than eight elements have no level, and no
 * trend.
 *
 * <p>A layer that spikes begins anew when the spike is over: a step up, to which the baseline takes
 * its time, would look like a trend. So do all layers when the run's {@link Conditions} change.
 *
 * <p>Cannot see: growth in the warm-up after a spike or a change; growth slower than the slope's
 * threshold however long it lasts, which is for {@link SlowTrendDetector}.
 */
public final class ExplodingTrendDetector {
  private static final double NOISE_FLOOR = 0.001;

  /** Layers that wake up while a network learns grow by an octave or three, and stay there. */
  private static final double LEARNING = 2;

  private ExplodingTrendDetector() {}

  /**
   * Thresholds.
   *
   * @param memory weight of a value against the one a step later
   * @param slope octaves per step
   * @param t of the slope
   * @param rise octaves
   * @param apart octaves that a layer must rise against the others, of slow growth
   */
  public record Settings(double memory, double slope, double t, double rise, double apart) {
    static final Settings DEFAULT = new Settings(0.98, 0.012, 8, 2, 2);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_TREND, "memory", memory, 0.5, 0.99999);
      Thresholds.require(EXPLODING_TREND, "slope", slope, 1e-7, 10);
      Thresholds.require(EXPLODING_TREND, "t", t, 1, 1_000);
      Thresholds.require(EXPLODING_TREND, "rise", rise, 0.1, 100);
      Thresholds.require(EXPLODING_TREND, "apart", apart, 0.1, 100);
    }
  }

  /**
   * State by layer, changed in place: weighted sums, with t the age as a negative number.
   *
   * @param seen values since it began
   * @param w sum of weights
   * @param t, x, tt, tx, xx weighted sums of the products
   * @param base level before the growth, NaN before the first value
   * @param baseStep when it was set
   * @param hold quiet steps until the episode is over
   * @param onset estimated when the episode began
   */
  public record State(
      int[] seen,
      double[] w,
      double[] t,
      double[] x,
      double[] tt,
      double[] tx,
      double[] xx,
      double[] base,
      long[] baseStep,
      int[] hold,
      long[] onset) {
    static State of(int layers) {
      double[] base = new double[layers];
      Arrays.fill(base, Double.NaN);
      return new State(
          new int[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          base,
          new long[layers],
          new int[layers],
          new long[layers]);
    }
  }

  static void observe(
      Reading reading,
      LogHolt baseline,
      Conditions conditions,
      LossTrend loss,
      ExplodingSpikeDetector.State spikes,
      State state,
      Settings settings,
      Verdicts out) {
    var ranking = new Ranking();
    double[] slopes = new double[state.w().length];
    double[] rises = new double[state.w().length];
    double decay = Math.pow(settings.memory(), reading.deltaSteps());
    double needed = loss.isImproving() ? LEARNING * settings.rise() : settings.rise();
    for (int i = 0; i < slopes.length; i++) {
      age(state, i, reading.deltaSteps(), decay);
      double x = baseline.believed(i);
      if (Double.isNaN(x) || !reading.table().hasLevel(i)) {
        continue;
      }
      if (spikes.hold()[i] > 0 || conditions.restartsTrends()) {
        forget(state, i);
        state.hold()[i] = out.hold(state.hold()[i], false, false);
        continue;
      }
      state.seen()[i]++;
      state.w()[i] += 1;
      state.x()[i] += x;
      state.xx()[i] += x * x;
      double w = state.w()[i];
      double meanX = state.x()[i] / w;
      double meanT = state.t()[i] / w;
      double stt = state.tt()[i] - w * meanT * meanT;
      if (state.seen()[i] <= 3) {
        state.base()[i] = meanX;
        state.baseStep()[i] = reading.stepNumber();
        continue;
      }
      double stx = state.tx()[i] - w * meanT * meanX;
      double sxx = state.xx()[i] - w * meanX * meanX;
      double slope = stx / stt;
      double noise = Math.max(sxx - slope * stx, w * NOISE_FLOOR * NOISE_FLOOR);
      double t = slope / Math.sqrt(noise / Math.max(w - 2, 1) / stt);
      double fit = meanX - slope * meanT;
      if (slope <= settings.slope() / 2 || t <= settings.t() / 2) {
        state.base()[i] = Math.min(fit, meanX);
        state.baseStep()[i] = reading.stepNumber();
      }
      double rise = fit - state.base()[i];
      boolean judged = state.seen()[i] > out.policy().warmUpSteps();
      boolean fires = judged && slope > settings.slope() && t > settings.t() && rise > needed;
      boolean overHalf =
          slope > settings.slope() / 2 && t > settings.t() / 2 && rise > settings.rise() / 2;
      if (fires) {
        if (state.hold()[i] == 0) {
          long lineStart = reading.stepNumber() - (long) Math.ceil(rise / slope);
          long earliest = state.baseStep()[i] - (long) (1 / (1 - settings.memory()));
          state.onset()[i] = Math.max(0, Math.max(lineStart, earliest));
        }
        slopes[i] = slope;
        rises[i] = rise;
        ranking.add(i, state.onset()[i], rise);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, overHalf);
    }
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      report(reading, settings, ranking, place, slopes[i], rises[i], out);
    }
    out.activeIfAny(EXPLODING_TREND, state.hold());
  }

  /** Begins anew: what was before is not of one line with what comes. */
  private static void forget(State state, int i) {
    state.seen()[i] = 0;
    state.w()[i] = 0;
    state.t()[i] = 0;
    state.x()[i] = 0;
    state.tt()[i] = 0;
    state.tx()[i] = 0;
    state.xx()[i] = 0;
  }

  /** Moves the origin of time to the present and fades the past. */
  private static void age(State state, int i, double d, double decay) {
    double w = state.w()[i];
    double t = state.t()[i];
    state.tt()[i] = decay * (state.tt()[i] - 2 * d * t + d * d * w);
    state.tx()[i] = decay * (state.tx()[i] - d * state.x()[i]);
    state.t()[i] = decay * (t - d * w);
    state.w()[i] = decay * w;
    state.x()[i] *= decay;
    state.xx()[i] *= decay;
  }

  private static void report(
      Reading reading,
      Settings settings,
      Ranking ranking,
      int place,
      double slope,
      double rise,
      Verdicts out) {
    int i = ranking.at(place);
    double headroom =
        reading.table().overflowOctave(i) - Octaves.log2(reading.step().norms().linf()[i]);
    long overflow = reading.stepNumber() + (long) Math.ceil(headroom / slope);
    out.layer(
        EXPLODING_TREND,
        Severity.WARNING,
        reading,
        i,
        ranking.onset(place),
        ranking.score(place),
        rise,
        settings.rise(),
        "octaves",
        ("The gradient of %s has grown to %s times its level since about step %d, by %s %% a step;"
                + " at this rate it overflows %s at step %d.")
            .formatted(
                reading.table().label(i),
                Wording.factor(rise),
                ranking.onset(place),
                Wording.number(100 * (Math.pow(2, slope) - 1)),
                reading.table().dtype(i),
                overflow));
  }
}
