package io.gradflow.core.norm;

import io.gradflow.core.shard.Shard;

/**
 * A shard and when it came.
 *
 * @param arrivedAt wall time of the subtask that holds it, ms
 */
public record HeldShard(long arrivedAt, Shard shard) {}
