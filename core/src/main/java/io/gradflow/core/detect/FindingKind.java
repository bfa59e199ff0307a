package io.gradflow.core.detect;

/** What a detector can find. */
public enum FindingKind {
  /** Any NaN or Inf. */
  NON_FINITE,
  /** A layer's gradient is suddenly many times its own level. */
  EXPLODING_SPIKE,
  /** A layer's gradient grows steadily. */
  EXPLODING_TREND,
  /** A layer's gradient falls steadily, against the other layers. */
  VANISHING_TREND,
  /** The gradient is lost over the depth of the network. */
  VANISHING_DEPTH,
  /** A layer's gradient is zero. */
  DEAD_LAYER,
  /** A rank does not report. */
  MISSING_SHARDS,
  /** What a rank sends contradicts itself. */
  CONTRACT
}
