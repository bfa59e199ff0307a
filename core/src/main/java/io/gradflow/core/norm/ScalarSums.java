package io.gradflow.core.norm;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Shard;

/**
 * The numbers of a step that belong to no layer, on their way to {@link StepScalars}. Means are
 * kept as sums and weights; what is taken from the lowest rank that sent it is kept with that rank.
 *
 * @param loss sum of loss times weight, compensated by {@code lossLow}, over {@code lossWeight}
 * @param validation likewise
 * @param weight tokens or samples of all ranks
 * @param stepSkipped whether any rank declared it
 * @param first whether any rank declared that it published no step before this one
 * @param inverseWeights sum of 1 / weight over the ranks that have one
 * @param weighed how many these are
 * @param previousStep the step that ranks published before this one, {@link #NO_STEP} of nobody
 * @param previousAgrees whether all of them say the same
 */
public record ScalarSums(
    double loss,
    double lossLow,
    double lossWeight,
    double validation,
    double validationLow,
    double validationWeight,
    double weight,
    boolean stepSkipped,
    boolean first,
    int ratesRank,
    double[] learningRates,
    int scaleRank,
    Double lossScale,
    int clipRank,
    Clip clip,
    int reportedRank,
    Double reportedGlobalNorm,
    double inverseWeights,
    int weighed,
    long previousStep,
    boolean previousAgrees) {

  private static final int NOBODY = Integer.MAX_VALUE;
  private static final long NO_STEP = Long.MIN_VALUE;

  /** Of nobody. */
  public static final ScalarSums NONE =
      new ScalarSums(
          0, 0, 0, 0, 0, 0, 0, false, false, NOBODY, null, NOBODY, null, NOBODY, null, NOBODY, null,
          0, 0, NO_STEP, true);

  /** What one record says; a rank's sums are to be added once per step ({@link #weighed}). */
  static ScalarSums of(Shard shard) {
    int rank = shard.rank();
    return new ScalarSums(
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        shard.stepSkipped(),
        shard.previousStep() < 0,
        shard.learningRates() == null ? NOBODY : rank,
        shard.learningRates(),
        shard.lossScale() == null ? NOBODY : rank,
        shard.lossScale(),
        shard.clip() == null ? NOBODY : rank,
        shard.clip(),
        shard.reportedGlobalNorm() == null ? NOBODY : rank,
        shard.reportedGlobalNorm(),
        0,
        0,
        shard.previousStep(),
        true);
  }

  /** A rank's losses and weight. Losses of a rank without weight count for nothing. */
  static ScalarSums weighed(Double loss, Double validationLoss, double weight) {
    boolean hasLoss = loss != null && weight > 0;
    boolean hasValidation = validationLoss != null && weight > 0;
    return new ScalarSums(
        hasLoss ? loss * weight : 0,
        0,
        hasLoss ? weight : 0,
        hasValidation ? validationLoss * weight : 0,
        0,
        hasValidation ? weight : 0,
        weight,
        false,
        false,
        NOBODY,
        null,
        NOBODY,
        null,
        NOBODY,
        null,
        NOBODY,
        null,
        weight > 0 ? 1 / weight : 0,
        weight > 0 ? 1 : 0,
        NO_STEP,
        true);
  }

  /** Both together. */
  ScalarSums with(ScalarSums other) {
    double[] losses = {loss, validation};
    double[] low = {lossLow, validationLow};
    LayerSums.add(losses, low, 0, other.loss);
    LayerSums.add(losses, low, 1, other.validation);
    return new ScalarSums(
        losses[0],
        low[0] + other.lossLow,
        lossWeight + other.lossWeight,
        losses[1],
        low[1] + other.validationLow,
        validationWeight + other.validationWeight,
        weight + other.weight,
        stepSkipped || other.stepSkipped,
        first || other.first,
        Math.min(ratesRank, other.ratesRank),
        ratesRank <= other.ratesRank ? learningRates : other.learningRates,
        Math.min(scaleRank, other.scaleRank),
        scaleRank <= other.scaleRank ? lossScale : other.lossScale,
        Math.min(clipRank, other.clipRank),
        clipRank <= other.clipRank ? clip : other.clip,
        Math.min(reportedRank, other.reportedRank),
        reportedRank <= other.reportedRank ? reportedGlobalNorm : other.reportedGlobalNorm,
        inverseWeights + other.inverseWeights,
        weighed + other.weighed,
        Math.max(previousStep, other.previousStep),
        previousAgrees
            && other.previousAgrees
            && (previousStep == other.previousStep
                || previousStep == NO_STEP
                || other.previousStep == NO_STEP));
  }

  /** The step that every rank published before this one; -1 if they differ or there was none. */
  long commonPreviousStep() {
    return previousAgrees ? Math.max(-1, previousStep) : -1;
  }

  /** Tokens or samples of a rank: the harmonic mean over the ranks that have any; NaN of none. */
  double weightOfRank() {
    return weighed == 0 ? Double.NaN : weighed / inverseWeights;
  }

  /** The step's scalars. */
  StepScalars result() {
    return new StepScalars(
        mean(loss, lossLow, lossWeight),
        mean(validation, validationLow, validationWeight),
        learningRates,
        lossScale,
        stepSkipped,
        clip,
        reportedGlobalNorm,
        weight);
  }

  private static Double mean(double sum, double low, double weight) {
    if (weight == 0) {
      return null;
    }
    return (Double.isFinite(sum) ? sum + low : sum) / weight;
  }
}
