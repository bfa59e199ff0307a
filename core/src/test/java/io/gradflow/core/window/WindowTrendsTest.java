package io.gradflow.core.window;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.window.WindowSignals.Link;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleSupplier;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Slopes and links of windows with planted ones. */
class WindowTrendsTest {
  private static final int STEPS = 100;

  private final Random random = new Random(4);

  private double noise() {
    return random.nextGaussian();
  }

  private static double[] noise(DoubleSupplier source) {
    return IntStream.range(0, STEPS).mapToDouble(t -> source.getAsDouble()).toArray();
  }

  private static Link loss(LayerWindow window) {
    return window.signals().loss();
  }

  private static String partner(LayerWindow window) {
    return window.signals().partner();
  }

  @Test
  void theSlopeOfAPlantedTrend() {
    var run = new WindowedRun(3);
    for (int t = 0; t < STEPS; t++) {
      run.step(300 + t, -0.02 * t, 5, t < 98 ? Double.NaN : t);
    }

    List<LayerWindow> open = run.open();
    assertThat(open.get(0).open()).isTrue();
    assertThat(open.get(0).slope()).isCloseTo(-0.02, within(1e-12));

    List<LayerWindow> closed = run.close();
    assertThat(closed.get(0).slope()).isCloseTo(-0.02, within(1e-12));
    assertThat(closed.get(1).slope()).isCloseTo(0, within(1e-12));
    assertThat(closed.get(2).slope()).as("of two steps").isNull();
  }

  @Test
  void aSlopePassesOverWhatIsMissingSkippedOrWithoutNorm() {
    var run = new WindowedRun(1);
    for (int t = 0; t < STEPS; t++) {
      if (t % 10 == 3) {
        run.skipped(t, null, 20);
      } else if (t % 10 == 5) {
        run.step(t, t % 20 == 5 ? Double.NaN : Double.NEGATIVE_INFINITY);
      } else if (t % 10 != 7) {
        run.step(t, 1 + 0.5 * t);
      }
    }
    LayerWindow window = run.close().get(0);
    assertThat(window.steps()).isEqualTo(90);
    assertThat(window.slope()).isCloseTo(0.5, within(1e-12));
    assertThat(window.log2Rms().max())
        .as("skipped steps have norms")
        .isCloseTo(50.5, within(1e-12));
  }

  @Test
  void theSlopeOfSampledStepsIsPerStep() {
    var run = new WindowedRun(1);
    for (int t = 0; t < STEPS; t += 10) {
      run.step(t, 0.03 * t);
    }
    assertThat(run.close().get(0).slope()).isCloseTo(0.03, within(1e-12));
  }

  @Test
  void aLayerThatFollowsAnotherNamesItAndTheLag() {
    var run = new WindowedRun(4);
    double[] leader = noise(this::noise);
    for (int t = 0; t < STEPS; t++) {
      double follower = t < 3 ? 0 : -leader[t - 3];
      run.step(t, noise(), leader[t], 7 + follower + 0.2 * noise(), noise());
    }

    List<LayerWindow> open = run.open();
    assertThat(open.get(2).signals().partner()).as("only closed windows have links").isNull();

    List<LayerWindow> windows = run.close();
    assertThat(partner(windows.get(2))).isEqualTo("layer1");
    Link link = windows.get(2).signals().partnerLink();
    assertThat(link.lag()).isEqualTo(3);
    assertThat(link.correlation()).isBetween(-1.0, -0.9);
    assertThat(link.pairs()).isEqualTo(STEPS - 1 - 3);
    assertThat(partner(windows.get(1))).isEqualTo("layer2");
    assertThat(windows.get(1).signals().partnerLink().lag()).isEqualTo(-3);
    assertThat(partner(windows.get(0))).isNull();
    assertThat(windows.get(0).signals().partnerLink()).isNull();
    assertThat(partner(windows.get(3))).isNull();
  }

  @Test
  void aLayerThatFollowsTheLossOrTheRateSaysSo() {
    var run = new WindowedRun(3);
    double[] losses = noise(this::noise);
    double[] rates = noise(random::nextDouble);
    for (int t = 0; t < STEPS; t++) {
      double ofLoss = 0.5 * losses[Math.max(0, t - 2)] + 0.1 * noise();
      double ofRate = 3 * rates[Math.max(0, t - 1)] + 0.1 * noise();
      run.trained(t, 9 + losses[t], 1e-3 * rates[t], ofLoss, ofRate, noise());
    }
    List<LayerWindow> windows = run.close();
    assertThat(loss(windows.get(0)).lag()).isEqualTo(2);
    assertThat(loss(windows.get(0)).correlation()).isGreaterThan(0.9);
    assertThat(windows.get(0).signals().learningRate()).isNull();
    assertThat(windows.get(1).signals().learningRate().lag()).isEqualTo(1);
    assertThat(loss(windows.get(1))).isNull();
    assertThat(loss(windows.get(2))).isNull();
    assertThat(windows.get(2).signals().learningRate()).isNull();
  }

  @Test
  void trendsAndConstantRatesAreNoLinks() {
    var run = new WindowedRun(2);
    for (int t = 0; t < STEPS; t++) {
      run.trained(t, 5 - 0.1 * t, 1e-3, 0.1 * t + 0.01 * noise(), 7 - 0.1 * t + 0.01 * noise());
    }
    for (LayerWindow window : run.close()) {
      assertThat(window.signals().loss()).isNull();
      assertThat(window.signals().learningRate()).isNull();
      assertThat(window.signals().partner()).isNull();
    }
  }

  @Test
  void lagsOfSampledStepsAreInSteps() {
    double[] leader = noise(this::noise);
    var run = new WindowedRun(2);
    for (int t = 0; t < 50; t++) {
      if (t == 20) {
        continue;
      }
      run.step(2L * t, leader[t], t < 4 ? 0 : leader[t - 4]);
      // Steps of which only local gradients were published do not narrow the grid.
      run.step(2L * t + 1, Double.NaN, Double.NaN);
    }
    LayerWindow follower = run.close().get(1);
    assertThat(follower.signals().partnerLink().lag()).isEqualTo(8);
    assertThat(follower.signals().partnerLink().pairs()).isEqualTo(49 - 4 - 4);
  }

  @Test
  void thirtyPairsAreNeeded() {
    for (int steps : new int[] {30, 31}) {
      var run = new WindowedRun(2);
      for (int t = 0; t < steps; t++) {
        double x = noise();
        run.step(t, x, x);
      }
      assertThat(partner(run.close().get(0))).isEqualTo(steps == 31 ? "layer1" : null);
    }
  }

  @Test
  void aLayerWithFewStepsHidesNoOther() {
    var run = new WindowedRun(3);
    for (int t = 0; t < STEPS; t++) {
      double x = noise();
      run.step(t, x, x + 0.3 * noise(), t < 25 ? x : Double.NaN);
    }
    List<LayerWindow> windows = run.close();
    assertThat(partner(windows.get(0))).isEqualTo("layer1");
    assertThat(partner(windows.get(2))).isNull();
  }

  @Test
  void straightLinesOfRatesAreNoLinks() {
    // The last digits of the changes differ, and go with those of the layer.
    var run = new WindowedRun(1);
    for (int t = 0; t < STEPS; t++) {
      double rate = 1e-3 - 1e-9 * t;
      double next = 1e-3 - 1e-9 * (t + 1);
      run.trained(t, noise(), rate, 1e15 * ((rate - next) - 1e-9));
    }
    assertThat(run.close().get(0).signals().learningRate()).isNull();
  }

  @Test
  void ofVeryManyLayersNoPartnersAreSought() {
    var run = new WindowedRun(WindowLinks.MOST_PARTNERS + 1);
    double[] x = new double[WindowLinks.MOST_PARTNERS + 1];
    for (int t = 0; t < 40; t++) {
      double loss = noise();
      Arrays.fill(x, loss);
      run.trained(t, loss, 1, x);
    }
    List<LayerWindow> windows = run.close();
    assertThat(windows).hasSize(x.length).allMatch(window -> loss(window).correlation() > 0.999);
    assertThat(windows).allMatch(window -> partner(window) == null);
  }

  /** How steps vary that have nothing to do with each other. */
  enum Noise {
    LEVEL(Random::nextGaussian),
    HEAVY_TAILED(
        random -> {
          double squares = 0;
          for (int i = 0; i < 3; i++) {
            double x = random.nextGaussian();
            squares += x * x;
          }
          return random.nextGaussian() / Math.sqrt(squares / 3);
        }),
    SPIKES(random -> random.nextInt(50) == 0 ? 8 : 0.2 * random.nextGaussian());

    @SuppressWarnings("ImmutableEnumChecker") // functions without state
    private final ToDoubleFunction<Random> step;

    Noise(ToDoubleFunction<Random> step) {
      this.step = step;
    }
  }

  @ParameterizedTest
  @EnumSource
  void noiseNamesNoPartner(Noise noise) {
    int layers = 40;
    List<LayerWindow> windows = new ArrayList<>();
    for (int seed = 0; seed < 25; seed++) {
      var own = new Random(seed);
      var run = new WindowedRun(layers);
      for (int t = 0; t < STEPS; t++) {
        double[] x = new double[layers];
        for (int layer = 0; layer < layers; layer++) {
          x[layer] = noise.step.applyAsDouble(own);
        }
        run.trained(t, own.nextGaussian(), own.nextDouble(), x);
      }
      windows.addAll(run.close());
    }
    long partners = windows.stream().filter(w -> w.signals().partner() != null).count();
    long losses = windows.stream().filter(w -> w.signals().loss() != null).count();
    assertThat(partners).isLessThanOrEqualTo(windows.size() / 100);
    assertThat(losses).isLessThanOrEqualTo(windows.size() / 100);
  }
}
