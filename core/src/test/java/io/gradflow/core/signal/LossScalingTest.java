package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class LossScalingTest {
  @Test
  void headroomIsInOctavesOfTheScaledValue() {
    assertThat(LossScaling.headroom("float16", 1, 65_504)).isCloseTo(0, within(1e-12));
    assertThat(LossScaling.headroom("float16", 1024, 65_504)).isCloseTo(-10, within(1e-12));
    assertThat(LossScaling.headroom("float16", 8, 65_504.0 / 32)).isCloseTo(2, within(1e-12));
    assertThat(LossScaling.headroom("bfloat16", 1, 1)).isCloseTo(128, within(0.01));
    assertThat(LossScaling.headroom("float32", 1, 1)).isCloseTo(128, within(0.01));
  }

  @Test
  void theAdvisedScaleIsTheLargestPowerOfTwoWithTwoOctavesLeft() {
    for (int seed = 0; seed < 10; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      for (int i = 0; i < 200; i++) {
        double maxAbs = Math.exp(30 * random.nextDouble() - 20);
        for (String dtype : new String[] {"float16", "bfloat16", "float32"}) {
          double scale = LossScaling.advisedScale(dtype, maxAbs);

          assertThat(Octaves.octavesOf(scale)).isPresent();
          assertThat(LossScaling.headroom(dtype, scale, maxAbs)).isBetween(2 - 1e-9, 3.0);
        }
      }
    }
    assertThat(LossScaling.advisedScale("float16", 65_504.0 / 64)).isEqualTo(16);
    assertThat(LossScaling.advisedScale("float16", Math.nextUp(65_504.0 / 64))).isEqualTo(8);
  }

  @Test
  void underflowCountsWhatTheFormatHeldBelowItsLeastNormal() {
    float least = 0x1p-14f;
    Octaves octaves = octaves(least, Math.nextDown(least), least / 4, least / 16);

    assertThat(LossScaling.underflow("float16", 1, octaves)).isEqualTo(0.75);
    assertThat(LossScaling.underflow("float16", 4, octaves)).isEqualTo(0.25);
    assertThat(LossScaling.underflow("float16", 16, octaves)).isZero();
    assertThat(LossScaling.underflow("bfloat16", 1, octaves)).isZero();
    assertThat(LossScaling.underflow("float32", 1, octaves(Float.MIN_VALUE, 1))).isEqualTo(0.5);
  }

  @Test
  void whatIsNotKnownIsUnknown() {
    Octaves octaves = octaves(1);
    assertThat(LossScaling.headroom("float8", 1, 1)).isNaN();
    assertThat(LossScaling.headroom("float16", 1, 0)).isNaN();
    assertThat(LossScaling.headroom("float16", 1, Double.POSITIVE_INFINITY)).isNaN();
    assertThat(LossScaling.headroom("float16", Double.NaN, 1)).isNaN();
    assertThat(LossScaling.advisedScale("float8", 1)).isNaN();
    assertThat(LossScaling.advisedScale("float16", Double.NaN)).isNaN();
    assertThat(LossScaling.underflow("float8", 1, octaves)).isNaN();
    assertThat(LossScaling.underflow("float16", 1000, octaves)).isNaN();
    assertThat(LossScaling.underflow("float16", 1, octaves(0))).isNaN();
  }

  private static Octaves octaves(float... values) {
    long[] slots = new long[Octaves.SLOTS];
    Octaves.count(values, 0, values.length, slots);
    return Octaves.ofSlots(slots);
  }
}
