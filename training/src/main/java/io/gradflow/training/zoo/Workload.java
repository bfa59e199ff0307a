package io.gradflow.training.zoo;

import java.util.List;
import java.util.Random;

/**
 * A network with its task: what one rank computes in one step. Holds no weights; not thread-safe,
 * for it reuses its buffers; the same arguments give the same results, bit for bit.
 */
public interface Workload {

  /** The parameter tensors, in forward order. */
  List<Parameter> parameters();

  /** The optimisers by name: {@code main}, or one for each of several networks. */
  default List<String> streams() {
    return List.of("main");
  }

  /** Initial weights, by parameter and element. */
  float[][] initial(Random random);

  /** Draws a batch of the task. */
  Batch draw(Random random, int samples);

  /**
   * Computes the mean loss of a batch and its gradient.
   *
   * @param stream index of the optimiser whose loss it is
   * @param gradient overwritten, by parameter and element; zeros for parameters of other streams
   * @return the loss; may be non-finite
   */
  double backward(
      int stream, float[][] weights, Batch batch, float[][] gradient, Disturbance disturbance);

  /**
   * Of the last {@link #backward}: how many activations each parameter's layer had, 0 where none
   * are counted, and how many of them were saturated (zero after a ReLU, within 1 % of the limits
   * of a sigmoid or tanh).
   */
  long[] activations();

  /** See {@link #activations}. */
  long[] saturated();
}
