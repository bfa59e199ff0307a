package io.gradflow.core.incident;

import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;

/**
 * What a kind of finding says of an incident, whatever else is known: the one place that a new kind
 * is entered in.
 *
 * @param cause what it usually comes from; null for advice
 * @param certainty how often that is so, 0 to 1
 * @param precedence among findings of one onset the lowest is the cause of the others: 0 names a
 *     rank, 1 is NaN, 2 says how a training is driven, 3 is a statistic of layers, 4 of the whole
 *     network
 * @param isFact observed exactly: it has no margin over its threshold to speak of
 * @param isEstimate its onset is an estimate
 * @param isApart a matter of its own, beside what the gradient does
 * @param clause for the account: who, by what factor, from which step
 */
record Nature(
    Cause cause,
    double certainty,
    int precedence,
    boolean isFact,
    boolean isEstimate,
    boolean isApart,
    String clause) {
  private static final Nature ADVICE = new Nature(null, 0, 3, false, false, false, "");

  static Nature of(FindingKind kind) {
    return switch (kind) {
      case NON_FINITE -> fact(Cause.NUMERIC, 0.4, 1, "%1$s NaN or Inf at %3$s");
      case EXPLODING_SPIKE -> measured(Cause.OPTIMISER, 0.6, 3, "%1$s ×%2$s at %3$s");
      case EXPLODING_TREND -> estimated(Cause.OPTIMISER, 0.7, "%1$s growing to ×%2$s from %3$s");
      case VANISHING_TREND -> estimated(Cause.OPTIMISER, 0.7, "%1$s falling to 1/%2$s from %3$s");
      case VANISHING_DEPTH ->
          measured(Cause.OPTIMISER, 0.8, 3, "the gradient lost over the depth from %3$s");
      case DEAD_LAYER -> fact(Cause.OPTIMISER, 0.6, 3, "%1$s zero from %3$s");
      case EXPLODING_SHIFT -> estimated(Cause.OPTIMISER, 0.7, "%1$s settled at ×%2$s from %3$s");
      case EXPLODING_WEIGHTS ->
          fact(Cause.OPTIMISER, 0.8, 2, "the weights of %1$s growing by themselves from %3$s");
      case EXPLODING_UPDATE -> measured(Cause.OPTIMISER, 0.8, 4, "the update ×%2$s before %3$s");
      case EXPLODING_DEPTH ->
          measured(Cause.OPTIMISER, 0.8, 3, "the gradient growing over the depth from %3$s");
      case UNDERFLOW -> measured(Cause.NUMERIC, 0.8, 2, "%1$s underflowing from %3$s");
      case OSCILLATION -> measured(Cause.OPTIMISER, 0.7, 3, "%1$s oscillating from %3$s");
      case CLIP_SATURATION ->
          measured(Cause.OPTIMISER, 0.7, 2, "nearly every step clipped from %3$s");
      case RANK_DIVERGENCE -> measured(Cause.DATA, 0.7, 0, "%1$s unlike its peers from %3$s");
      case REPLICA_MISMATCH ->
          measured(Cause.HARDWARE, 0.8, 0, "the copies of %1$s apart from %3$s");
      case STRAGGLER ->
          new Nature(Cause.DELIVERY, 0.8, 3, false, false, true, "%1$s late from %3$s");
      case STALLED_RUN -> apart(Cause.DELIVERY, 0.8, "no step after %3$s");
      case MISSING_SHARDS -> apart(Cause.DELIVERY, 0.9, "%1$s silent from %3$s");
      case CONTRACT -> apart(Cause.OPTIMISER, 0.8, "%1$s against the contract from %3$s");
      case ADVICE_DEPTH,
          ADVICE_INITIALISATION,
          ADVICE_LEARNING_RATE,
          ADVICE_CLIP,
          ADVICE_LOSS_SCALE,
          ADVICE_BATCH_SIZE,
          EXPLODING_ABSOLUTE,
          VANISHING_ABSOLUTE,
          PLATEAU ->
          ADVICE;
    };
  }

  /** Whether it names a rank or says how the training is driven: no statistic of layers. */
  boolean isProven() {
    return precedence == 0 || precedence == 2;
  }

  /** {@link #precedence} of a finding, which may name more than its kind does. */
  static int precedence(Finding finding) {
    boolean namesRank = finding.kind() == FindingKind.NON_FINITE && finding.rank() != null;
    return namesRank ? 0 : of(finding.kind()).precedence;
  }

  private static Nature fact(Cause cause, double certainty, int precedence, String clause) {
    return new Nature(cause, certainty, precedence, true, false, false, clause);
  }

  private static Nature measured(Cause cause, double certainty, int precedence, String clause) {
    return new Nature(cause, certainty, precedence, false, false, false, clause);
  }

  private static Nature estimated(Cause cause, double certainty, String clause) {
    return new Nature(cause, certainty, 3, false, true, false, clause);
  }

  private static Nature apart(Cause cause, double certainty, String clause) {
    return new Nature(cause, certainty, 3, true, false, true, clause);
  }
}
