package io.gradflow.core.norm;

/**
 * The signals of a step that belong to no layer; NaN is unknown.
 *
 * @param cosineSince the step whose gradient cosines are with, -1: there are none
 * @param cosine of the whole gradient with that
 * @param cosineError its standard error
 * @param gradientSquare, noiseTrace of all layers together, as per layer
 * @param noiseScale running estimate of noiseTrace / gradientSquare, in samples or tokens: the
 *     batch size up to which a larger one pays off
 * @param headroom octaves between the largest magnitude, as the trainer holds it, and the end of
 *     its dtype, the least over layers
 * @param underflow share of subnormals among the non-zero elements
 * @param advisedLossScale largest power of two that leaves two octaves of headroom in the layers of
 *     dtype float16
 * @param clippedFraction, clipCoefficient running means of how often and by what the trainer clips
 * @param advisedClip 90th percentile of the last 1,000 global norms
 * @param autoClip, zClip the limit that these methods would have set for this step's global norm
 * @param adaGcLayers layers that AdaGC would have clipped; -1 is unknown
 * @param adaGcNorm the global norm that AdaGC would have left
 * @param depthSlope octaves of RMS per weight layer toward the loss
 * @param depthT that slope over its standard error
 * @param depthDrop octaves that the gradient loses on its way from the last weight layer to the
 *     first; negative: it grows
 */
public record RunSignals(
    long cosineSince,
    double cosine,
    double cosineError,
    double gradientSquare,
    double noiseTrace,
    double noiseScale,
    double headroom,
    double underflow,
    double advisedLossScale,
    double clippedFraction,
    double clipCoefficient,
    double advisedClip,
    double autoClip,
    double zClip,
    int adaGcLayers,
    double adaGcNorm,
    double depthSlope,
    double depthT,
    double depthDrop) {}
