package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_TREND;
import static io.gradflow.core.detect.FindingKind.VANISHING_TREND;

import java.util.Arrays;

/**
 * {@link FindingKind#EXPLODING_TREND} and {@link FindingKind#VANISHING_TREND} at longer memories: a
 * layer's gradient grows or falls over thousands of steps.
 *
 * <p>Exponentially weighted least squares on the step number, as of {@link ExplodingTrendDetector},
 * of two columns: {@code own}, x as far as the baseline believes it, and {@code apart}, own less
 * its median over the layers of the kind. A memory k times as long has a slope floor of 1/k. Young
 * lines, whose values are on the mean less old than a tenth of the memory {@code 1 / (1 - lambda)}
 * (as when they began a fifth of it ago), are not judged.
 *
 * <ul>
 *   <li><b>Growth:</b> slope, t and rise of {@code own} exceed their thresholds, and the layer
 *       stands out: {@code apart} has risen by more than {@code apart} octaves too, or the run's
 *       loss has risen above its own best ({@link LossTrend}). All layers growing together while
 *       the loss falls is learning. A layer with zero initialisation grows by nature: of it only
 *       the loss counts.
 *   <li><b>Fall:</b> slope and t of {@code apart} are as far below 0, it has fallen by more than
 *       {@code fall} octaves, and {@code own} by more than {@code ownFall}.
 * </ul>
 *
 * Both are measured from where the line was when slope or t last stood under half its threshold.
 * After a spike the line goes on if the layer is back within an octave of it, else it begins anew;
 * so it does when the run's {@link Conditions} change.
 *
 * <p>Source of the discounted regression: Brown (1963), "Smoothing, forecasting and prediction of
 * discrete time series".
 *
 * <p>Cannot see: growth of all layers alike while the loss is at its best, or in runs that send
 * none; half the layers or more falling together; what is slower than the slowest floor.
 */
public final class SlowTrendDetector {
  private static final double NOISE_FLOOR = 0.001;
  private static final double YOUNG = 0.2;
  private static final double SAME_LEVEL = 1;

  private SlowTrendDetector() {}

  /**
   * State of one memory by layer, changed in place: weighted sums with t the age as a negative
   * number, x of {@code own} and y of {@code apart}.
   *
   * @param seen values since the line began
   * @param w sum of weights
   * @param t, tt, x, tx, xx, y, ty, yy weighted sums of the products
   * @param low, lowApart levels before the growth
   * @param lowStep when they were set
   * @param highOwn, high levels before the fall
   * @param highStep when they were set
   * @param growing quiet steps until the growth is over
   * @param growthOnset estimated when it began
   * @param falling quiet steps until the fall is over
   * @param fallOnset estimated when it began
   */
  public record State(
      int[] seen,
      double[] w,
      double[] t,
      double[] tt,
      double[] x,
      double[] tx,
      double[] xx,
      double[] y,
      double[] ty,
      double[] yy,
      double[] low,
      double[] lowApart,
      long[] lowStep,
      double[] highOwn,
      double[] high,
      long[] highStep,
      int[] growing,
      long[] growthOnset,
      int[] falling,
      long[] fallOnset) {
    static State of(int layers) {
      return new State(
          new int[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new double[layers],
          new long[layers],
          new double[layers],
          new double[layers],
          new long[layers],
          new int[layers],
          new long[layers],
          new int[layers],
          new long[layers]);
    }

    private void forget(int i) {
      seen[i] = 0;
      w[i] = 0;
      t[i] = 0;
      tt[i] = 0;
      x[i] = 0;
      tx[i] = 0;
      xx[i] = 0;
      y[i] = 0;
      ty[i] = 0;
      yy[i] = 0;
    }

    /** Moves the origin of time to the present and fades the past. */
    private void age(int i, double d, double decay) {
      tt[i] = decay * (tt[i] - 2 * d * t[i] + d * d * w[i]);
      tx[i] = decay * (tx[i] - d * x[i]);
      ty[i] = decay * (ty[i] - d * y[i]);
      t[i] = decay * (t[i] - d * w[i]);
      w[i] *= decay;
      x[i] *= decay;
      xx[i] *= decay;
      y[i] *= decay;
      yy[i] *= decay;
    }

    private void learn(int i, double own, double apart) {
      seen[i]++;
      w[i]++;
      x[i] += own;
      xx[i] += own * own;
      y[i] += apart;
      yy[i] += apart * apart;
    }
  }

  /** A weighted line: one object a step, set for one layer after the other. */
  private static final class Line {
    private double mean;
    private double slope;
    private double t;
    private double fit;

    void set(double w, double sumT, double sumTt, double sum, double sumT1, double squares) {
      double meanT = sumT / w;
      mean = sum / w;
      double stt = sumTt - w * meanT * meanT;
      double stx = sumT1 - w * meanT * mean;
      double sxx = squares - w * mean * mean;
      slope = stx / stt;
      double noise = Math.max(sxx - slope * stx, w * NOISE_FLOOR * NOISE_FLOOR);
      t = slope / Math.sqrt(noise / Math.max(w - 2, 1) / stt);
      fit = mean - slope * meanT;
    }
  }

  /**
   * Looks at a step.
   *
   * @param apart by layer: own less its median over the layers of the kind, NaN where unknown
   * @param longer how many times the memory exceeds that of the settings
   */
  static void observe(
      Reading reading,
      LogHolt baseline,
      double[] apart,
      Conditions conditions,
      LossTrend loss,
      ExplodingSpikeDetector.State spikes,
      State state,
      double longer,
      Verdicts out) {
    ExplodingTrendDetector.Settings up = out.policy().explodingTrend();
    VanishingTrendDetector.Settings down = out.policy().vanishingTrend();
    double forgetting = (1 - up.memory()) / longer;
    double decay = Math.pow(1 - forgetting, reading.deltaSteps());
    double memory = 1 / forgetting;
    int layers = state.w().length;
    var growths = new Ranking();
    var falls = new Ranking();
    var own = new Line();
    var relative = new Line();
    double[] slopes = new double[layers];
    for (int i = 0; i < layers; i++) {
      state.age(i, reading.deltaSteps(), decay);
      double x = baseline.believed(i);
      if (Double.isNaN(x) || Double.isNaN(apart[i]) || !reading.table().hasLevel(i)) {
        continue;
      }
      if (conditions.restartsTrends()) {
        state.forget(i);
      }
      boolean spiking = spikes.hold()[i] > 0;
      if (conditions.restartsTrends() || spiking) {
        if (spikes.hold()[i] == 1 && state.seen()[i] > 3) {
          own.set(
              state.w()[i],
              state.t()[i],
              state.tt()[i],
              state.x()[i],
              state.tx()[i],
              state.xx()[i]);
          if (Math.abs(x - own.fit) > SAME_LEVEL) {
            state.forget(i);
          }
        }
        state.growing()[i] = out.hold(state.growing()[i], false, false);
        state.falling()[i] = out.hold(state.falling()[i], false, false);
        continue;
      }
      state.learn(i, x, apart[i]);
      boolean young =
          state.seen()[i] <= out.policy().warmUpSteps()
              || -state.t()[i] < YOUNG / 2 * memory * state.w()[i];
      if (state.seen()[i] <= 3) {
        startAt(state, i, x, apart[i], reading.stepNumber());
        continue;
      }
      double w = state.w()[i];
      double t = state.t()[i];
      double tt = state.tt()[i];
      own.set(w, t, tt, state.x()[i], state.tx()[i], state.xx()[i]);
      relative.set(w, t, tt, state.y()[i], state.ty()[i], state.yy()[i]);

      double upSlope = up.slope() / longer;
      if (young || own.slope <= upSlope / 2 || own.t <= up.t() / 2) {
        state.low()[i] = Math.min(own.fit, own.mean);
        state.lowApart()[i] = Math.min(relative.fit, relative.mean);
        state.lowStep()[i] = reading.stepNumber();
      }
      double rise = own.fit - state.low()[i];
      boolean standsOut =
          loss.isRising()
              || (relative.fit - state.lowApart()[i] > up.apart() && !reading.table().zeroInit(i));
      boolean grows =
          own.slope > upSlope && own.t > up.t() && rise > up.rise() && standsOut && !young;
      boolean halfGrows =
          own.slope > upSlope / 2 && own.t > up.t() / 2 && rise > up.rise() / 2 && standsOut;
      if (grows) {
        if (state.growing()[i] == 0) {
          state.growthOnset()[i] =
              onset(reading.stepNumber(), rise / own.slope, state.lowStep()[i] - memory);
        }
        slopes[i] = own.slope;
        growths.add(i, state.growthOnset()[i], rise);
      }
      state.growing()[i] = out.hold(state.growing()[i], grows, halfGrows);

      double downSlope = -down.slope() / longer;
      if (young || relative.slope >= downSlope / 2 || relative.t >= -down.t() / 2) {
        state.high()[i] = Math.max(relative.fit, relative.mean);
        state.highOwn()[i] = Math.max(own.fit, own.mean);
        state.highStep()[i] = reading.stepNumber();
      }
      double fall = state.high()[i] - relative.fit;
      double ownFall = state.highOwn()[i] - own.fit;
      boolean vanishes =
          relative.slope < downSlope
              && relative.t < -down.t()
              && fall > down.fall()
              && ownFall > down.ownFall()
              && !young;
      boolean halfVanishes =
          relative.slope < downSlope / 2
              && relative.t < -down.t() / 2
              && fall > down.fall() / 2
              && ownFall > down.ownFall() / 2;
      if (vanishes) {
        if (state.falling()[i] == 0) {
          state.fallOnset()[i] =
              onset(reading.stepNumber(), -fall / relative.slope, state.highStep()[i] - memory);
        }
        falls.add(i, state.fallOnset()[i], fall);
      }
      state.falling()[i] = out.hold(state.falling()[i], vanishes, halfVanishes);
    }
    reportGrowth(reading, up, growths, slopes, out);
    reportFall(reading, down, falls, out);
  }

  private static void startAt(State state, int i, double own, double apart, long step) {
    state.low()[i] = own;
    state.lowApart()[i] = apart;
    state.lowStep()[i] = step;
    state.highOwn()[i] = own;
    state.high()[i] = apart;
    state.highStep()[i] = step;
  }

  private static long onset(long step, double steps, double earliest) {
    return Math.max(0, Math.max(step - (long) Math.ceil(steps), (long) Math.floor(earliest)));
  }

  private static void reportGrowth(
      Reading reading,
      ExplodingTrendDetector.Settings settings,
      Ranking ranking,
      double[] slopes,
      Verdicts out) {
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      if (!out.hasRoomFor(EXPLODING_TREND, reading.table().name(i))) {
        continue;
      }
      out.layer(
          EXPLODING_TREND,
          Severity.WARNING,
          reading,
          i,
          ranking.onset(place),
          ranking.score(place),
          ranking.score(place),
          settings.rise(),
          "octaves",
          ("The gradient of %s has grown slowly to %s times its level since about step %d, twofold"
                  + " in %s steps.")
              .formatted(
                  reading.table().label(i),
                  Wording.factor(ranking.score(place)),
                  ranking.onset(place),
                  Wording.rough(1 / slopes[i])));
    }
  }

  private static void reportFall(
      Reading reading, VanishingTrendDetector.Settings settings, Ranking ranking, Verdicts out) {
    for (int place = 0; place < ranking.size(); place++) {
      int i = ranking.at(place);
      if (!out.hasRoomFor(VANISHING_TREND, reading.table().name(i))) {
        continue;
      }
      out.layer(
          VANISHING_TREND,
          Severity.WARNING,
          reading,
          i,
          ranking.onset(place),
          ranking.score(place),
          ranking.score(place),
          settings.fall(),
          "octaves",
          ("The gradient of %s has fallen slowly to 1/%s against the other layers of its kind since"
                  + " about step %d.")
              .formatted(
                  reading.table().label(i),
                  Wording.factor(ranking.score(place)),
                  ranking.onset(place)));
    }
  }

  /** By layer: what is believed of x less its median over the layers of the kind. */
  static double[] apart(LayerTable table, LogHolt baseline) {
    double[] own = new double[table.size()];
    double[] apart = new double[own.length];
    double[] scratch = new double[own.length];
    Arrays.setAll(own, baseline::believed);
    for (LayerTable.Peers peers : table.peers()) {
      double median = VanishingTrendDetector.median(own, peers.reference(), scratch);
      for (int i : peers.members()) {
        apart[i] = own[i] - median;
      }
    }
    return apart;
  }
}
