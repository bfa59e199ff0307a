package io.gradflow.core.shard;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/** What can be measured of a gradient beside its norms: columns that come and cost together. */
public enum SignalGroup {
  /** {@code sum}, {@code subnormals}, {@code minNonzeroAbs}. */
  MOMENTS,
  /** {@code histograms}. */
  HISTOGRAM,
  /** {@code sketches}: of slices whose place in the whole layer is known. */
  SKETCH,
  /** {@code contentHash}. */
  HASH,
  /** {@code weightNorm} and {@code updateNorm}: of what else a trainer hands over. */
  WEIGHTS,
  /** {@code dotPrevious} and {@code dotReduced}: of two gradients. */
  DOTS;

  private static final Set<SignalGroup> OF_REDUCED =
      Collections.unmodifiableSet(EnumSet.allOf(SignalGroup.class));
  private static final Set<SignalGroup> OF_LOCAL =
      Collections.unmodifiableSet(EnumSet.of(SKETCH, DOTS));

  /**
   * The groups that serve a purpose at that stage: of a gradient from before the reduction only its
   * direction does, which the ranks are compared by.
   */
  public static Set<SignalGroup> of(Stage stage) {
    return stage == Stage.LOCAL ? OF_LOCAL : OF_REDUCED;
  }
}
