package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.PLATEAU;

/**
 * {@link FindingKind#PLATEAU}, advice: the loss no longer improves, though gradients are there.
 *
 * <p>Two exponentially weighted regressions of the loss (as far as {@link LossTrend} believes it)
 * on the step number, weights {@code memory^age} and, over ten times as long, {@code (1 - (1 -
 * memory) / 10)^age}. Advice is given when neither falls significantly, its slope being above
 * {@code -t} standard errors, for {@code steps} published steps, and never before the longer memory
 * is a fifth full. A memory of 5,000 steps tells an improvement of a thirtieth of the loss's noise.
 *
 * <p>Noise of successive losses is correlated, which makes t too large: that delays the advice.
 * Source: Prechelt (1998), "Early stopping - but when?", on waiting for improvement at two scales;
 * Brown (1963) for the discounted regression.
 *
 * <p>Cannot see: runs that send no loss; whether the loss has reached what it can; what a
 * validation loss does.
 */
public final class PlateauAdvisor {
  private static final double LONGER = 10;
  private static final double YOUNG = 0.2;
  private static final double NOISE_FLOOR = 1e-9;

  private PlateauAdvisor() {}

  /**
   * Thresholds.
   *
   * @param memory weight of a loss in the quick line against the one a step later
   * @param t of the slopes
   * @param steps published steps
   */
  public record Settings(double memory, double t, int steps) {
    static final Settings DEFAULT = new Settings(0.998, 2, 1_000);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(PLATEAU, "memory", memory, 0.5, 0.99999);
      Thresholds.require(PLATEAU, "t", t, 0.1, 1_000);
      Thresholds.require(PLATEAU, "steps", steps, 1, 1_000_000);
    }
  }

  /**
   * State of a lane: weighted sums of the quick and the long line, one after the other, changed in
   * place, with t the age as a negative number and y the loss less the first one.
   *
   * @param seen losses learnt from
   * @param last step of the last one
   * @param first the first loss
   * @param evidence how long there has been no improvement
   */
  public record State(
      int seen,
      long last,
      double first,
      double[] w,
      double[] t,
      double[] tt,
      double[] y,
      double[] ty,
      double[] yy,
      Sustained evidence) {
    static State fresh() {
      return new State(
          0,
          -1,
          0,
          new double[2],
          new double[2],
          new double[2],
          new double[2],
          new double[2],
          new double[2],
          Sustained.NONE);
    }

    private double slopeT(int line) {
      double meanT = t[line] / w[line];
      double meanY = y[line] / w[line];
      double stt = tt[line] - w[line] * meanT * meanT;
      double sty = ty[line] - w[line] * meanT * meanY;
      double syy = yy[line] - w[line] * meanY * meanY;
      double slope = sty / stt;
      double floor = NOISE_FLOOR * Math.max(1, Math.abs(first));
      double noise = Math.max(syy - slope * sty, w[line] * floor * floor);
      return slope / Math.sqrt(noise / Math.max(w[line] - 2, 1) / stt);
    }

    private void learn(int line, double d, double decay, double value) {
      tt[line] = decay * (tt[line] - 2 * d * t[line] + d * d * w[line]);
      ty[line] = decay * (ty[line] - d * y[line]);
      t[line] = decay * (t[line] - d * w[line]);
      w[line] = decay * w[line] + 1;
      y[line] = decay * y[line] + value;
      yy[line] = decay * yy[line] + value * value;
    }
  }

  /**
   * Learns the loss, and gives advice.
   *
   * @param mayAdvise nothing is wrong: advice may be given
   */
  static State observe(
      Reading reading,
      LossTrend loss,
      boolean mayAdvise,
      State state,
      Settings settings,
      Verdicts out) {
    if (loss.last() != reading.stepNumber()) {
      return state;
    }
    double first = state.seen() == 0 ? loss.believed() : state.first();
    double d = state.seen() == 0 ? 1 : reading.stepNumber() - state.last();
    double forgetting = 1 - settings.memory();
    state.learn(0, d, Math.pow(1 - forgetting, d), loss.believed() - first);
    state.learn(1, d, Math.pow(1 - forgetting / LONGER, d), loss.believed() - first);
    boolean young = -state.t()[1] < YOUNG / 2 * LONGER / forgetting * state.w()[1];
    Sustained evidence = state.evidence();
    if (!young) {
      double t = Math.min(state.slopeT(0), state.slopeT(1));
      boolean over = t > -settings.t();
      boolean overHalf = t > -2 * settings.t();
      int needed = mayAdvise ? settings.steps() : Integer.MAX_VALUE;
      evidence = evidence.next(over, overHalf, 0, needed, reading, out);
      if (over && evidence.steps() >= needed) {
        advise(reading, loss, evidence, settings, out);
      }
    }
    return new State(
        state.seen() + 1,
        reading.stepNumber(),
        first,
        state.w(),
        state.t(),
        state.tt(),
        state.y(),
        state.ty(),
        state.yy(),
        evidence);
  }

  private static void advise(
      Reading reading, LossTrend loss, Sustained evidence, Settings settings, Verdicts out) {
    out.advice(
        PLATEAU,
        reading,
        -1,
        evidence.onset(),
        evidence.steps(),
        evidence.steps(),
        settings.steps(),
        "steps",
        "The loss has not improved since step %d or before: it stands at %s."
            .formatted(evidence.onset(), Wording.number(loss.mean())),
        "Lower the learning rate or end the training; if the loss should be lower, look at data and"
            + " model, for gradients are not the matter.");
  }
}
