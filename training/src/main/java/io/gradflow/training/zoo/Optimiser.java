package io.gradflow.training.zoo;

/**
 * How weights follow from gradients.
 *
 * @param momentum of the gradient: 0 for plain descent; Adam's first beta
 * @param beta2 of the squares; NaN: not Adam
 * @param epsilon added to the root of the squares
 * @param decay decoupled weight decay (Loshchilov and Hutter 2019), times the learning rate
 */
public record Optimiser(double momentum, double beta2, double epsilon, double decay) {

  /** Plain gradient descent. */
  public static Optimiser sgd() {
    return new Optimiser(0, Double.NaN, 0, 0);
  }

  /** Gradient descent with a momentum of .9. */
  public static Optimiser withMomentum() {
    return new Optimiser(.9, Double.NaN, 0, 0);
  }

  /** Adam (Kingma and Ba 2015), its biases corrected. */
  public static Optimiser adam() {
    return new Optimiser(.9, .999, 1e-8, 0);
  }

  /** Adam with decoupled weight decay, as language models are trained. */
  public static Optimiser adamW() {
    return new Optimiser(.9, .95, 1e-8, .1);
  }

  /** Whether squares of gradients count. */
  public boolean adaptive() {
    return !Double.isNaN(beta2);
  }

  /** The name that a manifest declares. */
  public String label() {
    if (adaptive()) {
      return decay > 0 ? "adamw" : "adam";
    }
    return "sgd";
  }
}
