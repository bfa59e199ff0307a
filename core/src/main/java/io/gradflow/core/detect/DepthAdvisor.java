package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_DEPTH;

import io.gradflow.core.signal.DepthProfile;
import java.util.Arrays;

/**
 * {@link FindingKind#ADVICE_DEPTH}: a skip connection or a normalisation where the gradient breaks
 * off on its way from the loss to the input.
 *
 * <p>It looks at the depth profile of the weights' baselines, in which the noise of single steps is
 * gone. Advice is given when the profile has a {@linkplain DepthProfile.Boundary#isBreak break} of
 * more than {@code fall} octaves at one boundary in {@code looks} looks, one every ten published
 * steps: baselines are slow, and profiles of a thousand layers take half a millisecond.
 *
 * <p>Cannot see: a loss that every layer has its part in (that is {@link
 * FindingKind#VANISHING_DEPTH}); a break within three layers of either end; networks of fewer than
 * eight depths or without depths in their manifest. It does not know whether the layers on both
 * sides are of one size or type, which moves a gradient's RMS by an octave or two: {@code fall} is
 * above that.
 */
public final class DepthAdvisor {
  private static final int LOOK_EVERY = 10;

  private DepthAdvisor() {}

  /**
   * Thresholds.
   *
   * @param fall octaves between the levels on either side, beyond the slope elsewhere
   * @param looks of which one is taken every ten published steps
   */
  public record Settings(double fall, int looks) {
    static final Settings DEFAULT = new Settings(3, 10);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(ADVICE_DEPTH, "fall", fall, 1, 1_000);
      Thresholds.require(ADVICE_DEPTH, "looks", looks, 1, 10_000);
    }
  }

  /**
   * Looks at a step.
   *
   * @param state about the boundary of the layer with that index, on the loss's side
   */
  static Sustained observe(
      Reading reading, LogHolt baseline, Sustained state, Settings settings, Verdicts out) {
    if (reading.ordinal() % LOOK_EVERY != 0) {
      return state;
    }
    LayerTable table = reading.table();
    int[] weights = table.weightsByDepth();
    double[] levels =
        Arrays.stream(weights)
            .mapToDouble(i -> Double.isNaN(reading.x()[i]) ? Double.NaN : baseline.level(i))
            .toArray();
    DepthProfile profile = table.depthProfile(levels);
    DepthProfile.Boundary boundary = profile == null ? null : profile.steepest();
    if (boundary == null) {
      return state;
    }
    int inputSide = weights[boundary.inputSide()];
    int lossSide = weights[boundary.lossSide()];
    boolean over = boundary.isBreak() && boundary.fall() > settings.fall();
    boolean overHalf = boundary.fall() > settings.fall() / 2;
    Sustained next = state.next(over, overHalf, lossSide, settings.looks(), reading, out);
    if (over && next.steps() >= settings.looks()) {
      out.advice(
          ADVICE_DEPTH,
          reading,
          inputSide,
          next.onset(),
          boundary.fall(),
          boundary.fall(),
          settings.fall(),
          "octaves",
          ("On its way to the input the gradient falls to 1/%s between %s and %s, by %s octaves beyond"
                  + " its slope elsewhere, from which layers scatter by %s, since step %d or before.")
              .formatted(
                  Wording.factor(boundary.fall()),
                  place(table, lossSide),
                  place(table, inputSide),
                  Wording.number(boundary.fall()),
                  Wording.number(boundary.scatter()),
                  next.onset()),
          ("Lead a skip connection past this boundary, or normalise the activations at it: all from"
                  + " the input to %s learns from 1/%s of the gradient.")
              .formatted(table.label(inputSide), Wording.factor(boundary.fall())));
    }
    return next;
  }

  /** What to do about a gradient that vanishes over the whole depth of a step. */
  static String cure(LayerTable table, DepthProfile profile) {
    int[] weights = table.weightsByDepth();
    DepthProfile.Boundary boundary = profile.steepest();
    return boundary != null && boundary.isBreak()
        ? "Lead a skip connection past the boundary between %s and %s, or normalise the activations at it."
            .formatted(
                place(table, weights[boundary.lossSide()]),
                place(table, weights[boundary.inputSide()]))
        : ("Lead skip connections past the layers, put normalisations between them, or initialise the"
                + " weights %s times larger.")
            .formatted(Wording.factor(profile.slope()));
  }

  private static String place(LayerTable table, int layer) {
    String block = table.block(layer);
    return block == null ? table.label(layer) : block + " (" + table.label(layer) + ")";
  }
}
