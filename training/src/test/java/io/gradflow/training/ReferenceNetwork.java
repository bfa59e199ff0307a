package io.gradflow.training;

import static io.gradflow.training.TeacherTask.INPUTS;
import static io.gradflow.training.TeacherTask.OUTPUTS;

/** The loss of {@link ResidualNetwork}, in double precision, by its formula alone. */
final class ReferenceNetwork {

  private ReferenceNetwork() {}

  static double loss(
      double[][] weights, float[] inputs, float[] targets, int depth, int width, int masked) {
    int samples = targets.length / OUTPUTS;
    double squares = 0;
    for (int n = 0; n < samples; n++) {
      double[] x = new double[INPUTS];
      for (int i = 0; i < INPUTS; i++) {
        x[i] = inputs[n * INPUTS + i];
      }
      double[] h = times(weights[0], x, width);
      for (int i = 0; i < width; i++) {
        h[i] = Math.tanh(h[i] + weights[1][i]);
      }
      for (int k = 1; k <= depth; k++) {
        double[] z = times(weights[2 * k], k == masked ? new double[width] : h, width);
        double[] next = new double[width];
        for (int i = 0; i < width; i++) {
          next[i] = h[i] + weights[2 * k + 1][i];
          for (int u = 0; u < width; u++) {
            next[i] += 4.0 / depth * weights[2 * k][u * width + i] * Math.max(z[u], 0);
          }
        }
        h = next;
      }
      double[] y = times(weights[2 * depth + 2], h, OUTPUTS);
      for (int o = 0; o < OUTPUTS; o++) {
        double residual = y[o] + weights[2 * depth + 3][o] - targets[n * OUTPUTS + o];
        squares += residual * residual;
      }
    }
    return squares / (2 * targets.length);
  }

  private static double[] times(double[] matrix, double[] vector, int rows) {
    double[] product = new double[rows];
    for (int r = 0; r < rows; r++) {
      for (int c = 0; c < vector.length; c++) {
        product[r] += matrix[r * vector.length + c] * vector[c];
      }
    }
    return product;
  }
}
