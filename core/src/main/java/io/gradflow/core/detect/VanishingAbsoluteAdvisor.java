package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.VANISHING_ABSOLUTE;

import io.gradflow.core.norm.LayerSignal;
import java.util.Arrays;

/**
 * {@link FindingKind#VANISHING_ABSOLUTE}, advice: a weight layer hardly moves, whatever it did
 * before.
 *
 * <p>Advice is given when, for {@code steps} published steps in a row, either
 *
 * <ul>
 *   <li>its update is less than {@code ratio} of its weights, but not 0 (that is a {@link
 *       FindingKind#CONTRACT} matter): in float32 most of it is lost in rounding, or
 *   <li>its gradient's RMS is below {@code eps} times what Adam adds to the root of its second
 *       moment (Kingma and Ba, 2015, "Adam: a method for stochastic optimization"), which then
 *       shrinks the step.
 * </ul>
 *
 * <p>A healthy run of 405 billion parameters lives near 10 eps: it is advice, not a fault. Steps in
 * the warm-up of the learning rate do not count.
 *
 * <p>Cannot see: update ratios of runs that publish no norms of weights and updates; eps of runs
 * whose manifest does not have it.
 */
public final class VanishingAbsoluteAdvisor {
  private VanishingAbsoluteAdvisor() {}

  /**
   * Thresholds.
   *
   * @param ratio update over weights
   * @param eps multiples of Adam's eps
   * @param steps published steps in a row
   */
  public record Settings(double ratio, double eps, int steps) {
    static final Settings DEFAULT = new Settings(1e-8, 10, 50);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(VANISHING_ABSOLUTE, "ratio", ratio, 0, 1);
      Thresholds.require(VANISHING_ABSOLUTE, "eps", eps, 0, 1e6);
      Thresholds.require(VANISHING_ABSOLUTE, "steps", steps, 1, 100_000);
    }
  }

  /**
   * State by layer, changed in place.
   *
   * @param run steps in a row
   * @param onset the first of them
   * @param hold quiet steps until the advice is over
   */
  public record State(int[] run, long[] onset, int[] hold) {
    static State of(int layers) {
      return new State(new int[layers], new long[layers], new int[layers]);
    }

    /** After steps that do not count as evidence. */
    void interrupt() {
      Arrays.fill(run, 0);
    }
  }

  static void observe(Reading reading, State state, Settings settings, Verdicts out) {
    LayerTable table = reading.table();
    double least = settings.eps() * table.adamEps();
    var ranking = new Ranking();
    for (int i : table.weights()) {
      double ratio = LayerSignal.UPDATE_RATIO.of(reading.step(), i);
      double rms = Math.pow(2, reading.x()[i]);
      boolean known = ratio > 0 || (!Double.isNaN(least) && !Double.isNaN(rms));
      if (!known) {
        continue;
      }
      boolean over = (ratio > 0 && ratio < settings.ratio()) || rms < least;
      boolean overHalf = (ratio > 0 && ratio < 2 * settings.ratio()) || rms < 2 * least;
      state.run()[i] = over ? state.run()[i] + 1 : 0;
      state.onset()[i] = state.run()[i] == 1 ? reading.stepNumber() : state.onset()[i];
      boolean fires = state.run()[i] >= settings.steps();
      if (fires) {
        ranking.add(i, state.onset()[i], -reading.x()[i]);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, overHalf);
    }
    for (int place = 0; place < ranking.size(); place++) {
      advise(reading, ranking.at(place), ranking, place, settings, out);
    }
  }

  private static void advise(
      Reading reading, int i, Ranking ranking, int place, Settings settings, Verdicts out) {
    LayerTable table = reading.table();
    double ratio = LayerSignal.UPDATE_RATIO.of(reading.step(), i);
    double rms = Math.pow(2, reading.x()[i]);
    boolean still = ratio > 0 && ratio < settings.ratio();
    out.advice(
        VANISHING_ABSOLUTE,
        reading,
        i,
        ranking.onset(place),
        ranking.score(place),
        still ? ratio : rms / table.adamEps(),
        still ? settings.ratio() : settings.eps(),
        still ? "1" : "times eps",
        still
            ? "%s moves by %s of its weights a step, since step %d or before."
                .formatted(table.label(i), Wording.number(ratio), ranking.onset(place))
            : "The gradient of %s is %s times Adam's eps, which shrinks its steps, since step %d or before."
                .formatted(
                    table.label(i), Wording.number(rms / table.adamEps()), ranking.onset(place)),
        still
            ? "Raise the learning rate of %s, or keep its weights in a wider number format."
                .formatted(table.label(i))
            : "Set Adam's eps well below the gradients, to %s or less."
                .formatted(Wording.number(rms / settings.eps())));
  }
}
