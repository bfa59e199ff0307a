package io.gradflow.core.norm;

import io.gradflow.core.shard.Clip;

/**
 * The numbers of a step that belong to no layer. Null is unknown.
 *
 * @param loss mean over the ranks that sent one, by weight; non-finite if any is
 * @param validationLoss likewise
 * @param learningRates of the lowest rank that sent them
 * @param lossScale what gradients were divided by
 * @param stepSkipped any rank declared that the optimiser skips the step
 * @param reportedGlobalNorm the trainer's own, of the lowest rank that sent one
 * @param weight sum over ranks of tokens or samples
 */
public record StepScalars(
    Double loss,
    Double validationLoss,
    double[] learningRates,
    Double lossScale,
    boolean stepSkipped,
    Clip clip,
    Double reportedGlobalNorm,
    double weight) {}
