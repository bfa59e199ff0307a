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
  CONTRACT,
  /** A rank's own gradient is unlike those of the ranks that do the same. */
  RANK_DIVERGENCE,
  /** Copies of the reduced gradient differ. */
  REPLICA_MISMATCH,
  /** A rank's shards come later than those of the others. */
  STRAGGLER,
  /** No step of the run comes any more. */
  STALLED_RUN,
  /** Advice: a skip connection or a normalisation where the depth profile breaks. */
  ADVICE_DEPTH,
  /** Advice: another initialisation, of all layers or of one. */
  ADVICE_INITIALISATION,
  /** Advice: a learning rate of its own for a layer. */
  ADVICE_LEARNING_RATE,
  /** Advice: another value to clip the gradient to. */
  ADVICE_CLIP,
  /** Advice: another loss scale. */
  ADVICE_LOSS_SCALE,
  /** Advice: a larger or smaller batch, by the gradient noise scale. */
  ADVICE_BATCH_SIZE,
  /** A layer's gradient has settled far above its own level. */
  EXPLODING_SHIFT,
  /** A layer's weights grow by more than their updates. */
  EXPLODING_WEIGHTS,
  /** The optimiser's step is suddenly many times what it was. */
  EXPLODING_UPDATE,
  /** The gradient grows over the depth of the network, toward the input. */
  EXPLODING_DEPTH,
  /** Advice: gradients are large beside the weights. */
  EXPLODING_ABSOLUTE,
  /** Advice: a layer hardly moves, or its gradient drowns in Adam's eps. */
  VANISHING_ABSOLUTE,
  /** Advice: the loss no longer improves. */
  PLATEAU,
  /** Values of a gradient are too small for its number format. */
  UNDERFLOW,
  /** The gradient turns back on itself from step to step. */
  OSCILLATION,
  /** Nearly every step is clipped to a small part of its gradient. */
  CLIP_SATURATION;

  /** Whether the gradient grows beyond what it was. */
  public boolean isExplosion() {
    return name().startsWith("EXPLODING");
  }

  /** Whether it is advice, not a fault: never worse than {@link Severity#INFO}. */
  public boolean isAdvice() {
    return switch (this) {
      case ADVICE_DEPTH,
          ADVICE_INITIALISATION,
          ADVICE_LEARNING_RATE,
          ADVICE_CLIP,
          ADVICE_LOSS_SCALE,
          ADVICE_BATCH_SIZE,
          EXPLODING_ABSOLUTE,
          VANISHING_ABSOLUTE,
          PLATEAU ->
          true;
      default -> false;
    };
  }
}
