package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class SaturationTest {
  @Test
  void anEpisodeStandsOutOfTheLayersOwnBaselineAsLongAsItLasts() {
    for (int seed = 0; seed < 10; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      Saturation state = Saturation.of(2);
      double usual = 0.1 + 0.5 * random.nextDouble();
      learn(state, 1, usual, 300, random);

      for (int step = 0; step < 100; step++) {
        double excess = state.observe(1, usual + 0.3);
        assertThat(excess).isBetween(27.0, 31.0);
      }
      assertThat(state.baseline()[0]).isZero();
    }
  }

  /** An average with a memory of n has 1 / (2n - 1) of the variance of what it averages. */
  @Test
  void theBaselineIsTheMean() {
    Sample baselines = new Sample();
    double deviation = 0.005;
    for (int seed = 0; seed < 500; seed++) {
      Saturation state = Saturation.of(1);
      SplittableRandom random = new SplittableRandom(seed);
      for (int step = 0; step < 1_000; step++) {
        state.observe(0, 0.4 + deviation * random.nextGaussian());
      }
      baselines.add(state.baseline()[0]);
    }
    baselines.hasMean("baseline", 0.4);
    baselines.hasDeviation("baseline", deviation / Math.sqrt(199), 3);
  }

  @Test
  void aLastingChangeIsLearntInTheEnd() {
    Saturation state = Saturation.of(1);
    SplittableRandom random = new SplittableRandom(4);
    learn(state, 0, 0.1, 100, random);

    learn(state, 0, 0.2, 2_000, random);

    assertThat(state.observe(0, 0.2)).isCloseTo(0, within(0.5));
  }

  @Test
  void theWarmUpSaysNothingAndWhatIsUnknownChangesNothing() {
    Saturation state = Saturation.of(1);
    for (int step = 0; step < 30; step++) {
      assertThat(state.observe(0, 0.5)).isNaN();
      assertThat(state.observe(0, Double.NaN)).isNaN();
    }
    assertThat(state.observe(0, 0.4)).isCloseTo(-10, within(1e-9));
    assertThat(state.seen()[0]).isEqualTo(30);
  }

  private static void learn(
      Saturation state, int layer, double mean, int steps, SplittableRandom random) {
    for (int step = 0; step < steps; step++) {
      state.observe(layer, mean + 0.005 * random.nextGaussian());
    }
  }
}
