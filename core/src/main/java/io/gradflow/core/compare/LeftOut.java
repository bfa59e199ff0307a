package io.gradflow.core.compare;

/**
 * Steps of a span in which a layer's gradient has no magnitude to compare, by reason.
 *
 * @param incomplete too little of the layer was received
 * @param nonFinite NaN or Inf in it
 * @param zero all of it is 0, which has no logarithm
 * @param absent nothing of it was due or received, or no norm follows from its placement
 */
public record LeftOut(int incomplete, int nonFinite, int zero, int absent) {

  /** All of them. */
  public int total() {
    return incomplete + nonFinite + zero + absent;
  }
}
