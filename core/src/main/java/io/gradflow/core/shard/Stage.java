package io.gradflow.core.shard;

/** Which gradient a shard describes. */
public enum Stage {
  /** Before the data-parallel reduction: comparable between ranks, never summed into a norm. */
  LOCAL,
  /** After the reduction: norms are put together from these by the layer's placement. */
  REDUCED
}
