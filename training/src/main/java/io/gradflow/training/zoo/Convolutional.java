package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.Seeds;
import java.util.Random;

/**
 * Convolutions over a short signal, ReLU after each, the mean over positions, and a classifier. A
 * class is a waveform, shown at a random place under noise.
 */
public final class Convolutional extends Network {
  private static final int POSITIONS = 16;
  private static final int PATCH = 3;
  private static final int CLASSES = 4;
  private static final int WAVE = 6;
  private static final double NOISE = 0.4;

  private final double[][] waves = new double[CLASSES][WAVE];
  private final int[] neighbours = new int[POSITIONS * PATCH];
  private final int[] weights;
  private final boolean normalised;
  private final int output;

  /**
   * @param normalised layer normalisation over channels, before each ReLU
   * @param task seed of what is to be learned
   */
  public Convolutional(int depth, int channels, boolean normalised, long task) {
    this.normalised = normalised;
    Random random = Seeds.random(task, "zoo-waves", 0);
    for (double[] wave : waves) {
      for (int i = 0; i < WAVE; i++) {
        wave[i] = 1.5 * random.nextGaussian();
      }
    }
    for (int at = 0; at < POSITIONS; at++) {
      for (int i = 0; i < PATCH; i++) {
        int neighbour = at + i - PATCH / 2;
        neighbours[at * PATCH + i] = neighbour < POSITIONS ? neighbour : -1;
      }
    }
    weights = new int[depth];
    for (int k = 0; k < depth; k++) {
      int fanIn = PATCH * (k == 0 ? 1 : channels);
      weights[k] =
          weight(
              "conv" + (k + 1) + ".weight",
              k,
              LayerKind.WEIGHT,
              channels,
              fanIn,
              Math.sqrt(2.0 / fanIn));
      bias("conv" + (k + 1) + ".bias", k, channels);
      if (normalised) {
        norm("conv" + (k + 1) + ".norm", k, channels);
      }
    }
    output =
        weight(
            "classifier.weight",
            depth,
            LayerKind.WEIGHT,
            CLASSES,
            channels,
            1 / Math.sqrt(channels));
    bias("classifier.bias", depth, CLASSES);
  }

  @Override
  public Batch draw(Random random, int samples) {
    float[] drawn = new float[samples * POSITIONS];
    int[] classes = new int[samples];
    for (int n = 0; n < samples; n++) {
      classes[n] = random.nextInt(CLASSES);
      int place = random.nextInt(POSITIONS - WAVE + 1);
      for (int i = 0; i < POSITIONS; i++) {
        double wave = i >= place && i < place + WAVE ? waves[classes[n]][i - place] : 0;
        drawn[n * POSITIONS + i] = (float) (wave + NOISE * random.nextGaussian());
      }
    }
    return new Batch(samples, drawn, new int[0], new float[0], classes);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    Tape.Node hidden = tape.constant(batch.inputs(), batch.samples() * POSITIONS, 1);
    for (int w : weights) {
      Tape.Node patches = tape.unfolded(hidden, POSITIONS, PATCH, neighbours);
      Tape.Node linear = tape.rowSum(tape.applied(patches, p[w]), p[w + 1]);
      if (normalised) {
        linear = tape.normalised(linear, p[w + 2], p[w + 3]);
      }
      hidden = tape.relu(linear, w);
    }
    Tape.Node pooled = tape.pooled(hidden, POSITIONS);
    Tape.Node out = tape.rowSum(tape.applied(pooled, p[output]), p[output + 1]);
    return tape.crossEntropy(out, batch.classes());
  }
}
