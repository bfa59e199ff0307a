package io.gradflow.core.norm;

/**
 * One contribution to one step of a lane.
 *
 * @param key as {@link GroupStep#key} packs it; ascending keys are ordered by rank, stage, part
 */
public record ContributionKey(long attempt, String stream, long manifestId, long step, long key) {}
