package io.gradflow.core.norm;

/** Why a step was closed. */
public enum ClosedBy {
  /** Every awaited rank and part is in. */
  COMPLETE,
  /** Nine ranks in ten are eight published steps further. */
  QUORUM,
  /** The wait for the missing ones was over. */
  TIMEOUT,
  /** The run said so, a higher attempt took over, or the input ended. */
  FINISHED
}
