package io.gradflow.core.norm;

import io.gradflow.core.StepId;

/**
 * What one rank group has of one step: the closing delta, later revisions. Deltas of a step are
 * disjoint, their sums add up.
 *
 * @param group of ranks
 * @param closedBy why the group closed its part; null for a revision, which comes after that
 * @param torn ranks are missing only because reading began in the middle of the step
 * @param receivedLocal ranks of the group (bit r being its rank r) all of whose parts of that stage
 *     are in with this delta and were not before
 * @param receivedReduced likewise
 * @param conflicting ranks of the group that contradicted themselves since the delta before
 * @param writtenAt when the broker took the step's first shard, ms
 */
public record StepDelta(
    StepId id,
    long manifestId,
    int group,
    ClosedBy closedBy,
    boolean torn,
    long receivedLocal,
    long receivedReduced,
    long conflicting,
    long writtenAt,
    StepSums sums) {

  /** The lane of the step. */
  public Lane lane() {
    return new Lane(id.attempt(), id.stream(), manifestId);
  }
}
