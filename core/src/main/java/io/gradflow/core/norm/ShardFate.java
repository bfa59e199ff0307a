package io.gradflow.core.norm;

/**
 * What becomes of a shard. At any time {@code received = merged + duplicate + conflict + late +
 * rejected + open}, open being what is held for open steps or for a manifest.
 */
public enum ShardFate {
  /** Its group got it. */
  RECEIVED,
  /** Part of a step when it closed; a micro-batch before the last is merged by being seen. */
  MERGED,
  /** Came again with the same content: dropped. */
  DUPLICATE,
  /** Came again with other content: dropped, the first stays. */
  CONFLICT,
  /** Came after its step had closed: merged as a revision. */
  LATE,
  /** Could not be used; see {@link io.gradflow.core.Rejection}. */
  REJECTED
}
