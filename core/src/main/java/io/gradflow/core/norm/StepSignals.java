package io.gradflow.core.norm;

import io.gradflow.core.shard.Histograms;

/**
 * What is known of the layers of one step beyond their norms, aligned with {@link NormColumns}. A
 * column is null where nothing carries it; NaN, -1 in a column of counts and an unknown row of the
 * histograms stand for null. Nothing is known of a layer with slices missing or with any non-finite
 * element, but for its weights, activations and counts.
 *
 * @param mean of the elements
 * @param subnormals count of elements that are subnormal in the layer's dtype, as the trainer holds
 *     them
 * @param minNonzeroAbs smallest magnitude above zero
 * @param weightNorm L2 norm of the weights
 * @param updateNorm L2 norm of the last update
 * @param cosine with the gradient of step {@code run.cosineSince}: -1 to 1
 * @param cosineError its standard error: 0 from dot products, more from sketches
 * @param gradientSquare unbiased estimate of the squared norm of the true gradient; may be
 *     negative. With all workers in it is exactly the mean dot product of two workers' gradients
 * @param noiseTrace unbiased estimate of the trace of the covariance of one sample's or token's
 *     gradient, in the unit of the ranks' weights
 * @param saturation share of zeros, or of saturated activations where these are sent, above the
 *     layer's own baseline, in percentage points
 * @param activations, saturated how many the layer had, and how many of these were saturated
 * @param histograms of the magnitudes, by octave
 * @param mismatchedLayers ascending: complete replicas have different content, by their hashes;
 *     null: none
 * @param run what belongs to no layer
 */
public record StepSignals(
    double[] mean,
    long[] subnormals,
    double[] minNonzeroAbs,
    double[] weightNorm,
    double[] updateNorm,
    float[] cosine,
    float[] cosineError,
    double[] gradientSquare,
    double[] noiseTrace,
    float[] saturation,
    long[] activations,
    long[] saturated,
    Histograms histograms,
    int[] mismatchedLayers,
    RunSignals run) {}
