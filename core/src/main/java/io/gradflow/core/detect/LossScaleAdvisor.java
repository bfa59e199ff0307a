package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_LOSS_SCALE;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.signal.Octaves;

/**
 * {@link FindingKind#ADVICE_LOSS_SCALE}: another loss scale for gradients in float16.
 *
 * <p>Advice is given when, for {@code steps} published steps, either
 *
 * <ul>
 *   <li>the largest element lies less than {@code headroom} octaves below the end of the format and
 *       the scale at least {@code octaves} above the advised one, or
 *   <li>more than the share {@code underflow} of the elements has lost digits at the lower end and
 *       the scale lies at least {@code octaves} below the advised one.
 * </ul>
 *
 * <p>A dynamic scaler raises its scale until a step overflows, so that it comes near the end and
 * goes from it again: that is not sustained, and skipped steps are not seen.
 *
 * <p>Cannot see: what the format has flushed to zero; gradients too wide for the format, for which
 * no scale is right; formats other than float16, which need none.
 */
public final class LossScaleAdvisor {

  private LossScaleAdvisor() {}

  /**
   * Thresholds.
   *
   * @param headroom octaves left above the largest element
   * @param underflow share of subnormal elements among the non-zero ones
   * @param octaves between the scale and the advised one
   * @param steps published steps
   */
  public record Settings(double headroom, double underflow, double octaves, int steps) {
    static final Settings DEFAULT = new Settings(1, 0.05, 2, 100);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(ADVICE_LOSS_SCALE, "headroom", headroom, 0, 30);
      Thresholds.require(ADVICE_LOSS_SCALE, "underflow", underflow, 0, 1);
      Thresholds.require(ADVICE_LOSS_SCALE, "octaves", octaves, 1, 100);
      Thresholds.require(ADVICE_LOSS_SCALE, "steps", steps, 1, 100_000);
    }
  }

  static Sustained observe(Reading reading, Sustained state, Settings settings, Verdicts out) {
    RunSignals run = reading.runSignals();
    if (run == null || Double.isNaN(run.advisedLossScale())) {
      return state;
    }
    StepScalars scalars = reading.step().scalars();
    double scale = scalars.lossScale() == null ? 1 : scalars.lossScale();
    double apart = Octaves.log2(scale / run.advisedLossScale());
    boolean tooLarge = run.headroom() < settings.headroom() && apart >= settings.octaves();
    boolean tooSmall = run.underflow() > settings.underflow() && apart <= -settings.octaves();
    boolean overHalf = Math.abs(apart) >= settings.octaves() / 2;
    boolean over = tooLarge || tooSmall;
    Sustained next = state.next(over, overHalf, apart > 0 ? 1 : -1, settings.steps(), reading, out);
    if (over && next.steps() >= settings.steps()) {
      String evidence =
          tooLarge
              ? "leaves %s octaves above the largest element of the gradient"
                  .formatted(Wording.number(run.headroom()))
              : "leaves %s %% of the gradient's elements too small for all their digits"
                  .formatted(Wording.number(100 * run.underflow()));
      out.advice(
          ADVICE_LOSS_SCALE,
          reading,
          -1,
          next.onset(),
          Math.abs(apart),
          tooLarge ? run.headroom() : run.underflow(),
          tooLarge ? settings.headroom() : settings.underflow(),
          tooLarge ? "octaves" : "share of elements",
          "The loss scale of %s %s in float16, since step %d or before."
              .formatted(Wording.number(scale), evidence, next.onset()),
          "Set the loss scale to %s, which leaves two octaves of headroom."
              .formatted(Wording.number(run.advisedLossScale())));
    }
    return next;
  }
}
