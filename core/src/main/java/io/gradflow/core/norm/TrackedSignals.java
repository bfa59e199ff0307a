package io.gradflow.core.norm;

/**
 * The signals of a step that depend on the steps before it, as they were when it first left: a
 * revision repeats them. NaN is unknown, a null column is of nobody.
 *
 * @param cosineSince the step whose gradient cosines are with, -1: there are none
 * @param cosines, cosineErrors per layer
 * @param cosine, cosineError of all layers together
 * @param saturations per layer, percentage points
 * @param adaGcLayers -1 is unknown
 */
public record TrackedSignals(
    long cosineSince,
    float[] cosines,
    float[] cosineErrors,
    double cosine,
    double cosineError,
    float[] saturations,
    double noiseScale,
    double clippedFraction,
    double clipCoefficient,
    double advisedClip,
    double autoClip,
    double zClip,
    int adaGcLayers,
    double adaGcNorm) {

  /** Of a step that no track leads to. */
  static final TrackedSignals NONE = running(Double.NaN, Double.NaN, Double.NaN, Double.NaN);

  /** Of a step that adds nothing to what is running. */
  static TrackedSignals running(
      double noiseScale, double clippedFraction, double clipCoefficient, double advisedClip) {
    return new TrackedSignals(
        -1,
        null,
        null,
        Double.NaN,
        Double.NaN,
        null,
        noiseScale,
        clippedFraction,
        clipCoefficient,
        advisedClip,
        Double.NaN,
        Double.NaN,
        -1,
        Double.NaN);
  }
}
