package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CLIP_SATURATION;

import io.gradflow.core.norm.RunSignals;

/**
 * {@link FindingKind#CLIP_SATURATION}: nearly every step is clipped, and to a small part of its
 * gradient: the clip, not the gradient, decides how large steps are.
 *
 * <p>It fires when the running mean over 100 steps of "was clipped" exceeds {@code clipped} and
 * that of the coefficient is below {@code coefficient} for {@code steps} published steps in a row:
 * twice the memory of these means, so that the large gradients of a start do not fire. Source:
 * Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural networks",
 * who set the clip at half to ten times the average norm.
 *
 * <p>Cannot see: runs that do not say how they clip; clipping by value or by layer. Optimisers that
 * divide by the gradient's size, as Adam does, undo a coefficient that is always the same.
 */
public final class ClipSaturationDetector {
  private ClipSaturationDetector() {}

  /**
   * Thresholds.
   *
   * @param clipped share of steps
   * @param coefficient mean clipping coefficient
   * @param steps published steps in a row
   */
  public record Settings(double clipped, double coefficient, int steps) {
    static final Settings DEFAULT = new Settings(0.9, 0.1, 200);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(CLIP_SATURATION, "clipped", clipped, 0.5, 1);
      Thresholds.require(CLIP_SATURATION, "coefficient", coefficient, 0, 1);
      Thresholds.require(CLIP_SATURATION, "steps", steps, 1, 100_000);
    }
  }

  static InARow observe(Reading reading, InARow state, Settings settings, Verdicts out) {
    RunSignals run = reading.runSignals();
    if (run == null || Double.isNaN(run.clippedFraction()) || Double.isNaN(run.clipCoefficient())) {
      return state;
    }
    boolean over =
        run.clippedFraction() > settings.clipped()
            && run.clipCoefficient() < settings.coefficient();
    boolean overHalf =
        1 - run.clippedFraction() <= 2 * (1 - settings.clipped())
            && run.clipCoefficient() < 2 * settings.coefficient();
    InARow next = state.next(over, overHalf, settings.steps(), reading, out);
    if (next.run() >= settings.steps()) {
      out.run(
          CLIP_SATURATION,
          Severity.WARNING,
          null,
          null,
          next.onset(),
          run.clipCoefficient(),
          settings.coefficient(),
          "mean coefficient",
          "%s %% of the steps have been clipped, to %s of their gradient on the mean, since step %d or before."
              .formatted(
                  Wording.number(100 * run.clippedFraction()),
                  Wording.number(run.clipCoefficient()),
                  next.onset()),
          Double.isNaN(run.advisedClip())
              ? "Raise the clip, or find out why gradients are so large."
              : "Raise the clip toward %s, or find out why gradients are so large."
                  .formatted(Wording.number(run.advisedClip())));
    }
    return next;
  }
}
