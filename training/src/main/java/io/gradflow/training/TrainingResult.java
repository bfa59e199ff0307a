package io.gradflow.training;

/**
 * What became of a training.
 *
 * @param losses of the steps done, in order: mean over the ranks, before the step's update
 */
public record TrainingResult(double[] losses) {

  /** Steps done: fewer than asked for when the training was stopped. */
  public int steps() {
    return losses.length;
  }

  /** Loss of the first step; NaN when there was none. */
  public double firstLoss() {
    return losses.length == 0 ? Double.NaN : losses[0];
  }

  /** Loss of the last step; NaN when there was none. */
  public double lastLoss() {
    return losses.length == 0 ? Double.NaN : losses[losses.length - 1];
  }
}
