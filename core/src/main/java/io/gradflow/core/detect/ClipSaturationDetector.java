package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CLIP_SATURATION;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.shard.Clip;

/**
 * {@link FindingKind#CLIP_SATURATION}: nearly every step is clipped, and to a small part of its
 * gradient: the clip, not the gradient, decides how large steps are.
 *
 * <pre>
 * share = share + (1 - 0.9^d) ((1 where clipped, else 0) - share)
 * mean  = mean + (1 - 0.9^d) (coefficient - mean),   from 0 and 1;   d steps since the last
 * </pre>
 *
 * It fires when share exceeds {@code clipped} and mean is below {@code coefficient} for {@code
 * steps} published steps in a row. Steps of the warm-up are measured but not counted: of the large
 * gradients of a start nothing is left after as many more. Source: Pascanu, Mikolov and Bengio
 * (2013), "On the difficulty of training recurrent neural networks", who set the clip at half to
 * ten times the average norm.
 *
 * <p>Cannot see: runs that do not say how they clip; clipping by value or by layer. Optimisers that
 * divide by the gradient's size, as Adam does, undo a coefficient that is always the same.
 */
public final class ClipSaturationDetector {
  private static final double FORGETTING = 0.9;

  private ClipSaturationDetector() {}

  /**
   * Thresholds.
   *
   * @param clipped share of steps
   * @param coefficient mean clipping coefficient
   * @param steps published steps in a row
   */
  public record Settings(double clipped, double coefficient, int steps) {
    static final Settings DEFAULT = new Settings(0.9, 0.1, 20);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(CLIP_SATURATION, "clipped", clipped, 0.5, 1);
      Thresholds.require(CLIP_SATURATION, "coefficient", coefficient, 0, 1);
      Thresholds.require(CLIP_SATURATION, "steps", steps, 1, 100_000);
    }
  }

  /**
   * State of a lane; fields as in the formula.
   *
   * @param row steps in a row over the thresholds
   */
  public record State(double share, double mean, InARow row) {
    static final State FRESH = new State(0, 1, InARow.NONE);
  }

  static State observe(Reading reading, State state, Settings settings, Verdicts out) {
    Clip clip = reading.step().scalars().clip();
    if (clip == null || clip.coef() == null || !Clip.GLOBAL_NORM.equals(clip.mode())) {
      return state;
    }
    double gain = 1 - Math.pow(FORGETTING, reading.deltaSteps());
    double share = state.share() + gain * ((clip.coef() < 1 ? 1 : 0) - state.share());
    double mean = state.mean() + gain * (clip.coef() - state.mean());
    if (reading.ordinal() < out.policy().warmUpSteps()) {
      return new State(share, mean, state.row());
    }
    boolean over = share > settings.clipped() && mean < settings.coefficient();
    boolean overHalf =
        1 - share <= 2 * (1 - settings.clipped()) && mean < 2 * settings.coefficient();
    InARow next = state.row().next(over, overHalf, settings.steps(), reading, out);
    if (next.run() >= settings.steps()) {
      RunSignals run = reading.runSignals();
      out.run(
          CLIP_SATURATION,
          Severity.WARNING,
          null,
          null,
          next.onset(),
          mean,
          settings.coefficient(),
          "mean coefficient",
          "%s %% of the last steps have been clipped, to %s of their gradient on the mean, since step %d or before."
              .formatted(Wording.number(100 * share), Wording.number(mean), next.onset()),
          run == null || Double.isNaN(run.advisedClip())
              ? "Raise the clip, or find out why gradients are so large."
              : "Raise the clip toward %s, or find out why gradients are so large."
                  .formatted(Wording.number(run.advisedClip())));
    }
    return new State(share, mean, next);
  }
}
