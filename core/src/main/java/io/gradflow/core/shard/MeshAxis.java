package io.gradflow.core.shard;

/**
 * One dimension of the device mesh.
 *
 * @param name of {@code dp_replicate, dp_shard, tp, pp, cp, ep}
 * @param size number of coordinates, at least 1
 */
public record MeshAxis(String name, int size) {}
