package io.gradflow.core.shard;

/**
 * The key of combining: the ranks of a run are put together in groups of {@link Layout#GROUP_SIZE}.
 */
public record RankGroup(String runId, int group) {
  /** The group of the rank that sent a shard. */
  public static RankGroup of(Shard shard) {
    return new RankGroup(shard.id().runId(), Math.max(0, shard.rank()) / Layout.GROUP_SIZE);
  }
}
