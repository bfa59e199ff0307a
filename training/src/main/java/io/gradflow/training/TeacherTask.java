package io.gradflow.training;

import java.util.Random;

/**
 * A regression task: the outputs of a fixed random two-layer network plus noise, to be learned from
 * its inputs.
 *
 * <p>Inputs are standard normal, noiseless outputs have about unit variance. The noise is what no
 * training can learn: the loss ends near {@code NOISE * NOISE / 2}.
 */
final class TeacherTask {

  static final int INPUTS = 32;
  static final int OUTPUTS = 8;
  static final double NOISE = 0.3;

  private static final int UNITS = 48;

  private final long seed;
  private final double[][] first = new double[UNITS][INPUTS];
  private final double[][] second = new double[OUTPUTS][UNITS];

  TeacherTask(long seed) {
    this.seed = seed;
    Random random = Seeds.random(seed, "teacher", 0);
    fill(first, random, 1 / Math.sqrt(INPUTS));
    fill(second, random, 1.6 / Math.sqrt(UNITS));
  }

  /** The samples that one rank alone trains on. */
  Samples samplesOf(int rank, int count) {
    Random random = Seeds.random(seed, "samples", rank);
    float[] inputs = new float[count * INPUTS];
    float[] targets = new float[count * OUTPUTS];
    double[] hidden = new double[UNITS];
    for (int n = 0; n < count; n++) {
      for (int i = 0; i < INPUTS; i++) {
        inputs[n * INPUTS + i] = (float) random.nextGaussian();
      }
      for (int u = 0; u < UNITS; u++) {
        double sum = 0;
        for (int i = 0; i < INPUTS; i++) {
          sum += first[u][i] * inputs[n * INPUTS + i];
        }
        hidden[u] = Math.tanh(sum);
      }
      for (int o = 0; o < OUTPUTS; o++) {
        double sum = NOISE * random.nextGaussian();
        for (int u = 0; u < UNITS; u++) {
          sum += second[o][u] * hidden[u];
        }
        targets[n * OUTPUTS + o] = (float) sum;
      }
    }
    return new Samples(inputs, targets);
  }

  private static void fill(double[][] matrix, Random random, double deviation) {
    for (double[] row : matrix) {
      for (int i = 0; i < row.length; i++) {
        row[i] = deviation * random.nextGaussian();
      }
    }
  }

  /**
   * @param inputs one row of {@link #INPUTS} per sample
   * @param targets one row of {@link #OUTPUTS} per sample
   */
  record Samples(float[] inputs, float[] targets) {

    int count() {
      return targets.length / OUTPUTS;
    }

    /** Copies samples {@code from, from + 1, ...}, around the end, into a batch of that size. */
    void copyBatch(long from, float[] batchInputs, float[] batchTargets) {
      int batch = batchTargets.length / OUTPUTS;
      for (int n = 0; n < batch; n++) {
        int at = (int) ((from + n) % count());
        System.arraycopy(inputs, at * INPUTS, batchInputs, n * INPUTS, INPUTS);
        System.arraycopy(targets, at * OUTPUTS, batchTargets, n * OUTPUTS, OUTPUTS);
      }
    }
  }
}
