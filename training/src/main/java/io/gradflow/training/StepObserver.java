package io.gradflow.training;

/** Sees the gradients of a training while it runs. */
@FunctionalInterface
public interface StepObserver {

  /**
   * Called once per rank and step on the rank's own thread, by several ranks at the same time. The
   * step ends only when every rank's call has returned; an exception ends the training.
   */
  void observe(RankStep step);
}
