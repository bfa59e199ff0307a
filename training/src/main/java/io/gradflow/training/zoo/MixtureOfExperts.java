package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import java.util.Arrays;
import java.util.Random;

/**
 * A residual network whose blocks send each sample to one of several experts, the one its router
 * finds most likely, weighted by that likelihood (Fedus, Zoph and Shazeer 2022). A further loss
 * keeps experts equally busy.
 */
public final class MixtureOfExperts extends Network {
  private static final int INPUTS = 16;
  private static final int OUTPUTS = 4;

  private final Teacher teacher;
  private final int experts;
  private final double balance;
  private final int[] routers;
  private final int output;

  /**
   * @param balance weight of the loss that keeps experts equally busy
   * @param task seed of what is to be learned
   */
  public MixtureOfExperts(int blocks, int experts, int width, double balance, long task) {
    this.experts = experts;
    this.balance = balance;
    teacher = new Teacher(task, INPUTS, OUTPUTS, 0.2, 0);
    double deviation = 1 / Math.sqrt(width);
    weight("input.weight", 0, LayerKind.WEIGHT, width, INPUTS, 1 / Math.sqrt(INPUTS));
    bias("input.bias", 0, width);
    routers = new int[blocks];
    for (int b = 0; b < blocks; b++) {
      String block = "blocks." + b;
      routers[b] =
          weight(block + ".router.weight", b + 1, LayerKind.ROUTER, experts, width, deviation);
      declare(block + ".router.bias", b + 1, LayerKind.ROUTER, 1, experts, 0, 0, 0);
      for (int e = 0; e < experts; e++) {
        String expert = block + ".experts." + e;
        weight(expert + ".up", b + 1, LayerKind.EXPERT, width, width, Math.sqrt(2) * deviation);
        weight(expert + ".down", b + 1, LayerKind.EXPERT, width, width, deviation);
      }
    }
    output = weight("output.weight", blocks + 1, LayerKind.WEIGHT, OUTPUTS, width, deviation);
    bias("output.bias", blocks + 1, OUTPUTS);
  }

  @Override
  public Batch draw(Random random, int samples) {
    return teacher.draw(random, samples);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    Tape.Node inputs = tape.constant(batch.inputs(), batch.samples(), INPUTS);
    Tape.Node hidden = tape.tanh(tape.rowSum(tape.applied(inputs, p[0]), p[1]), 0);
    Tape.Node busy = null;
    for (int router : routers) {
      Tape.Node likely = tape.softmax(tape.rowSum(tape.applied(hidden, p[router]), p[router + 1]));
      int[] chosen = mostLikely(likely);
      Tape.Node picked = tape.picked(likely, chosen);
      float[] shares = new float[experts];
      for (int e = 0; e < experts; e++) {
        int[] rows = rowsOf(chosen, e);
        shares[e] = (float) rows.length / chosen.length;
        if (rows.length == 0) {
          continue;
        }
        int up = router + 2 + 2 * e;
        Tape.Node inner = tape.relu(tape.applied(tape.gathered(hidden, rows), p[up]), up);
        Tape.Node out = tape.rowsTimes(tape.applied(inner, p[up + 1]), tape.gathered(picked, rows));
        hidden = tape.sum(hidden, tape.scattered(out, batch.samples(), rows));
      }
      Tape.Node load =
          tape.pooled(tape.applied(likely, tape.constant(shares, 1, experts)), batch.samples());
      Tape.Node weighted = tape.scaled(load, (float) (balance * experts));
      busy = busy == null ? weighted : tape.sum(busy, weighted);
    }
    Tape.Node out = tape.rowSum(tape.applied(hidden, p[output]), p[output + 1]);
    return tape.sum(tape.squares(out, batch.targets()), busy);
  }

  private int[] mostLikely(Tape.Node likely) {
    int[] chosen = new int[likely.rows()];
    for (int r = 0; r < chosen.length; r++) {
      for (int e = 1; e < experts; e++) {
        if (likely.value()[r * experts + e] > likely.value()[r * experts + chosen[r]]) {
          chosen[r] = e;
        }
      }
    }
    return chosen;
  }

  private static int[] rowsOf(int[] chosen, int expert) {
    int[] rows = new int[chosen.length];
    int count = 0;
    for (int r = 0; r < chosen.length; r++) {
      if (chosen[r] == expert) {
        rows[count++] = r;
      }
    }
    return Arrays.copyOf(rows, count);
  }
}
