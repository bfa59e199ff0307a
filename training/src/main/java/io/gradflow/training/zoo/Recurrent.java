package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.Seeds;
import java.util.Random;

/**
 * Two recurrent layers, one on top of the other, that read a sequence and say at its end what a
 * fixed random function of its first and its last part is. Gradients flow through all its steps.
 */
public final class Recurrent extends Network {
  private static final int INPUTS = 4;
  private static final int OUTPUTS = 2;
  private static final int LAYERS = 2;

  private final int sequence;
  private final boolean rectified;
  private final double[][] teacher = new double[OUTPUTS][2 * INPUTS];
  private final int[] inputs = new int[LAYERS];
  private final int output;

  /**
   * @param gain of the recurrent weights: their deviation is gain / sqrt(width)
   * @param rectified ReLU instead of tanh
   * @param task seed of what is to be learned
   */
  public Recurrent(int sequence, int width, double gain, boolean rectified, long task) {
    this.sequence = sequence;
    this.rectified = rectified;
    Random random = Seeds.random(task, "zoo-sequence", 0);
    for (double[] row : teacher) {
      for (int i = 0; i < row.length; i++) {
        row[i] = random.nextGaussian() * Math.sqrt(sequence / 2.0 / row.length);
      }
    }
    for (int layer = 0; layer < LAYERS; layer++) {
      String block = "recurrent" + (layer + 1);
      int fanIn = layer == 0 ? INPUTS : width;
      inputs[layer] =
          weight(
              block + ".input.weight", layer, LayerKind.WEIGHT, width, fanIn, 1 / Math.sqrt(fanIn));
      weight(
          block + ".state.weight", layer, LayerKind.WEIGHT, width, width, gain / Math.sqrt(width));
      bias(block + ".state.bias", layer, width);
    }
    output =
        weight("output.weight", LAYERS, LayerKind.WEIGHT, OUTPUTS, width, 1 / Math.sqrt(width));
    bias("output.bias", LAYERS, OUTPUTS);
  }

  @Override
  public Batch draw(Random random, int samples) {
    float[] drawn = new float[samples * sequence * INPUTS];
    float[] targets = new float[samples * OUTPUTS];
    for (int n = 0; n < samples; n++) {
      double[] sums = new double[2 * INPUTS];
      for (int t = 0; t < sequence; t++) {
        for (int i = 0; i < INPUTS; i++) {
          float value = (float) random.nextGaussian();
          drawn[(n * sequence + t) * INPUTS + i] = value;
          sums[(2 * t / sequence) * INPUTS + i] += value / (sequence / 2.0);
        }
      }
      for (int o = 0; o < OUTPUTS; o++) {
        double sum = 0;
        for (int i = 0; i < sums.length; i++) {
          sum += teacher[o][i] * sums[i];
        }
        targets[n * OUTPUTS + o] = (float) Math.tanh(sum);
      }
    }
    return new Batch(samples, drawn, new int[0], targets, new int[0]);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    int samples = batch.samples();
    Tape.Node all = tape.constant(batch.inputs(), samples * sequence, INPUTS);
    Tape.Node[] state = new Tape.Node[LAYERS];
    for (int t = 0; t < sequence; t++) {
      int[] rows = new int[samples];
      for (int n = 0; n < samples; n++) {
        rows[n] = n * sequence + t;
      }
      Tape.Node below = tape.gathered(all, rows);
      for (int layer = 0; layer < LAYERS; layer++) {
        int w = inputs[layer];
        Tape.Node linear = tape.rowSum(tape.applied(below, p[w]), p[w + 2]);
        if (state[layer] != null) {
          linear = tape.sum(linear, tape.applied(state[layer], p[w + 1]));
        }
        state[layer] = rectified ? tape.relu(linear, w + 1) : tape.tanh(linear, w + 1);
        below = state[layer];
      }
    }
    Tape.Node out = tape.rowSum(tape.applied(state[LAYERS - 1], p[output]), p[output + 1]);
    return tape.squares(out, batch.targets());
  }
}
