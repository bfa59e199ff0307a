package io.gradflow.core.incident;

import java.io.Serializable;
import java.time.Duration;

/**
 * How findings become incidents: the one home of these settings and defaults.
 *
 * @param foldSteps findings whose onset lies less than this after an incident's last sick step
 *     belong to it, be it open or just resolved
 * @param rememberSteps a resolved incident is remembered for so many steps, the longest that a
 *     detector takes to find what began with it
 * @param onsetTolerance by how many steps an estimated onset must be earlier to be the truer cause;
 *     by more if it lies far back
 * @param updateSteps a lasting incident is published again after so many steps
 * @param suspects most suspects an alert names
 * @param linksPerKind most links of one kind in a chain
 * @param orphanAfter wall time without a step of the run after which its incidents expire
 */
public record IncidentPolicy(
    int foldSteps,
    int rememberSteps,
    int onsetTolerance,
    int updateSteps,
    int suspects,
    int linksPerKind,
    Duration orphanAfter)
    implements Serializable {
  /** The defaults. */
  public static final IncidentPolicy DEFAULT =
      new IncidentPolicy(50, 500, 20, 50, 8, 4, Duration.ofHours(1));

  /** Checks the ranges. */
  public IncidentPolicy {
    require("foldSteps", foldSteps, 0);
    require("rememberSteps", rememberSteps, foldSteps);
    require("onsetTolerance", onsetTolerance, 0);
    require("updateSteps", updateSteps, 1);
    require("suspects", suspects, 1);
    require("linksPerKind", linksPerKind, 1);
    require("orphanAfter in seconds", orphanAfter.toSeconds(), 1);
  }

  private static void require(String name, long value, long low) {
    if (value < low) {
      throw new IllegalArgumentException(
          "incident policy: expected %s to be at least %d, got %d".formatted(name, low, value));
    }
  }
}
