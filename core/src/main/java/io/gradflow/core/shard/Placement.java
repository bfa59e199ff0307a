package io.gradflow.core.shard;

/** How a layer's reduced gradient lies along one dimension of the device mesh. */
public enum Placement {
  /** Each coordinate holds a different slice: squares add. */
  SHARD,
  /** Each coordinate holds the same values: one of them counts, the others are equality checks. */
  REPLICATE,
  /**
   * Each coordinate holds a summand that the framework has not reduced yet: no norm follows from
   * these.
   */
  PARTIAL
}
