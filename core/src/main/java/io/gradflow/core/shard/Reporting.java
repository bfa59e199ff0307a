package io.gradflow.core.shard;

/**
 * Which ranks publish a stage, and how often: what is absent by design is not missing.
 *
 * @param ranks the reporting ranks, ascending; null means all ranks of the world
 * @param every one step in so many is published: those where {@code step % every == 0}
 */
public record Reporting(Stage stage, int[] ranks, int every) {}
