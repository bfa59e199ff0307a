package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DepthProfileTest {
  /** The slope's standard error is sigma / sqrt(S_dd), and t has n - 2 degrees of freedom. */
  @Test
  void theSlopeIsWithinTheory() {
    int layers = 16;
    double sigma = 0.5;
    double sdd = layers * (layers * layers - 1) / 12.0;
    Sample slopes = new Sample();
    Sample ts = new Sample();
    for (int seed = 0; seed < 4_000; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      slopes.add(DepthProfile.of(line(random, layers, 2, sigma), depths(layers)).slope());
      ts.add(DepthProfile.of(line(random, layers, 0, sigma), depths(layers)).t());
    }
    slopes.hasMean("slope", 2);
    slopes.hasDeviation("slope", sigma / Math.sqrt(sdd), 3);
    ts.hasMean("t", 0);
    ts.hasDeviation("t", Math.sqrt(14 / 12.0), 3.6);
  }

  @Test
  void readsAsAFactorPerLayerTowardTheInput() {
    DepthProfile vanishing = DepthProfile.of(new double[] {-8, -6, -4, -2, 0}, depths(5));
    assertThat(vanishing.slope()).isCloseTo(2, within(1e-12));
    assertThat(vanishing.drop()).isCloseTo(8, within(1e-12));
    assertThat(vanishing.perLayer()).isEqualTo("×0.25 per layer");
    DepthProfile exploding = DepthProfile.of(new double[] {2, 1.5, 1, 0.5, 0}, depths(5));
    assertThat(exploding.perLayer()).isEqualTo("×1.41 per layer");
  }

  @Test
  void theDropIsOverTheDepthsThatAreKnown() {
    double[] x = {Double.NaN, -6, -4, Double.NaN, 0, 2, 4};
    DepthProfile profile = DepthProfile.of(x, new int[] {0, 10, 20, 30, 40, 50, 60});

    assertThat(profile.slope()).isCloseTo(0.2, within(1e-12));
    assertThat(profile.drop()).isCloseTo(10, within(1e-12));
  }

  @Test
  void fewLayersOrOneDepthHaveNoProfile() {
    assertThat(DepthProfile.of(new double[] {1, 2, 3, 4, Double.NaN}, depths(5))).isNull();
    assertThat(DepthProfile.of(new double[] {1, 2, 3, 4, 5}, new int[5])).isNull();
    assertThat(DepthProfile.of(new double[] {1, 2, 3, 4, 5, 6, 7}, depths(7)).steepest()).isNull();
  }

  @Test
  void theBreakIsFoundWhereItWasPlanted() {
    int trials = 0;
    int found = 0;
    for (int seed = 0; seed < 500; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int layers = 12 + random.nextInt(40);
      int before = 3 + random.nextInt(layers - 6);
      double fall = 3 + 5 * random.nextDouble();
      double[] x = line(random, layers, 3 * random.nextDouble() - 1, 0.3);
      for (int i = 0; i < before; i++) {
        x[i] -= fall;
      }
      DepthProfile.Boundary boundary = DepthProfile.of(x, depths(layers)).steepest();
      trials++;
      if (boundary.isBreak()
          && boundary.inputSide() == before - 1
          && boundary.lossSide() == before) {
        found++;
        assertThat(boundary.fall()).isCloseTo(fall, within(2.0));
      }
    }
    assertThat(found).as("of %d", trials).isGreaterThanOrEqualTo(trials * 95 / 100);
  }

  @Test
  void aStraightProfileHasNoBreakAtAnySlopeOrScatter() {
    int breaks = 0;
    int trials = 4_000;
    for (int seed = 0; seed < trials; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int layers = 8 + random.nextInt(50);
      double[] x = line(random, layers, 8 * random.nextDouble() - 4, 0.1 + random.nextDouble());
      breaks += DepthProfile.of(x, depths(layers)).steepest().isBreak() ? 1 : 0;
    }
    assertThat(breaks).as("of %d", trials).isLessThan(trials / 200);
  }

  @Test
  void oneLayerOutOfLineIsNoBreak() {
    for (int seed = 0; seed < 200; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      double[] x = line(random, 20, 0.5, 0.2);
      x[random.nextInt(20)] += random.nextBoolean() ? 9 : -9;

      assertThat(DepthProfile.of(x, depths(20)).steepest().isBreak()).as("seed %d", seed).isFalse();
    }
  }

  @Test
  void layersOfOneDepthAreOnePoint() {
    SplittableRandom random = new SplittableRandom(9);
    double[] x = new double[40];
    int[] depth = new int[40];
    for (int i = 0; i < 40; i++) {
      depth[i] = i / 4;
      // Peers of a block that differ among themselves, as attention and feed-forward weights do.
      x[i] = i % 4 + (i >= 24 ? 4 : 0) + 0.1 * random.nextGaussian();
    }
    x[23] = Double.NaN;

    DepthProfile.Boundary boundary = DepthProfile.of(x, depth).steepest();

    assertThat(boundary.isBreak()).isTrue();
    assertThat(boundary.inputSide()).isEqualTo(22);
    assertThat(boundary.lossSide()).isEqualTo(24);
    assertThat(boundary.fall()).isCloseTo(4, within(0.5));
  }

  private static double[] line(SplittableRandom random, int layers, double slope, double sigma) {
    double[] x = new double[layers];
    Arrays.setAll(x, i -> -10 + slope * i + sigma * random.nextGaussian());
    return x;
  }

  private static int[] depths(int layers) {
    return IntStream.range(0, layers).toArray();
  }
}
