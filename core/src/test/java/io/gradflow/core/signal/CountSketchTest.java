package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class CountSketchTest {
  private static final long SEED = CountSketch.seed("run", 3);

  @Test
  void slicesAddUpToTheLayerWhereverTheyAreCut() {
    for (int seed = 0; seed < 10; seed++) {
      Random random = new Random(seed);
      float[] layer = gaussian(random, 1_000);
      double[] whole = sketch(SEED, 0, layer);

      double[] sum = new double[CountSketch.WIDTH];
      int from = 0;
      while (from < layer.length) {
        int to = Math.min(layer.length, from + 1 + random.nextInt(40));
        CountSketch.add(sum, SEED, from, layer, from, to);
        from = to;
      }

      for (int i = 0; i < whole.length; i++) {
        assertThat(sum[i]).isCloseTo(whole[i], within(1e-12));
      }
    }
  }

  @Test
  void theIndexInTheWholeLayerDecidesNotThatInTheSlice() {
    float[] layer = gaussian(new Random(1), 100);
    float[] slice = new float[30];
    System.arraycopy(layer, 50, slice, 0, 30);
    double[] ofLayer = new double[CountSketch.WIDTH];
    CountSketch.add(ofLayer, SEED, 50, layer, 50, 80);

    assertThat(sketch(SEED, 50, slice)).containsExactly(ofLayer);
  }

  @Test
  void isLinear() {
    float[] a = gaussian(new Random(1), 500);
    float[] b = gaussian(new Random(2), 500);
    float[] combined = new float[500];
    for (int i = 0; i < combined.length; i++) {
      combined[i] = 2 * a[i] - b[i];
    }
    double[] ofA = sketch(SEED, 0, a);
    double[] ofB = sketch(SEED, 0, b);
    double[] ofCombined = sketch(SEED, 0, combined);

    for (int i = 0; i < ofCombined.length; i++) {
      assertThat(ofCombined[i]).isCloseTo(2 * ofA[i] - ofB[i], within(1e-5));
    }
  }

  /** What a publisher in another language has to reproduce. */
  @Test
  void theHashIsFrozen() {
    assertThat(CountSketch.seed("run", 3)).isEqualTo(6742473850413203904L);
    assertThat(positions(SEED, 0)).isEqualTo("+19 -28 +33 -9 +52 -38 +33 +62 +18 -52");
    assertThat(positions(SEED, 1L << 40)).isEqualTo("-31 -53 +29 -59 +58 +12 -32 +13 -9 +34");
  }

  @Test
  void bucketsAndSignsAreEvenAndLayersDiffer() {
    int elements = 64_000;
    for (int layer = 0; layer < 10; layer++) {
      float[] ones = new float[elements];
      Arrays.fill(ones, 1);
      double[] signed = sketch(CountSketch.seed("run", layer), 0, ones);
      // A bucket's sum of n/k random signs has the variance n/k.
      double chiSquare = 0;
      for (double sum : signed) {
        chiSquare += sum * sum / (elements / (double) CountSketch.WIDTH);
      }
      assertThat(chiSquare).isBetween(64 - 5 * Math.sqrt(2 * 64), 64 + 5 * Math.sqrt(2 * 64));
    }
    assertThat(positions(CountSketch.seed("run", 4), 0)).isNotEqualTo(positions(SEED, 0));
    assertThat(positions(CountSketch.seed("other", 3), 0)).isNotEqualTo(positions(SEED, 0));
  }

  /** Bucket and sign of ten elements. */
  private static String positions(long seed, long first) {
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < 10; i++) {
      double[] row = sketch(seed, first + i, 1f);
      for (int bucket = 0; bucket < row.length; bucket++) {
        if (row[bucket] != 0) {
          text.append(row[bucket] > 0 ? '+' : '-').append(bucket).append(' ');
        }
      }
    }
    return text.toString().trim();
  }

  private static double[] sketch(long seed, long first, float... values) {
    double[] row = new double[CountSketch.WIDTH];
    CountSketch.add(row, seed, first, values, 0, values.length);
    return row;
  }

  private static float[] gaussian(Random random, int size) {
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    return values;
  }
}
