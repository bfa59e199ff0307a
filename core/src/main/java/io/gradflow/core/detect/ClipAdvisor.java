package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_CLIP;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.signal.Octaves;
import java.util.ArrayList;
import java.util.List;

/**
 * {@link FindingKind#ADVICE_CLIP}: another value to clip the global norm to.
 *
 * <p>Advice is given when, for {@code steps} published steps, the trainer's value lies more than
 * {@code octaves} from the 90th percentile of the last 1,000 norms, above which clipping acts on
 * outliers alone, or more than the share {@code clipped} of the steps was clipped. What AutoClip,
 * ZClip and AdaGC would have done in the same step stands beside it.
 *
 * <p>A clip that never acts is no fault in itself: it is mentioned only when it lies so far above
 * the norms that most outliers pass it.
 *
 * <p>Cannot see: runs that do not say what they clip to; clipping by value or by layer; pipelines,
 * whose stages have a part of the norm each.
 */
public final class ClipAdvisor {

  private ClipAdvisor() {}

  /**
   * Thresholds.
   *
   * @param octaves between the trainer's value and the advised one, either way
   * @param clipped share of the steps
   * @param steps published steps
   */
  public record Settings(double octaves, double clipped, int steps) {
    static final Settings DEFAULT = new Settings(1, 0.95, 300);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(ADVICE_CLIP, "octaves", octaves, 0.1, 100);
      Thresholds.require(ADVICE_CLIP, "clipped", clipped, 0.5, 1);
      Thresholds.require(ADVICE_CLIP, "steps", steps, 1, 100_000);
    }
  }

  static Sustained observe(Reading reading, Sustained state, Settings settings, Verdicts out) {
    Clip clip = reading.step().scalars().clip();
    RunSignals run = reading.runSignals();
    if (run == null
        || clip == null
        || clip.norm() == null
        || !Clip.GLOBAL_NORM.equals(clip.mode())
        || reading.table().pipelineStages() > 1
        || Double.isNaN(run.advisedClip())
        || Double.isNaN(run.clippedFraction())) {
      return state;
    }
    double apart = Octaves.log2(clip.norm() / run.advisedClip());
    double size = Math.abs(apart);
    double clipped = run.clippedFraction();
    boolean always = clipped > settings.clipped();
    boolean over = always || size > settings.octaves();
    boolean overHalf = size > settings.octaves() / 2 || 1 - clipped <= 2 * (1 - settings.clipped());
    int direction = apart < 0 ? -1 : 1;
    Sustained next = state.next(over, overHalf, direction, settings.steps(), reading, out);
    if (over && next.steps() >= settings.steps()) {
      out.advice(
          ADVICE_CLIP,
          reading,
          -1,
          next.onset(),
          size,
          always ? clipped : size,
          always ? settings.clipped() : settings.octaves(),
          always ? "share of steps" : "octaves",
          ("Clipping to %s has acted on %s %% of the last steps, while 9 of 10 norms lie below %s,"
                  + " since step %d or before.")
              .formatted(
                  Wording.number(clip.norm()),
                  Wording.number(100 * clipped),
                  Wording.number(run.advisedClip()),
                  next.onset()),
          "Clip to %s, so that outliers alone are clipped.%s"
              .formatted(Wording.number(run.advisedClip()), alternatives(reading, run)));
    }
    return next;
  }

  /** What adaptive clippers would have done, as far as it is known. */
  private static String alternatives(Reading reading, RunSignals run) {
    List<String> others = new ArrayList<>();
    if (!Double.isNaN(run.autoClip())) {
      others.add("AutoClip would have clipped to " + Wording.number(run.autoClip()));
    }
    if (!Double.isNaN(run.zClip())) {
      others.add("ZClip would have clipped to " + Wording.number(run.zClip()));
    }
    if (run.adaGcLayers() >= 0) {
      others.add(
          "AdaGC would have clipped %d of %d layers and left a norm of %s"
              .formatted(
                  run.adaGcLayers(), reading.table().size(), Wording.number(run.adaGcNorm())));
    }
    return others.isEmpty()
        ? ""
        : " At step %d %s.".formatted(reading.stepNumber(), String.join(", ", others));
  }
}
