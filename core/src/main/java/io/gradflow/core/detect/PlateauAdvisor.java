package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.PLATEAU;

/**
 * {@link FindingKind#PLATEAU}, advice: the loss no longer improves, though gradients are there.
 *
 * <pre>
 * mean = exponentially weighted mean of the loss (as far as {@link LossTrend} believes it), weight
 *        memory^age; at first a plain mean
 * best = mean, whenever mean lies below best by two standard errors, 2 s sqrt(gain / (2 - gain))
 * </pre>
 *
 * For as many losses as the memory has steps best is the mean. Advice is given when best is {@code
 * steps} losses old. So there are two scales, that of the mean and that of the patience: Prechelt
 * (1998), "Early stopping - but when?", on which patience does what.
 *
 * <p>Cannot see: runs that send no loss; whether the loss has reached what it can; what a
 * validation loss does; an improvement of less than two standard errors (of the default memory a
 * seventh of the loss's noise) in all these steps.
 */
public final class PlateauAdvisor {
  private static final double ERRORS = 2;

  private PlateauAdvisor() {}

  /**
   * Thresholds.
   *
   * @param memory weight of a loss in the mean against the one a step later
   * @param steps losses without improvement
   */
  public record Settings(double memory, int steps) {
    static final Settings DEFAULT = new Settings(0.99, 2_000);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(PLATEAU, "memory", memory, 0.5, 0.99999);
      Thresholds.require(PLATEAU, "steps", steps, 1, 1_000_000);
    }
  }

  /**
   * State of a lane; fields as in the formula.
   *
   * @param seen losses learnt from
   * @param last step of the last one
   * @param since losses since best was set
   * @param bestStep when it was
   * @param hold quiet steps until the advice is over
   */
  public record State(
      int seen, long last, double mean, double best, int since, long bestStep, int hold) {
    static final State FRESH = new State(0, -1, 0, Double.POSITIVE_INFINITY, 0, -1, 0);
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
    double d = state.seen() == 0 ? 1 : reading.stepNumber() - state.last();
    double usual = 1 - Math.pow(settings.memory(), d);
    double gain = Math.max(usual, 1.0 / (state.seen() + 1));
    double mean = state.mean() + gain * (loss.believed() - state.mean());
    double error = ERRORS * loss.scatter() * Math.sqrt(usual / (2 - usual));
    boolean old = state.seen() >= 1 / (1 - settings.memory());
    // The mean of a few losses may be low by chance, and would then be hard to better.
    boolean improved = !old || mean < state.best() - error;
    double best = improved ? mean : state.best();
    long bestStep = improved ? reading.stepNumber() : state.bestStep();
    int since = improved ? 0 : state.since() + 1;
    boolean fires = mayAdvise && since >= settings.steps();
    int hold = out.hold(state.hold(), fires, since >= settings.steps() / 2);
    if (fires) {
      out.advice(
          PLATEAU,
          reading,
          -1,
          bestStep,
          since,
          since,
          settings.steps(),
          "steps",
          "The loss has not improved since step %d: it stands at %s."
              .formatted(bestStep, Wording.number(mean)),
          "Lower the learning rate or end the training; if the loss should be lower, look at data"
              + " and model, for gradients are not the matter.");
    }
    return new State(state.seen() + 1, reading.stepNumber(), mean, best, since, bestStep, hold);
  }
}
