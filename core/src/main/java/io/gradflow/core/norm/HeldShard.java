package io.gradflow.core.norm;

import io.gradflow.core.shard.Shard;

/**
 * A shard and when it came.
 *
 * @param arrivedAt wall time of the subtask that holds it, ms
 */
public record HeldShard(long arrivedAt, Shard shard) {
  /** When the broker took it, ms; outside Kafka: when it came. */
  long writtenAt() {
    return shard.origin() == null ? arrivedAt : shard.origin().timestamp();
  }
}
