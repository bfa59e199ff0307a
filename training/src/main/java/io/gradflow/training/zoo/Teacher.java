package io.gradflow.training.zoo;

import io.gradflow.training.Seeds;
import java.util.Random;

/** A fixed random function of two layers, to be learned from samples. */
final class Teacher {
  private static final int UNITS = 24;

  private final int inputs;
  private final int outputs;
  private final double noise;
  private final double[][] first;
  private final double[][] second;

  /**
   * @param noise deviation of what is added to outputs of about unit variance
   * @param shift how far it is from the teacher of the same seed without a shift, 0 to 1
   */
  Teacher(long seed, int inputs, int outputs, double noise, double shift) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.noise = noise;
    first = new double[UNITS][inputs];
    second = new double[outputs][UNITS];
    fill(first, Seeds.random(seed, "zoo-teacher", 0), 1 / Math.sqrt(inputs), shift);
    fill(second, Seeds.random(seed, "zoo-teacher", 1), 1.6 / Math.sqrt(UNITS), shift);
  }

  /** Standard normal inputs and what the teacher makes of them. */
  Batch draw(Random random, int samples) {
    float[] drawn = new float[samples * inputs];
    for (int i = 0; i < drawn.length; i++) {
      drawn[i] = (float) random.nextGaussian();
    }
    float[] targets = new float[samples * outputs];
    double[] hidden = new double[UNITS];
    for (int n = 0; n < samples; n++) {
      for (int u = 0; u < UNITS; u++) {
        double sum = 0;
        for (int i = 0; i < inputs; i++) {
          sum += first[u][i] * drawn[n * inputs + i];
        }
        hidden[u] = Math.tanh(sum);
      }
      for (int o = 0; o < outputs; o++) {
        double sum = noise * random.nextGaussian();
        for (int u = 0; u < UNITS; u++) {
          sum += second[o][u] * hidden[u];
        }
        targets[n * outputs + o] = (float) sum;
      }
    }
    return new Batch(samples, drawn, new int[0], targets, new int[0]);
  }

  private static void fill(double[][] matrix, Random random, double deviation, double shift) {
    for (double[] row : matrix) {
      for (int i = 0; i < row.length; i++) {
        double own = random.nextGaussian();
        double other = random.nextGaussian();
        row[i] = deviation * (Math.sqrt(1 - shift * shift) * own + shift * other);
      }
    }
  }
}
