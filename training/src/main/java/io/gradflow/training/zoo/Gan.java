package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import java.util.List;
import java.util.Random;

/**
 * Two networks that learn against each other (Goodfellow et al. 2014, with the loss that does not
 * saturate): one makes points of noise, the other tells them from those of a ring of Gaussians.
 */
public final class Gan extends Network {
  private static final int GENERATOR = 0;
  private static final int DISCRIMINATOR = 1;
  private static final int POINT = 2;
  private static final int NOISE = 4;
  private static final int MODES = 6;
  private static final double SPREAD = 0.15;

  private final int depth;
  private final double turn;
  private final int[][] first = new int[2][];

  /**
   * @param depth layers of each network, but for the last
   * @param task turns the ring
   */
  public Gan(int depth, int width, long task) {
    this.depth = depth;
    turn = new Random(task).nextDouble();
    String[] names = {"generator", "discriminator"};
    for (int network = 0; network < 2; network++) {
      first[network] = new int[depth + 1];
      for (int k = 0; k <= depth; k++) {
        int inputs = k > 0 ? width : network == GENERATOR ? NOISE : POINT;
        int outputs = k < depth ? width : network == GENERATOR ? POINT : 1;
        String block = names[network] + ".layer" + k;
        double deviation = Math.sqrt((k < depth ? 2.0 : 1.0) / inputs);
        first[network][k] =
            declare(block + ".weight", k, LayerKind.WEIGHT, outputs, inputs, 0, deviation, network);
        declare(block + ".bias", k, LayerKind.BIAS, 1, outputs, 0, 0, network);
      }
    }
  }

  @Override
  public List<String> streams() {
    return List.of("generator", "discriminator");
  }

  @Override
  public Batch draw(Random random, int samples) {
    float[] points = new float[samples * POINT];
    float[] noise = new float[samples * NOISE];
    for (int n = 0; n < samples; n++) {
      double angle = 2 * Math.PI * (random.nextInt(MODES) + turn) / MODES;
      points[2 * n] = (float) (Math.cos(angle) + SPREAD * random.nextGaussian());
      points[2 * n + 1] = (float) (Math.sin(angle) + SPREAD * random.nextGaussian());
    }
    for (int i = 0; i < noise.length; i++) {
      noise[i] = (float) random.nextGaussian();
    }
    return new Batch(samples, points, new int[0], noise, new int[0]);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    Tape.Node noise = tape.constant(batch.targets(), batch.samples(), NOISE);
    Tape.Node made = judged(tape, p, DISCRIMINATOR, judged(tape, p, GENERATOR, noise));
    if (stream == GENERATOR) {
      return tape.logisticLoss(made, 1);
    }
    Tape.Node points = tape.constant(batch.inputs(), batch.samples(), POINT);
    Tape.Node real = judged(tape, p, DISCRIMINATOR, points);
    Tape.Node both = tape.sum(tape.logisticLoss(real, 1), tape.logisticLoss(made, 0));
    return tape.scaled(both, 0.5f);
  }

  private Tape.Node judged(Tape tape, Tape.Node[] p, int network, Tape.Node inputs) {
    Tape.Node hidden = inputs;
    for (int k = 0; k <= depth; k++) {
      int w = first[network][k];
      Tape.Node linear = tape.rowSum(tape.applied(hidden, p[w]), p[w + 1]);
      hidden = k == depth ? linear : tape.relu(linear, w);
    }
    return hidden;
  }
}
