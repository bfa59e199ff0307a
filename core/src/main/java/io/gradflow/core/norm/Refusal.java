package io.gradflow.core.norm;

/** Why a layer of a step has no norm. */
public enum Refusal {
  /** Some of its elements are NaN or infinite; {@code finiteL2} and the counts stand beside. */
  NON_FINITE,
  /** Ranks hold summands of it that nobody has added up: their norms do not determine its norm. */
  PARTIAL,
  /** No shard of the reduced gradient has it. */
  NOT_RECEIVED
}
