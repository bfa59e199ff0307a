package io.gradflow.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class ResidualNetworkTest {

  private static final int DEPTH = 3;
  private static final int WIDTH = 6;
  private static final TrainingPolicy POLICY =
      new TrainingPolicy(5, 1, 1, DEPTH, WIDTH, 7, 0.1, Double.POSITIVE_INFINITY);

  private final ResidualNetwork network = networkFarFromTheIdentity();

  @ParameterizedTest
  @ValueSource(ints = {ResidualNetwork.NO_BLOCK, 1, 2, 3})
  void gradientOfEveryLayerIsThatOfFiniteDifferences(int masked) {
    double[][] weights = inDouble(network.weights());
    double loss = network.forward(masked);
    network.backward(ResidualNetwork.NO_BLOCK);

    assertThat(loss).isCloseTo(referenceLoss(weights, masked), within(1e-5 * loss));
    for (int layer = 0; layer < weights.length; layer++) {
      double[] expected = finiteDifferences(weights, layer, masked);
      double scale = largest(expected);
      for (int e = 0; e < expected.length; e++) {
        assertThat((double) network.gradient()[layer][e])
            .as("%s[%d]", ResidualNetwork.layers(POLICY).get(layer).name(), e)
            .isCloseTo(expected[e], within(1e-4 * scale));
      }
    }
  }

  @Test
  void maskedBlockHasNoGradientInItsWeightAndItsBiasHas() {
    network.forward(2);
    network.backward(ResidualNetwork.NO_BLOCK);

    int weight = ResidualNetwork.weightAt(2);
    for (int layer = 0; layer < network.gradient().length; layer++) {
      assertThat(allZero(network.gradient()[layer])).isEqualTo(layer == weight);
    }
  }

  @Test
  void unitsThatRectifyToZeroAreCounted() {
    network.forward(2);

    int units = POLICY.rankBatch() * WIDTH;
    for (int layer = 0; layer < network.gradient().length; layer++) {
      boolean hidden = layer >= 2 && layer <= 2 * DEPTH && layer % 2 == 0;
      assertThat(network.activations()[layer]).isEqualTo(hidden ? units : 0);
      // A hidden layer that does not see its input has no unit above zero; others have both.
      if (layer == ResidualNetwork.weightAt(2)) {
        assertThat(network.saturated()[layer]).isEqualTo(units);
      } else if (hidden) {
        assertThat(network.saturated()[layer]).isBetween(1L, units - 1L);
      } else {
        assertThat(network.saturated()[layer]).isZero();
      }
    }
  }

  @Test
  void brokenBlockPoisonsItsWeightAndAllNearerToTheInput() {
    network.forward(ResidualNetwork.NO_BLOCK);
    network.backward(2);

    int weight = ResidualNetwork.weightAt(2);
    for (int layer = 0; layer < network.gradient().length; layer++) {
      assertThat(anyNaN(network.gradient()[layer])).isEqualTo(layer <= weight);
    }
  }

  @Test
  void layersAreDescribedInForwardOrder() {
    List<Layer> layers = ResidualNetwork.layers(POLICY);

    assertThat(layers)
        .extracting(Layer::name)
        .containsExactly(
            "input.weight",
            "input.bias",
            "block1.weight",
            "block1.bias",
            "block2.weight",
            "block2.bias",
            "block3.weight",
            "block3.bias",
            "output.weight",
            "output.bias");
    assertThat(layers).extracting(Layer::depth).containsExactly(0, 0, 1, 1, 2, 2, 3, 3, 4, 4);
    for (int layer = 0; layer < layers.size(); layer++) {
      float[] weights = new ResidualNetwork(POLICY).weights()[layer];
      assertThat(weights).hasSize(layers.get(layer).elements());
      assertThat(allZero(weights)).isEqualTo(layers.get(layer).zeroInit());
    }
  }

  /** As initialised, the hidden layers' gradients would be small beside float rounding. */
  private static ResidualNetwork networkFarFromTheIdentity() {
    var network = new ResidualNetwork(POLICY);
    Random random = new Random(17);
    for (float[] layer : network.weights()) {
      fill(layer, random, 0.4);
    }
    fill(network.inputs(), random, 1);
    fill(network.targets(), random, 1);
    return network;
  }

  private double[] finiteDifferences(double[][] weights, int layer, int masked) {
    double h = 1e-6;
    double[] gradient = new double[weights[layer].length];
    for (int e = 0; e < gradient.length; e++) {
      double at = weights[layer][e];
      weights[layer][e] = at + h;
      double above = referenceLoss(weights, masked);
      weights[layer][e] = at - h;
      double below = referenceLoss(weights, masked);
      weights[layer][e] = at;
      gradient[e] = (above - below) / (2 * h);
    }
    return gradient;
  }

  private double referenceLoss(double[][] weights, int masked) {
    return ReferenceNetwork.loss(
        weights, network.inputs(), network.targets(), DEPTH, WIDTH, masked);
  }

  private static void fill(float[] values, Random random, double deviation) {
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (deviation * random.nextGaussian());
    }
  }

  private static double[][] inDouble(float[][] values) {
    double[][] doubles = new double[values.length][];
    for (int i = 0; i < values.length; i++) {
      doubles[i] = new double[values[i].length];
      for (int e = 0; e < values[i].length; e++) {
        doubles[i][e] = values[i][e];
      }
    }
    return doubles;
  }

  /** Zero when all are: then the gradient has to be exactly zero. */
  private static double largest(double[] values) {
    double largest = 0;
    for (double v : values) {
      largest = Math.max(largest, Math.abs(v));
    }
    return largest;
  }

  private static boolean allZero(float[] values) {
    for (float v : values) {
      if (v != 0) {
        return false;
      }
    }
    return true;
  }

  private static boolean anyNaN(float[] values) {
    for (float v : values) {
      if (Float.isNaN(v)) {
        return true;
      }
    }
    return false;
  }
}
