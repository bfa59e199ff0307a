package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_DEPTH;

import io.gradflow.core.signal.DepthProfile;

/**
 * {@link FindingKind#EXPLODING_DEPTH}: the gradient grows on its way from the loss to the input.
 *
 * <p>The mirror of {@link VanishingDepthDetector}: it fires when the {@link DepthProfile} of the
 * weight layers of one step rises by more than {@code rise} octaves toward the input, its slope
 * having a t beyond {@code t}, for {@code steps} published steps in a row, also in the warm-up. No
 * layer is named, the fault being the network's. At least 5 weights need a value.
 *
 * <p>Source: Pascanu, Mikolov and Bengio (2013), "On the difficulty of training recurrent neural
 * networks": a gradient that each layer multiplies by the same factor grows exponentially over
 * them.
 *
 * <p>Cannot see: networks without depths in their manifest; growth by a few layers in the middle,
 * which a line fits badly; weights that differ in size by design move the profile too.
 */
public final class ExplodingDepthDetector {
  private ExplodingDepthDetector() {}

  /**
   * Thresholds.
   *
   * @param rise octaves over the whole depth, toward the input
   * @param t of the slope
   * @param steps published steps in a row
   */
  public record Settings(double rise, double t, int steps) {
    static final Settings DEFAULT = new Settings(6.1, 4, 5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_DEPTH, "rise", rise, 0.1, 1_000);
      Thresholds.require(EXPLODING_DEPTH, "t", t, 1, 1_000);
      Thresholds.require(EXPLODING_DEPTH, "steps", steps, 1, 10_000);
    }
  }

  static InARow observe(Reading reading, InARow state, Settings settings, Verdicts out) {
    DepthProfile profile = reading.depthProfile();
    if (profile == null) {
      return state;
    }
    double rise = -profile.drop();
    double t = -profile.t();
    boolean over = rise > settings.rise() && t > settings.t();
    boolean overHalf = rise > settings.rise() / 2 && t > settings.t() / 2;
    InARow next = state.next(over, overHalf, settings.steps(), reading, out);
    if (next.run() >= settings.steps()) {
      int[] weights = reading.table().weightsByDepth();
      out.run(
          EXPLODING_DEPTH,
          Severity.WARNING,
          null,
          null,
          next.onset(),
          rise,
          settings.rise(),
          "octaves",
          ("The gradient grows to %s times its size from %s to %s since step %d: times %s per layer on"
                  + " its way to the input.")
              .formatted(
                  Wording.factor(rise),
                  reading.table().label(weights[profile.last()]),
                  reading.table().label(weights[profile.first()]),
                  next.onset(),
                  Wording.factor(-profile.slope())),
          ("Put normalisations between the layers, clip the gradient, or initialise the weights %s"
                  + " times smaller.")
              .formatted(Wording.factor(-profile.slope())));
    }
    return next;
  }
}
