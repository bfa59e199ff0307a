package io.gradflow.core.detect;

/**
 * How a rank differs from those that do the same: what its cause is likely to be follows from that.
 */
public enum Sign {
  /** Most layers are larger than elsewhere, step after step: what goes in is. */
  LARGER,
  /** Most layers are smaller than elsewhere, step after step. */
  SMALLER,
  /** Most layers are far larger in some steps and not in those between. */
  LARGER_AT_TIMES,
  /** A few layers are far larger than elsewhere, the others are not: no input does that. */
  FEW_LAYERS,
  /** The whole gradient is exactly zero. */
  ALL_ZERO,
  /** It points the opposite way: a mirror image of what the others agree on. */
  AGAINST_THE_OTHERS,
  /** It has little to do with what the others agree on, and is no mirror image of it. */
  APART_FROM_THE_OTHERS,
  /** The loss of its own batches lies above theirs. */
  LOSS_ABOVE_THE_OTHERS
}
