package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.OSCILLATION;

import io.gradflow.core.norm.StepSignals;

/**
 * {@link FindingKind#OSCILLATION}: from step to step the gradient turns back on itself, as it does
 * when the learning rate carries the weights across a valley and back.
 *
 * <pre>
 * c = c + (1 - 0.9^d) (cosine with the step before - c),   from 0;   d steps since the last cosine
 * </pre>
 *
 * It fires when c is below {@code -cosine} for {@code steps} published steps that have a cosine, of
 * the whole gradient (then no layer is named), or else of single trained weights, and the loss does
 * not improve: networks learn well at rates at which single directions swing (Cohen et al. 2021,
 * "Gradient descent on neural networks typically occurs at the edge of stability"). Beginning at 0,
 * c needs more than {@code steps} cosines near -1: there is no other warm-up. Source: LeCun, Simard
 * and Pearlmutter (1993), "Automatic learning rate maximization by on-line estimation of the
 * Hessian's eigenvectors": beyond twice the inverse curvature steps overshoot and gradients change
 * sign.
 *
 * <p>Cannot see: runs without dot products or sketches; swings that take several steps there and
 * back; an oscillation sampled at every second step, which looks like none.
 */
public final class OscillationDetector {
  private static final double GAIN = 0.1;

  private OscillationDetector() {}

  /**
   * Thresholds.
   *
   * @param cosine below the negative of this
   * @param steps published steps in a row
   */
  public record Settings(double cosine, int steps) {
    static final Settings DEFAULT = new Settings(0.7, 5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(OSCILLATION, "cosine", cosine, 0.01, 1);
      Thresholds.require(OSCILLATION, "steps", steps, 1, 10_000);
    }
  }

  /**
   * State by layer, with the whole gradient as one more after the last, changed in place.
   *
   * @param mean c
   * @param last step after the last cosine, 0 before the first
   * @param run steps in a row over the threshold
   * @param onset the first of them
   * @param hold quiet steps until the episode is over
   */
  public record State(double[] mean, long[] last, int[] run, long[] onset, int[] hold) {
    static State of(int layers) {
      return new State(
          new double[layers + 1],
          new long[layers + 1],
          new int[layers + 1],
          new long[layers + 1],
          new int[layers + 1]);
    }
  }

  static void observe(
      Reading reading, LossTrend loss, State state, Settings settings, Verdicts out) {
    StepSignals signals = reading.step().signals();
    if (signals != null) {
      int whole = reading.table().size();
      boolean wholeFires =
          signals.run() != null
              && fires(reading, signals.run().cosine(), whole, loss, state, settings, out);
      var ranking = new Ranking();
      for (int i = 0; signals.cosine() != null && i < whole; i++) {
        if (reading.table().isWeight(i)
            && fires(reading, signals.cosine()[i], i, loss, state, settings, out)) {
          ranking.add(i, state.onset()[i], -state.mean()[i]);
        }
      }
      if (wholeFires) {
        report(reading, whole, state, settings, out);
      } else {
        for (int place = 0; place < ranking.size(); place++) {
          report(reading, ranking.at(place), state, settings, out);
        }
      }
    }
  }

  private static boolean fires(
      Reading reading,
      double cosine,
      int i,
      LossTrend loss,
      State state,
      Settings settings,
      Verdicts out) {
    if (Double.isNaN(cosine)) {
      return false;
    }
    long d = state.last()[i] == 0 ? 1 : reading.stepNumber() + 1 - state.last()[i];
    state.last()[i] = reading.stepNumber() + 1;
    state.mean()[i] += (1 - Math.pow(1 - GAIN, d)) * (cosine - state.mean()[i]);
    boolean over = state.mean()[i] < -settings.cosine() && !loss.isImproving();
    state.run()[i] = over ? state.run()[i] + 1 : 0;
    state.onset()[i] = state.run()[i] == 1 ? reading.stepNumber() : state.onset()[i];
    boolean fires = state.run()[i] >= settings.steps();
    state.hold()[i] = out.hold(state.hold()[i], fires, state.mean()[i] < -settings.cosine() / 2);
    return fires;
  }

  private static void report(Reading reading, int i, State state, Settings settings, Verdicts out) {
    boolean whole = i == reading.table().size();
    double c = state.mean()[i];
    out.run(
        OSCILLATION,
        Severity.WARNING,
        whole ? null : reading.table().name(i),
        null,
        state.onset()[i],
        -c,
        settings.cosine(),
        "1",
        "%s turns back on itself from step to step since step %d: its cosine with the step before is %s."
            .formatted(
                whole ? "The gradient" : "The gradient of " + reading.table().label(i),
                state.onset()[i],
                Wording.number(c)),
        whole
            ? "Lower the learning rate."
            : "Lower the learning rate of %s.".formatted(reading.table().label(i)));
  }
}
