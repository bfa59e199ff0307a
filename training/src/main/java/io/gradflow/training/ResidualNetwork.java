package io.gradflow.training;

import static io.gradflow.training.TeacherTask.INPUTS;
import static io.gradflow.training.TeacherTask.OUTPUTS;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/**
 * A deep residual network with back-propagation, for one batch of one rank.
 *
 * <pre>
 * h0 = tanh(Win x + bin)
 * hk = hk-1 + gain Wk' relu(Wk hk-1) + bk     for every hidden layer k = 1 .. depth
 * y  = Wout hdepth + bout
 * loss = mean over samples and outputs of (y - target)^2 / 2
 * </pre>
 *
 * <p>Each hidden layer uses its matrix twice, forth and transposed back, as in the symmetric
 * residual networks of Ruthotto and Haber (2018). The gradient of a hidden matrix is therefore
 * proportional to the matrix itself, and its effect on the output to the square. Hidden layers
 * start near the identity, where that effect is small: what happens to one layer's weights shows
 * first and most in that layer's own gradient, the skip connections keep the others' as they are,
 * and only a layer that is far off takes the rest along. In short trainings the input and output
 * layers learn most of what is learned.
 *
 * <p>Not thread-safe. Activations are batch x units, row-major.
 */
final class ResidualNetwork {

  /** Instead of the number of a hidden layer. */
  static final int NO_BLOCK = -1;

  /** Sum of the gains of all hidden layers. */
  private static final float TOTAL_GAIN = 4;

  /** Of hidden matrices, against the usual deviation of 1 / sqrt(inputs). */
  private static final float HIDDEN_SCALE = 0.025f;

  private final int depth;
  private final int width;
  private final int batch;
  private final float gain;
  private final List<Layer> layers;
  private final float[][] weights;
  private final float[][] gradient;

  private final float[] inputs;
  private final float[] targets;
  private final float[][] hidden;
  private final float[][] branchInput;
  private final float[][] preActivation;
  private final float[][] activation;
  private final long[] activations;
  private final long[] saturated;
  private final float[] outputs;
  private final float[] zeros;
  private final float[] outputDelta;
  private final float[] delta;
  private final float[] branchDelta;
  private final float[] unitDelta;
  private final float[][] transposed;
  private final float[] transposedInput;
  private final float[] transposedOutput;

  ResidualNetwork(TrainingPolicy policy) {
    this.depth = policy.depth();
    this.width = policy.width();
    this.batch = policy.rankBatch();
    this.gain = TOTAL_GAIN / depth;
    this.layers = layers(policy);
    this.weights = new float[layers.size()][];
    this.gradient = new float[layers.size()][];
    Random random = Seeds.random(policy.seed(), "weights", 0);
    for (int i = 0; i < weights.length; i++) {
      weights[i] = new float[layers.get(i).elements()];
      gradient[i] = new float[layers.get(i).elements()];
      if (!layers.get(i).zeroInit()) {
        float deviation = deviation(i);
        for (int e = 0; e < weights[i].length; e++) {
          weights[i][e] = (float) (deviation * random.nextGaussian());
        }
      }
    }
    inputs = new float[batch * INPUTS];
    targets = new float[batch * OUTPUTS];
    hidden = new float[depth + 1][batch * width];
    branchInput = new float[depth + 1][];
    preActivation = new float[depth + 1][batch * width];
    activation = new float[depth + 1][batch * width];
    activations = new long[layers.size()];
    saturated = new long[layers.size()];
    for (int k = 1; k <= depth; k++) {
      activations[weightAt(k)] = (long) batch * width;
    }
    outputs = new float[batch * OUTPUTS];
    zeros = new float[batch * width];
    outputDelta = new float[batch * OUTPUTS];
    delta = new float[batch * width];
    branchDelta = new float[batch * width];
    unitDelta = new float[batch * width];
    transposed = new float[depth + 1][width * width];
    transposedInput = new float[INPUTS * width];
    transposedOutput = new float[width * OUTPUTS];
  }

  /** The parameter tensors in forward order, the weight of a block before its bias. */
  static List<Layer> layers(TrainingPolicy policy) {
    int width = policy.width();
    List<Layer> layers = new ArrayList<>();
    addBlock(layers, "input", 0, width * INPUTS, width);
    for (int k = 1; k <= policy.depth(); k++) {
      addBlock(layers, "block" + k, k, width * width, width);
    }
    addBlock(layers, "output", policy.depth() + 1, OUTPUTS * width, OUTPUTS);
    return List.copyOf(layers);
  }

  private static void addBlock(List<Layer> layers, String block, int depth, int weight, int bias) {
    layers.add(new Layer(block + ".weight", block, depth, Layer.Kind.WEIGHT, weight, false));
    layers.add(new Layer(block + ".bias", block, depth, Layer.Kind.BIAS, bias, true));
  }

  /** Index of the weight of the block at that depth; its bias follows. */
  static int weightAt(int depth) {
    return 2 * depth;
  }

  /** The parameters, by layer and element: writable, this is where an optimiser updates them. */
  float[][] weights() {
    return weights;
  }

  /** Of the last {@link #backward}, by layer and element. */
  float[][] gradient() {
    return gradient;
  }

  /** How many rectified units each layer has over a batch: those of hidden weights. */
  long[] activations() {
    return activations;
  }

  /** How many of them were zero in the last {@link #forward}. */
  long[] saturated() {
    return saturated;
  }

  /** Where the inputs of the next {@link #forward} go, one row per sample. */
  float[] inputs() {
    return inputs;
  }

  /** Where the targets of the next {@link #forward} go, one row per sample. */
  float[] targets() {
    return targets;
  }

  /**
   * Computes the loss of the batch.
   *
   * @param maskedBlock the hidden layer whose input reads as zeros, or {@link #NO_BLOCK}
   */
  double forward(int maskedBlock) {
    Products.transpose(weights[0], transposedInput, width, INPUTS);
    Products.fillRows(hidden[0], weights[1], batch);
    Products.add(hidden[0], inputs, transposedInput, batch, INPUTS, width);
    for (int i = 0; i < hidden[0].length; i++) {
      hidden[0][i] = (float) Math.tanh(hidden[0][i]);
    }
    for (int k = 1; k <= depth; k++) {
      forwardBlock(k, k == maskedBlock ? zeros : hidden[k - 1]);
    }
    int out = weightAt(depth + 1);
    Products.transpose(weights[out], transposedOutput, OUTPUTS, width);
    Products.fillRows(outputs, weights[out + 1], batch);
    Products.add(outputs, hidden[depth], transposedOutput, batch, width, OUTPUTS);
    double squares = 0;
    for (int i = 0; i < outputs.length; i++) {
      double residual = outputs[i] - targets[i];
      squares += residual * residual;
    }
    return squares / (2.0 * outputs.length);
  }

  /**
   * Computes the gradient of the last {@link #forward}'s loss.
   *
   * @param brokenBlock the hidden layer in whose matrix products one value is NaN, or {@link
   *     #NO_BLOCK}
   */
  void backward(int brokenBlock) {
    for (float[] g : gradient) {
      Arrays.fill(g, 0);
    }
    for (int i = 0; i < outputs.length; i++) {
      outputDelta[i] = (outputs[i] - targets[i]) / outputs.length;
    }
    int out = weightAt(depth + 1);
    Products.addColumnSums(gradient[out + 1], outputDelta, batch);
    Products.addTransposed(gradient[out], outputDelta, hidden[depth], OUTPUTS, batch, width);
    Arrays.fill(delta, 0);
    Products.add(delta, outputDelta, weights[out], batch, OUTPUTS, width);
    for (int k = depth; k >= 1; k--) {
      backwardBlock(k, k == brokenBlock);
    }
    for (int i = 0; i < delta.length; i++) {
      delta[i] *= 1 - hidden[0][i] * hidden[0][i];
    }
    Products.addColumnSums(gradient[1], delta, batch);
    Products.addTransposed(gradient[0], delta, inputs, width, batch, INPUTS);
  }

  private void forwardBlock(int k, float[] input) {
    int w = weightAt(k);
    branchInput[k] = input;
    Products.transpose(weights[w], transposed[k], width, width);
    Arrays.fill(preActivation[k], 0);
    Products.add(preActivation[k], input, transposed[k], batch, width, width);
    float[] z = preActivation[k];
    float[] s = activation[k];
    int zero = 0;
    for (int i = 0; i < z.length; i++) {
      s[i] = gain * Math.max(z[i], 0);
      zero += z[i] <= 0 ? 1 : 0;
    }
    saturated[w] = zero;
    Products.fillRows(hidden[k], weights[w + 1], batch);
    for (int i = 0; i < z.length; i++) {
      hidden[k][i] += hidden[k - 1][i];
    }
    Products.add(hidden[k], s, weights[w], batch, width, width);
  }

  /** Turns {@code delta} from that of the block's output into that of its input. */
  private void backwardBlock(int k, boolean broken) {
    int w = weightAt(k);
    Products.addColumnSums(gradient[w + 1], delta, batch);
    Products.addTransposed(gradient[w], activation[k], delta, width, batch, width);
    for (int i = 0; i < delta.length; i++) {
      branchDelta[i] = gain * delta[i];
    }
    Arrays.fill(unitDelta, 0);
    Products.add(unitDelta, branchDelta, transposed[k], batch, width, width);
    for (int i = 0; i < unitDelta.length; i++) {
      if (preActivation[k][i] <= 0) {
        unitDelta[i] = 0;
      }
    }
    if (broken) {
      unitDelta[0] = Float.NaN;
    }
    Products.addTransposed(gradient[w], unitDelta, branchInput[k], width, batch, width);
    if (branchInput[k] != zeros) {
      Products.add(delta, unitDelta, weights[w], batch, width, width);
    }
  }

  private float deviation(int layer) {
    int fanIn = layer == 0 ? INPUTS : width;
    boolean hiddenLayer = layer > 0 && layer < weightAt(depth + 1);
    return (float) ((hiddenLayer ? HIDDEN_SCALE : 1) / Math.sqrt(fanIn));
  }
}
