package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.VANISHING_DEPTH;

import io.gradflow.core.signal.DepthProfile;

/**
 * {@link FindingKind#VANISHING_DEPTH}: the gradient is lost on its way from the loss to the input.
 *
 * <p>It looks at the {@link DepthProfile} of the weight layers of one step (depth fits compare
 * layers of one kind) and fires when its {@code drop} and {@code t} exceed their thresholds for
 * {@code steps} published steps in a row, also in the warm-up: a badly initialised network vanishes
 * from its first step. No layer is named, the fault being the network's. At least 5 weights need a
 * value.
 *
 * <p>Cannot see: networks without depths in their manifest; a loss over depth with a break in the
 * middle that a line fits badly; layers whose gradient is exactly 0.
 */
public final class VanishingDepthDetector {
  private VanishingDepthDetector() {}

  /**
   * Thresholds.
   *
   * @param drop octaves over the whole depth
   * @param t of the slope
   * @param steps published steps in a row
   */
  public record Settings(double drop, double t, int steps) {
    static final Settings DEFAULT = new Settings(10, 4, 5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(VANISHING_DEPTH, "drop", drop, 0.1, 1_000);
      Thresholds.require(VANISHING_DEPTH, "t", t, 1, 1_000);
      Thresholds.require(VANISHING_DEPTH, "steps", steps, 1, 10_000);
    }
  }

  /**
   * State of a lane.
   *
   * @param run steps in a row over the thresholds
   * @param onset the first of them
   * @param hold quiet steps until the episode is over
   */
  public record State(int run, long onset, int hold) {
    static final State FRESH = new State(0, -1, 0);
  }

  static State observe(Reading reading, State state, Settings settings, Verdicts out) {
    DepthProfile profile = reading.depthProfile();
    if (profile == null) {
      if (state.hold() > 0) {
        out.active(VANISHING_DEPTH);
      }
      return state;
    }
    boolean over = profile.drop() > settings.drop() && profile.t() > settings.t();
    int run = over ? state.run() + 1 : 0;
    long onset = run == 1 ? reading.stepNumber() : state.onset();
    int[] weights = reading.table().weightsByDepth();
    boolean fires = run >= settings.steps();
    boolean overHalf = profile.drop() > settings.drop() / 2 && profile.t() > settings.t() / 2;
    int hold = out.hold(state.hold(), fires, overHalf);
    if (fires) {
      out.run(
          VANISHING_DEPTH,
          Severity.WARNING,
          null,
          null,
          onset,
          profile.drop(),
          settings.drop(),
          "octaves",
          ("The gradient falls to 1/%s from %s to %s since step %d: times %s per layer on its way to"
                  + " the input.")
              .formatted(
                  Wording.factor(profile.drop()),
                  reading.table().label(weights[profile.last()]),
                  reading.table().label(weights[profile.first()]),
                  onset,
                  Wording.factor(-profile.slope())),
          DepthAdvisor.cure(reading.table(), profile));
    }
    if (hold > 0) {
      out.active(VANISHING_DEPTH);
    }
    return new State(run, onset, hold);
  }
}
