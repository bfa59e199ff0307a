package io.gradflow.training.zoo;

/**
 * What is different in one backward pass.
 *
 * @param nanAt index of the parameter in whose layer one value of the backward pass is NaN; -1:
 *     none
 * @param half every value of the backward pass, and the gradient, is rounded to IEEE half precision
 *     (subnormals and overflow to infinity included)
 * @param lossScale the loss is multiplied by it before the backward pass; the gradient still is
 */
public record Disturbance(int nanAt, boolean half, float lossScale) {
  /** Nothing is. */
  public static final Disturbance NONE = new Disturbance(-1, false, 1);
}
