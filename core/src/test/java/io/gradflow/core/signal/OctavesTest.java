package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class OctavesTest {
  @Test
  void theBinIsTheFloorOfTheLogarithmForEveryExponent() {
    for (int exponent = -149; exponent <= 127; exponent++) {
      float power = (float) Math.pow(2, exponent);
      assertThat(Octaves.bin(power)).isEqualTo(exponent);
      assertThat(Octaves.bin(-power)).isEqualTo(exponent);
      float next = exponent == 127 ? Float.POSITIVE_INFINITY : 2 * power;
      assertThat(Octaves.bin(Math.nextDown(next))).isEqualTo(exponent);
    }
  }

  @Test
  void countsWhatIsNotZero() {
    long[] slots = new long[Octaves.SLOTS];

    Octaves.count(new float[] {9, 1, -1.5f, 0, 3, -0f, Float.MIN_VALUE, 9}, 1, 7, slots);

    assertSame(Octaves.ofSlots(slots), new int[] {-149, 0, 1}, new long[] {1, 2, 1});
  }

  @Test
  void theQuantileLiesInTheRightOctaveWhateverTheDistribution() {
    double[] levels = {0, 0.001, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999, 1};
    for (int seed = 0; seed < 20; seed++) {
      Random random = new Random(seed);
      float[] values = new float[1 + random.nextInt(3_000)];
      double scale = Math.pow(2, -140 + random.nextInt(240));
      double width = random.nextDouble() * 6;
      double zeroShare = random.nextBoolean() ? 0 : random.nextDouble();
      for (int i = 0; i < values.length; i++) {
        double size = scale * Math.exp(width * random.nextGaussian());
        values[i] =
            random.nextDouble() < zeroShare
                ? 0
                : (float) Math.min(size, Float.MAX_VALUE) * (random.nextBoolean() ? 1 : -1);
      }
      float[] sorted = new float[values.length];
      int zeros = 0;
      for (int i = 0; i < values.length; i++) {
        sorted[i] = Math.abs(values[i]);
        zeros += sorted[i] == 0 ? 1 : 0;
      }
      Arrays.sort(sorted);

      Octaves octaves = octaves(values);

      for (double p : levels) {
        float truth = sorted[Math.max(1, (int) Math.ceil(p * sorted.length)) - 1];
        double quantile = octaves.quantile(p, zeros);
        if (truth == 0) {
          assertThat(quantile).isZero();
        } else {
          assertThat((int) Math.floor(Math.log(quantile) / Math.log(2)))
              .as("seed %d, p %s, truth %s", seed, p, truth)
              .isEqualTo(Octaves.bin(truth));
        }
      }
    }
  }

  @Test
  void withoutValuesThereIsNoQuantile() {
    assertThat(octaves(0f).quantile(0.5, 1)).isZero();
    assertThat(octaves().quantile(0.5, 0)).isNaN();
  }

  @Test
  void slicesAddUpToTheWhole() {
    for (int seed = 0; seed < 10; seed++) {
      Random random = new Random(seed);
      float[] values = new float[500];
      for (int i = 0; i < values.length; i++) {
        values[i] = (float) Math.exp(8 * random.nextGaussian());
      }
      int cut = random.nextInt(values.length + 1);
      Octaves whole = octaves(values);
      Octaves left = octaves(Arrays.copyOfRange(values, 0, cut));
      Octaves right = octaves(Arrays.copyOfRange(values, cut, values.length));

      assertSame(left.plus(right), whole.bins(), whole.counts());
      assertSame(right.plus(left), whole.bins(), whole.counts());
      assertThat(whole.total()).isEqualTo(values.length);
    }
  }

  @Test
  void aPowerOfTwoMovesTheBinsAndNothingElseIsOne() {
    Octaves scaled = octaves(1024f * 0.3f, 1024f * 5f);

    int octaves = Octaves.octavesOf(1024).orElseThrow();

    Octaves plain = octaves(0.3f, 5f);
    assertSame(scaled.shifted(-octaves), plain.bins(), plain.counts());
    assertThat(Octaves.octavesOf(0.25)).hasValue(-2);
    for (double other : new double[] {1000, 3, 0, -4, Double.NaN, Double.POSITIVE_INFINITY}) {
      assertThat(Octaves.octavesOf(other)).as("%s", other).isEmpty();
    }
  }

  @Test
  void countsExactlyWhatIsBelowAPowerOfTwo() {
    Octaves octaves = octaves(0x1p-14f, Math.nextDown(0x1p-14f), 0x1p-24f, 0x1p-25f, 1f);

    assertThat(octaves.below(-14)).isEqualTo(3);
    assertThat(octaves.below(-24)).isEqualTo(1);
    assertThat(octaves.below(1)).isEqualTo(5);
  }

  @Test
  void aRowOfColumnsIsAHistogram() {
    int[] bins = {3, 4, -2, 0, 7};
    long[] counts = {1, 2, 3, 4, 5};

    assertSame(Octaves.ofRow(bins, counts, 2, 4), new int[] {-2, 0}, new long[] {3, 4});
  }

  private static Octaves octaves(float... values) {
    long[] slots = new long[Octaves.SLOTS];
    Octaves.count(values, 0, values.length, slots);
    return Octaves.ofSlots(slots);
  }

  private static void assertSame(Octaves octaves, int[] bins, long[] counts) {
    assertThat(octaves.bins()).containsExactly(bins);
    assertThat(octaves.counts()).containsExactly(counts);
  }
}
