package io.gradflow.trainer.dl4j;

/**
 * Dense layers with tanh between them and softmax with cross-entropy at the end, in double and by
 * plain loops: what a network's gradient has to be, worked out without its framework.
 */
final class Perceptron {
  private final double[][][] weights;
  private final double[][] biases;

  /** Gradients of the mean loss over examples: of each layer its weights, then its biases. */
  record Gradients(double loss, double[][][] weights, double[][] biases) {}

  /**
   * @param weights by layer, input and output
   * @param biases by layer and output
   */
  Perceptron(double[][][] weights, double[][] biases) {
    this.weights = weights;
    this.biases = biases;
  }

  /**
   * @param inputs by example and feature
   * @param labels the right class of each example
   */
  Gradients gradients(double[][] inputs, int[] labels) {
    int layers = weights.length;
    double[][][] weightGradients = new double[layers][][];
    double[][] biasGradients = new double[layers][];
    for (int layer = 0; layer < layers; layer++) {
      weightGradients[layer] = new double[weights[layer].length][biases[layer].length];
      biasGradients[layer] = new double[biases[layer].length];
    }
    double loss = 0;
    for (int example = 0; example < inputs.length; example++) {
      double[][] outputs = forward(inputs[example]);
      loss -= Math.log(outputs[layers][labels[example]]) / inputs.length;
      double[] error = outputs[layers].clone();
      error[labels[example]] -= 1;
      for (int layer = layers - 1; layer >= 0; layer--) {
        double[] below = outputs[layer];
        double[] errorBelow = new double[below.length];
        for (int out = 0; out < error.length; out++) {
          biasGradients[layer][out] += error[out] / inputs.length;
          for (int in = 0; in < below.length; in++) {
            weightGradients[layer][in][out] += below[in] * error[out] / inputs.length;
            errorBelow[in] += weights[layer][in][out] * error[out];
          }
        }
        for (int in = 0; in < below.length; in++) {
          // Of no use for the lowest layer, whose inputs are no outputs of a tanh.
          errorBelow[in] *= 1 - below[in] * below[in];
        }
        error = errorBelow;
      }
    }
    return new Gradients(loss, weightGradients, biasGradients);
  }

  private double[][] forward(double... input) {
    double[][] outputs = new double[weights.length + 1][];
    outputs[0] = input;
    for (int layer = 0; layer < weights.length; layer++) {
      double[] sums = biases[layer].clone();
      for (int out = 0; out < sums.length; out++) {
        for (int in = 0; in < outputs[layer].length; in++) {
          sums[out] += outputs[layer][in] * weights[layer][in][out];
        }
      }
      outputs[layer + 1] = layer == weights.length - 1 ? softmax(sums) : tanh(sums);
    }
    return outputs;
  }

  private static double[] tanh(double... sums) {
    for (int i = 0; i < sums.length; i++) {
      sums[i] = Math.tanh(sums[i]);
    }
    return sums;
  }

  private static double[] softmax(double... sums) {
    double total = 0;
    for (int i = 0; i < sums.length; i++) {
      sums[i] = Math.exp(sums[i]);
      total += sums[i];
    }
    for (int i = 0; i < sums.length; i++) {
      sums[i] /= total;
    }
    return sums;
  }
}
