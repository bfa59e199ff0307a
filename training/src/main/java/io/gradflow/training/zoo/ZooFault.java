package io.gradflow.training.zoo;

/**
 * What is done to a training of the zoo so that it goes wrong.
 *
 * @param onset the first step it acts on
 * @param end the first step it no longer acts on; {@link Long#MAX_VALUE}: none
 * @param rank whom it strikes; -1: all
 * @param parameter index of the parameter that it strikes; -1: all, or none in particular
 * @param strength see {@link Kind}
 */
public record ZooFault(Kind kind, long onset, long end, int rank, int parameter, double strength) {

  /** What is done. */
  public enum Kind {
    /** At the onset the parameter's weights are multiplied by the strength. */
    WEIGHTS_ONCE,
    /** In every step the parameter's weights are multiplied by the strength. */
    WEIGHTS_GROW,
    /** At the onset the parameter, a bias, is set to the strength. */
    BIAS,
    /** The learning rate is multiplied by the strength. */
    RATE,
    /** The loss scale is the strength, and no step is skipped. */
    LOSS_SCALE,
    /**
     * The rank's gradient has that share of the parameter's elements (of all parameters' at -1)
     * with one bit of the exponent flipped, which makes them larger.
     */
    BIT_FLIPS,
    /** The rank's gradient is multiplied by the strength: -1 flips its sign, 0 leaves nothing. */
    GRADIENT,
    /** The rank's gradient is off by noise of that part of its norm. */
    NOISE,
    /** The inputs are multiplied by the strength. */
    INPUTS,
    /** The targets belong to other samples. */
    LABELS,
    /** The parameter's layer computes a NaN. */
    NAN,
    /** The optimiser leaves the parameter as it is. */
    FROZEN,
    /** The limit of the norm is the strength. */
    CLIP,
    /** The ranks of the tensor-parallel slice {@code rank} do not clip. */
    CLIP_SKIPPED,
    /** Adam's second beta is the strength. */
    BETA2,
    /** The parameter, a router's bias, prefers one expert by the strength more in every step. */
    ROUTER,
    /** Gradients of the ranks are added up, the mean being declared. */
    SUM,
    /** The rank reports nothing. */
    SILENT
  }

  public ZooFault {
    if (onset < 0 || end <= onset) {
      throw new IllegalArgumentException(
          "fault %s: expected 0 <= onset < end, got %d and %d".formatted(kind, onset, end));
    }
  }

  boolean acts(long step) {
    return step >= onset && step < end;
  }

  boolean strikes(long step, int ofRank) {
    return acts(step) && (rank < 0 || rank == ofRank);
  }
}
