package io.gradflow.core.norm;

/** One step of a lane: the key of what is remembered of it. */
public record LaneStep(long attempt, String stream, long manifestId, long step) {
  /** The key of one contribution to the step; see {@link GroupStep#key}. */
  ContributionKey contribution(long key) {
    return new ContributionKey(attempt, stream, manifestId, step, key);
  }
}
