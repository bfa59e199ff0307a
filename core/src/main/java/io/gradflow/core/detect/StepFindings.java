package io.gradflow.core.detect;

import io.gradflow.core.StepId;
import java.util.List;

/**
 * The verdict on one step, also when nothing was found: incidents count the steps in which they are
 * quiet.
 *
 * @param manifestId whose layers were judged
 * @param policyVersion of the rules that decided
 * @param findings by kind; within a kind the most suspect first, at most {@link Verdicts#MOST}
 * @param active kinds that fired less than the clearing time ago, or have stood above half their
 *     threshold since: an incident is over when none of its kinds is active
 * @param blindSpots what this run does not publish and the verdict therefore lacks; empty when
 *     there is no finding
 * @param timed wall time has found it: {@code id} is the last step before, and of what else is
 *     active this says nothing
 * @param circumstances of the step; null in states of release 0.1
 */
public record StepFindings(
    StepId id,
    long manifestId,
    long policyVersion,
    List<Finding> findings,
    List<FindingKind> active,
    List<String> blindSpots,
    boolean timed,
    Circumstances circumstances) {
  /** Most findings of one kind in a step. */
  public static final int MOST_OF_A_KIND = Verdicts.MOST;

  /** A verdict that no clock has a part in, on a step of which nothing else is known. */
  public StepFindings(
      StepId id,
      long manifestId,
      long policyVersion,
      List<Finding> findings,
      List<FindingKind> active,
      List<String> blindSpots) {
    this(id, manifestId, policyVersion, findings, active, blindSpots, false, null);
  }
}
