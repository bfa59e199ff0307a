package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.Seeds;
import java.util.Random;

/**
 * A trained network that stays as it is, with a low-rank product beside each matrix that learns a
 * shifted task (Hu et al. 2021): {@code act((W + B A) h + b)}, B being zero at first.
 */
public final class Adapters extends Network {
  private static final int INPUTS = 16;
  private static final int OUTPUTS = 4;
  private static final int RANK = 4;
  private static final int PRETRAINING = 300;
  private static final int PRETRAINING_BATCH = 32;
  private static final float PRETRAINING_RATE = 0.1f;
  private static final double SHIFT = 0.6;

  private final Teacher shifted;
  private final int[] weights;
  private final float[][] pretrained;

  /**
   * @param task seed of what was learned, and is to be learned
   */
  public Adapters(int depth, int width, long task) {
    shifted = new Teacher(task, INPUTS, OUTPUTS, 0.2, SHIFT);
    weights = new int[depth + 2];
    for (int k = 0; k <= depth + 1; k++) {
      String block = k == 0 ? "input" : k <= depth ? "block" + k : "output";
      int rows = k <= depth ? width : OUTPUTS;
      int columns = k == 0 ? INPUTS : width;
      double deviation = 1 / Math.sqrt(columns);
      weights[k] = weight(block + ".weight", k, LayerKind.WEIGHT, rows, columns, deviation);
      bias(block + ".bias", k, rows);
      weight(block + ".adapterA", k, LayerKind.ADAPTER, RANK, columns, deviation);
      declare(block + ".adapterB", k, LayerKind.ADAPTER, rows, RANK, 0, 0, 0);
    }
    pretrained = pretrain(new Teacher(task, INPUTS, OUTPUTS, 0.2, 0), task);
    for (int w : weights) {
      redeclare(w, false, false);
      redeclare(w + 1, false, false);
      // A's gradient is zero as long as B is.
      redeclare(w + 2, true, true);
    }
  }

  private float[][] pretrain(Teacher teacher, long task) {
    Random random = Seeds.random(task, "zoo-pretraining", 0);
    float[][] trained = super.initial(random);
    float[][] gradient = super.initial(random);
    for (int step = 0; step < PRETRAINING; step++) {
      backward(0, trained, teacher.draw(random, PRETRAINING_BATCH), gradient, Disturbance.NONE);
      for (int w : weights) {
        for (int i = w; i <= w + 1; i++) {
          for (int e = 0; e < trained[i].length; e++) {
            trained[i][e] -= PRETRAINING_RATE * gradient[i][e];
          }
        }
      }
    }
    return trained;
  }

  @Override
  public float[][] initial(Random random) {
    float[][] initial = super.initial(random);
    for (int w : weights) {
      initial[w] = pretrained[w].clone();
      initial[w + 1] = pretrained[w + 1].clone();
    }
    return initial;
  }

  @Override
  public Batch draw(Random random, int samples) {
    return shifted.draw(random, samples);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    Tape.Node hidden = tape.constant(batch.inputs(), batch.samples(), INPUTS);
    for (int w : weights) {
      Tape.Node adapted = tape.applied(tape.applied(hidden, p[w + 2]), p[w + 3]);
      Tape.Node linear = tape.rowSum(tape.sum(tape.applied(hidden, p[w]), adapted), p[w + 1]);
      hidden = w == weights[weights.length - 1] ? linear : tape.tanh(linear, w);
    }
    return tape.squares(hidden, batch.targets());
  }
}
