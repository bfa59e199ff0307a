package io.gradflow.training.zoo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.shard.LayerKind;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** The networks of the zoo compute the gradients of their losses, and learn by them. */
class NetworksTest {

  /** Of these, only those reach what is behind them that some sample was sent to. */
  private static final LayerKind ROUTED = LayerKind.EXPERT;

  /** One of each, with what it learns by. */
  enum Net {
    RELU(0.05f, 0.5),
    SIGMOID_SHALLOW(0.5f, 0.9),
    NORMALISED(0.1f, 0.5),
    SILU_RESIDUAL(0.05f, 0.5),
    RECURRENT(0.1f, 0.7),
    RECTIFIED_RECURRENT(0.05f, 0.7),
    CONVOLUTIONAL(0.1f, 0.75),
    NORMALISED_CONVOLUTIONAL(0.2f, 0.75),
    TRANSFORMER(0.3f, 0.85),
    EXPERTS(0.1f, 0.6),
    ADAPTERS(0.2f, 0.8),
    GAN(0.05f, Double.NaN);

    final float rate;
    final double learned;

    Net(float rate, double learned) {
      this.rate = rate;
      this.learned = learned;
    }

    Workload of(long task) {
      return switch (this) {
        case RELU -> mlp(6, Mlp.Activation.RELU, false, false, Math.sqrt(2), task);
        case SIGMOID_SHALLOW -> mlp(1, Mlp.Activation.SIGMOID, false, false, 1, task);
        case NORMALISED -> mlp(6, Mlp.Activation.TANH, true, false, 1, task);
        case SILU_RESIDUAL -> mlp(6, Mlp.Activation.SILU, false, true, 1, task);
        case RECURRENT -> new Recurrent(12, 16, 1, false, task);
        case RECTIFIED_RECURRENT -> new Recurrent(12, 16, 1, true, task);
        case CONVOLUTIONAL -> new Convolutional(3, 12, false, task);
        case NORMALISED_CONVOLUTIONAL -> new Convolutional(4, 12, true, task);
        case TRANSFORMER -> new Transformer(2, 16, 8, task);
        case EXPERTS -> new MixtureOfExperts(2, 4, 16, 0.01, task);
        case ADAPTERS -> new Adapters(4, 24, task);
        case GAN -> new Gan(2, 24, task);
      };
    }
  }

  private static Mlp mlp(
      int depth,
      Mlp.Activation activation,
      boolean normalised,
      boolean residual,
      double gain,
      long task) {
    return new Mlp(new Mlp.Shape(depth, 20, activation, normalised, residual, gain, 0.2), task);
  }

  @ParameterizedTest
  @EnumSource
  void gradientsAreThoseOfTheLoss(Net net) {
    Workload workload = net.of(3);
    Random random = new Random(5);
    float[][] weights = shaken(workload, random);
    float[][] gradient = like(weights);
    float[][] unused = like(weights);
    Batch batch = workload.draw(random, 6);
    for (int stream = 0; stream < workload.streams().size(); stream++) {
      workload.backward(stream, weights, batch, gradient, Disturbance.NONE);
      double checked = 0;
      double wrong = 0;
      for (int p = 0; p < weights.length; p++) {
        Parameter parameter = workload.parameters().get(p);
        if (!parameter.trainable() || parameter.stream() != stream) {
          assertThat(gradient[p]).containsOnly(0);
          continue;
        }
        double checkedHere = 0;
        double wrongHere = 0;
        for (int k = 0; k < 12; k++) {
          int e = random.nextInt(weights[p].length);
          float before = weights[p][e];
          weights[p][e] = before + 0.001f;
          double width = weights[p][e];
          double difference = workload.backward(stream, weights, batch, unused, Disturbance.NONE);
          weights[p][e] = before - 0.001f;
          width -= weights[p][e];
          difference -= workload.backward(stream, weights, batch, unused, Disturbance.NONE);
          weights[p][e] = before;
          double off = difference / width - gradient[p][e];
          checkedHere += gradient[p][e] * gradient[p][e];
          wrongHere += off * off;
        }
        // Gradients far below the others' drown in the rounding of the loss.
        assertThat(Math.sqrt(wrongHere))
            .as("%s %s", net, parameter.name())
            .isLessThan(0.05 * Math.sqrt(checkedHere) + 0.0005);
        checked += checkedHere;
        wrong += wrongHere;
      }
      assertThat(checked).isPositive();
      assertThat(Math.sqrt(wrong / checked)).as(net + " stream " + stream).isLessThan(0.01);
    }
  }

  @ParameterizedTest
  @EnumSource
  void theSameBatchGivesTheSameBits(Net net) {
    float[][] weights = net.of(3).initial(new Random(5));
    float[][] first = like(weights);
    float[][] second = like(weights);
    Workload again = net.of(3);
    Batch other = again.draw(new Random(8), 4);
    again.backward(0, weights, other, second, Disturbance.NONE);
    Batch batch = net.of(3).draw(new Random(7), 6);
    double loss = net.of(3).backward(0, weights, batch, first, Disturbance.NONE);

    assertThat(again.backward(0, weights, batch, second, Disturbance.NONE)).isEqualTo(loss);
    assertThat(second).isDeepEqualTo(first);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "GAN")
  void everyNetworkLearns(Net net) {
    for (long seed = 1; seed <= 3; seed++) {
      Workload workload = net.of(seed);
      Random random = new Random(seed);
      float[][] weights = workload.initial(random);
      float[][] gradient = like(weights);
      double early = 0;
      double late = 0;
      for (int step = 0; step < 400; step++) {
        Batch batch = workload.draw(random, 32);
        double loss = workload.backward(0, weights, batch, gradient, Disturbance.NONE);
        early += step < 10 ? loss / 10 : 0;
        late += step >= 360 ? loss / 40 : 0;
        descend(weights, gradient, net.rate);
      }
      assertThat(late / early).as(net + " seed " + seed).isLessThan(net.learned);
    }
  }

  @Test
  void aGeneratorMovesItsPointsToTheRing() {
    for (long seed = 1; seed <= 3; seed++) {
      Workload gan = Net.GAN.of(seed);
      Random random = new Random(seed);
      float[][] weights = gan.initial(random);
      float[][] gradient = like(weights);
      double lowest = Double.POSITIVE_INFINITY;
      double highest = 0;
      for (int step = 0; step < 400; step++) {
        for (int stream = 1; stream >= 0; stream--) {
          double loss =
              gan.backward(stream, weights, gan.draw(random, 32), gradient, Disturbance.NONE);
          descend(weights, gradient, Net.GAN.rate);
          if (stream == 1 && step >= 100) {
            lowest = Math.min(lowest, loss);
            highest = Math.max(highest, loss);
          }
        }
      }
      // Neither side wins: the discriminator stays near ln 2, which is a coin's.
      assertThat(lowest).isGreaterThan(0.15);
      assertThat(highest).isLessThan(1.5);
    }
  }

  @ParameterizedTest
  @EnumSource
  void aNanReachesItsLayerAndThoseBeforeItOnly(Net net) {
    Workload workload = net.of(1);
    List<Parameter> parameters = workload.parameters();
    float[][] weights = shaken(workload, new Random(1));
    float[][] plain = like(weights);
    float[][] gradient = like(weights);
    Batch batch = workload.draw(new Random(2), 8);
    for (int stream = 0; stream < workload.streams().size(); stream++) {
      workload.backward(stream, weights, batch, plain, Disturbance.NONE);
      for (int at = 0; at < weights.length; at++) {
        Disturbance nan = new Disturbance(at, false, 1);
        assertThat(workload.backward(stream, weights, batch, gradient, nan)).isFinite();
        if (zeros(plain[at]) == 1) {
          // Frozen, of the other stream, or an expert without samples: nothing to be struck.
          assertThat(gradient).isDeepEqualTo(plain);
          continue;
        }
        Parameter struck = parameters.get(at);
        assertThat(isFinite(gradient[at])).as(struck.name()).isFalse();
        for (int p = 0; p < weights.length; p++) {
          Parameter parameter = parameters.get(p);
          boolean before = parameter.depth() < struck.depth() && zeros(plain[p]) < 1;
          if (parameter.depth() > struck.depth() || (before && parameter.kind() != ROUTED)) {
            assertThat(isFinite(gradient[p]))
                .as("%s struck, %s", struck.name(), parameter.name())
                .isEqualTo(!before);
          }
        }
      }
    }
  }

  @Test
  void aLossScaleMultipliesTheGradient() {
    Workload workload = Net.RELU.of(1);
    float[][] weights = workload.initial(new Random(1));
    float[][] plain = like(weights);
    float[][] scaled = like(weights);
    Batch batch = workload.draw(new Random(2), 8);
    double loss = workload.backward(0, weights, batch, plain, Disturbance.NONE);

    assertThat(workload.backward(0, weights, batch, scaled, new Disturbance(-1, false, 1024)))
        .isEqualTo(loss);
    for (int p = 0; p < plain.length; p++) {
      for (int e = 0; e < plain[p].length; e++) {
        assertThat(scaled[p][e]).isEqualTo(1024 * plain[p][e]);
      }
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0, 0",
    "1, 1",
    "-2.5, -2.5",
    "65504, 65504",
    "65519.9, 65504",
    "65520, Infinity",
    "-1e9, -Infinity",
    "1.00048828125, 1",
    "1.0004885, 1.0009765625",
    "1.00146484375, 1.001953125",
    "6.1035156e-5, 6.1035156e-5",
    "5.9604645e-8, 5.9604645e-8",
    "2.9802322e-8, 0",
    "3e-8, 5.9604645e-8",
    "NaN, NaN"
  })
  void halfPrecisionIsThatOfTheStandard(float value, float nearest) {
    assertThat(Tape.half(value)).isEqualTo(nearest, within(0f));
  }

  @Test
  void halfPrecisionLosesWhatIsTooSmallAndTooLarge() {
    Workload workload = Net.RELU.of(1);
    float[][] weights = workload.initial(new Random(1));
    float[][] gradient = like(weights);
    Batch batch = workload.draw(new Random(2), 8);

    workload.backward(0, weights, batch, gradient, new Disturbance(-1, true, 1e-7f));
    assertThat(Stream.of(gradient).mapToDouble(NetworksTest::zeros).average().orElseThrow())
        .isGreaterThan(0.5);
    workload.backward(0, weights, batch, gradient, new Disturbance(-1, true, 1e9f));
    assertThat(Stream.of(gradient).allMatch(NetworksTest::isFinite)).isFalse();
  }

  /** Initial weights and something of everything that starts at zero. */
  private static float[][] shaken(Workload workload, Random random) {
    float[][] weights = workload.initial(random);
    for (float[] layer : weights) {
      for (int e = 0; e < layer.length; e++) {
        layer[e] += (float) (0.05 * random.nextGaussian());
      }
    }
    return weights;
  }

  private static void descend(float[][] weights, float[][] gradient, float rate) {
    for (int p = 0; p < weights.length; p++) {
      for (int e = 0; e < weights[p].length; e++) {
        weights[p][e] -= rate * gradient[p][e];
      }
    }
  }

  private static float[][] like(float[][] weights) {
    return Stream.of(weights).map(layer -> new float[layer.length]).toArray(float[][]::new);
  }

  private static boolean isFinite(float[] values) {
    for (float value : values) {
      if (!Float.isFinite(value)) {
        return false;
      }
    }
    return true;
  }

  private static double zeros(float[] values) {
    int zeros = 0;
    for (float value : values) {
      zeros += value == 0 ? 1 : 0;
    }
    return (double) zeros / values.length;
  }
}
