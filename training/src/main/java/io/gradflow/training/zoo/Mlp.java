package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import java.util.Random;

/**
 * A network of fully connected layers that learns a {@link Teacher}: input, {@code depth} blocks,
 * output. A block is {@code act(norm(W h + b))}, added to h where it is residual.
 */
public final class Mlp extends Network {
  private static final int INPUTS = 16;
  private static final int OUTPUTS = 4;

  /** What follows each linear map. */
  public enum Activation {
    RELU,
    TANH,
    SIGMOID,
    SILU
  }

  /**
   * What the network is like.
   *
   * @param depth blocks between input and output layer
   * @param gain weights have a deviation of gain / sqrt(their inputs); the usual one is sqrt(2) for
   *     ReLU and 1 for tanh
   * @param noise deviation of what is added to targets of about unit variance
   */
  public record Shape(
      int depth,
      int width,
      Activation activation,
      boolean normalised,
      boolean residual,
      double gain,
      double noise) {}

  private final Shape shape;
  private final Teacher teacher;
  private final int[] weights;
  private final int[] norms;
  private final int output;

  /**
   * @param task seed of what is to be learned
   */
  public Mlp(Shape shape, long task) {
    this.shape = shape;
    teacher = new Teacher(task, INPUTS, OUTPUTS, shape.noise(), 0);
    weights = new int[shape.depth() + 1];
    norms = new int[shape.depth() + 1];
    int width = shape.width();
    for (int k = 0; k <= shape.depth(); k++) {
      String block = k == 0 ? "input" : "block" + k;
      int fanIn = k == 0 ? INPUTS : width;
      double gain = k == 0 ? 1 : shape.gain();
      weights[k] =
          weight(block + ".weight", k, LayerKind.WEIGHT, width, fanIn, gain / Math.sqrt(fanIn));
      bias(block + ".bias", k, width);
      norms[k] = shape.normalised() ? norm(block + ".norm", k, width) : -1;
    }
    int depth = shape.depth() + 1;
    output = weight("output.weight", depth, LayerKind.WEIGHT, OUTPUTS, width, 1 / Math.sqrt(width));
    bias("output.bias", depth, OUTPUTS);
  }

  @Override
  public Batch draw(Random random, int samples) {
    return teacher.draw(random, samples);
  }

  @Override
  Tape.Node loss(Tape tape, Tape.Node[] p, int stream, Batch batch) {
    Tape.Node hidden = tape.constant(batch.inputs(), batch.samples(), INPUTS);
    for (int k = 0; k < weights.length; k++) {
      int w = weights[k];
      Tape.Node linear = tape.rowSum(tape.applied(hidden, p[w]), p[w + 1]);
      if (norms[k] >= 0) {
        linear = tape.normalised(linear, p[norms[k]], p[norms[k] + 1]);
      }
      Tape.Node out =
          switch (shape.activation()) {
            case RELU -> tape.relu(linear, w);
            case TANH -> tape.tanh(linear, w);
            case SIGMOID -> tape.sigmoid(linear, w);
            case SILU -> tape.silu(linear);
          };
      hidden = shape.residual() && k > 0 ? tape.sum(hidden, out) : out;
    }
    Tape.Node out = tape.rowSum(tape.applied(hidden, p[output]), p[output + 1]);
    return tape.squares(out, batch.targets());
  }
}
