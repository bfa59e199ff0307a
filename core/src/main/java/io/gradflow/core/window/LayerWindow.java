package io.gradflow.core.window;

/**
 * One layer over one window of steps, aligned to the step number.
 *
 * @param layer name of the layer; {@code layerIndex} is its index in the manifest
 * @param firstStep the window's first step number, a multiple of its length; part of the record's
 *     key
 * @param length in step numbers
 * @param open true while later steps may still join: the record is published again under its key
 * @param steps that contributed
 * @param firstSeen, lastSeen the first and last contributing step
 * @param completeness mean over the contributing steps of the layer's completeness
 * @param l2 of the layer's L2 norm; null when no step had one
 * @param log2Rms of log2 RMS, in octaves; null when no step had one above zero
 * @param slope of log2 RMS over the steps, octaves per step, least squares; of the steps that the
 *     optimiser did not skip and that have nine tenths of the layer; null with fewer than three
 * @param nonFinite steps in which the layer had a NaN or Inf
 * @param zeros sum of exact zeros; null when unknown
 * @param signals what is known beyond norms; null if nothing is
 */
public record LayerWindow(
    String runId,
    long attempt,
    String stream,
    long manifestId,
    String layer,
    int layerIndex,
    long firstStep,
    int length,
    boolean open,
    int steps,
    long firstSeen,
    long lastSeen,
    double completeness,
    Spread l2,
    Spread log2Rms,
    Double slope,
    int nonFinite,
    Long zeros,
    WindowSignals signals) {

  /** Where the values of a window lie. p50 and p95 are exact, by nearest rank. */
  public record Spread(double mean, double min, double max, double last, double p50, double p95) {}
}
