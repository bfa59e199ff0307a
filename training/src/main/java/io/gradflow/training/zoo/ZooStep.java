package io.gradflow.training.zoo;

/**
 * What all ranks know of one step of one stream, after the reduction and before the update. Arrays
 * of arrays are by parameter of the stream ({@code ZooTraining.parameters}), then by element; they
 * are the training's own memory, valid until the observer returns, not to be written.
 *
 * @param attempt counts restarts, from 0
 * @param stream index of the optimiser
 * @param step of that stream, from 0; goes back at a restart from a checkpoint
 * @param local by rank, parameter, element: the gradient of the rank's samples alone, as the rank
 *     holds it (still multiplied by {@code lossScale})
 * @param reduced of all ranks, still multiplied by {@code lossScale}; before clipping
 * @param weights with which the gradients were computed
 * @param updateNorms by parameter, L2 norm of what the update before this step changed; null in the
 *     first step of an attempt
 * @param activations, saturated by parameter, over all ranks' batches
 * @param losses by rank, unscaled
 * @param samples by rank
 * @param learningRate declared
 * @param lossScale 1 where there is none
 * @param skipped the loss scaler skips the step
 * @param clipNorm declared limit; NaN without clipping
 * @param clipCoefficients by rank: what it multiplies the reduced gradient by before the update; 1
 *     without clipping. They differ only where a rank clips wrongly
 * @param reportedNorm by rank: the global norm that the rank's trainer reports
 * @param reports by rank: whether the rank publishes this step
 * @param trainable by parameter: whether it is trained at present; the gradient of others is zero
 */
public record ZooStep(
    int attempt,
    int stream,
    long step,
    float[][][] local,
    float[][] reduced,
    float[][] weights,
    double[] updateNorms,
    long[] activations,
    long[] saturated,
    double[] losses,
    int[] samples,
    double learningRate,
    double lossScale,
    boolean skipped,
    double clipNorm,
    double[] clipCoefficients,
    double[] reportedNorm,
    boolean[] reports,
    boolean[] trainable) {}
