package io.gradflow.core.norm;

import java.time.Duration;

/**
 * How the parts of the rank groups become a step. Its own timeout serves only groups of which
 * nothing is heard.
 *
 * @param timeout after the first part of a step, longer than that of combining; also the wait after
 *     a run's end. Held in outages
 * @param patienceSteps a group absent from so many closed steps in a row is no longer awaited
 * @param openSteps open steps of a lane; beyond, the oldest closes as TIMEOUT
 * @param rememberedSteps closed steps that can still be revised
 * @param waitingDeltas parts that may wait for their manifest
 * @param pendingEvents events of a run that may wait for the step they precede; the oldest go first
 * @param finishedRetention state of a finished run is dropped after so long without input: twice as
 *     long as in combining, or the last deltas of a silent run find nobody
 * @param idleRetention state of any other run likewise
 */
public record AssemblingPolicy(
    Duration timeout,
    int patienceSteps,
    int openSteps,
    int rememberedSteps,
    int waitingDeltas,
    int pendingEvents,
    Duration finishedRetention,
    Duration idleRetention)
    implements java.io.Serializable {

  public AssemblingPolicy {
    Range.positive("timeout", timeout);
    Range.atLeast("patienceSteps", patienceSteps, 1);
    Range.atLeast("openSteps", openSteps, 1);
    Range.atLeast("rememberedSteps", rememberedSteps, 1);
    Range.atLeast("waitingDeltas", waitingDeltas, 0);
    Range.atLeast("pendingEvents", pendingEvents, 1);
    Range.positive("finishedRetention", finishedRetention);
    Range.positive("idleRetention", idleRetention);
  }

  /** The rated settings. */
  public static AssemblingPolicy defaults() {
    return new AssemblingPolicy(
        Duration.ofSeconds(15), 5, 256, 64, 1024, 100, Duration.ofHours(2), Duration.ofHours(48));
  }
}
