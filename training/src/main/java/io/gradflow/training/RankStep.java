package io.gradflow.training;

/**
 * What one rank knows of one step, after the all-reduce and before the update.
 *
 * <p>Arrays are indexed by layer, as {@link DataParallelTraining#layers()}, then by element. They
 * are the training's own memory: valid until the observer returns, not to be written.
 *
 * @param rank from 0
 * @param step from 0
 * @param local gradient of this rank's samples alone
 * @param reduced mean of the local gradients over all ranks; the same on every rank
 * @param weights values of the parameters the gradients were computed with
 * @param updateNorms L2 norm per layer of what the update of the step before took from the weights,
 *     NaN if that was not finite; null in the first step
 * @param activations how many each layer had in this step's batch; 0 of layers without
 * @param saturated how many of these were zero
 * @param loss mean over this rank's samples of the step
 * @param learningRate the declared one; a fault may let a layer use another
 * @param samples this rank contributed to the step
 */
public record RankStep(
    int rank,
    long step,
    float[][] local,
    float[][] reduced,
    float[][] weights,
    float[] updateNorms,
    long[] activations,
    long[] saturated,
    double loss,
    double learningRate,
    int samples) {}
