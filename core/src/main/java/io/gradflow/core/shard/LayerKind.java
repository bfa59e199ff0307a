package io.gradflow.core.shard;

/** What a layer (one parameter tensor) is for; detectors compare layers of one kind. */
public enum LayerKind {
  WEIGHT,
  BIAS,
  NORM,
  EMBEDDING,
  ROUTER,
  EXPERT,
  ADAPTER,
  OTHER
}
