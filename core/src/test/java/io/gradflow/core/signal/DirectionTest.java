package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class DirectionTest {
  private static final double[] ANGLES = {-0.9, -0.5, 0, 0.3, 0.6, 0.9, 0.99};

  @Test
  void theCosineFromADotIsExact() {
    for (int seed = 0; seed < 10; seed++) {
      for (double rho : ANGLES) {
        float[][] pair = pair(new SplittableRandom(seed), rho, 5_000);
        double dot = dot(pair[0], pair[1]);
        double normA = Math.sqrt(dot(pair[0], pair[0]));
        double normB = Math.sqrt(dot(pair[1], pair[1]));

        // A scale of 1e-30 or 1e30 changes no angle.
        double cosine = Direction.cosine(dot, normA, normB);

        assertThat(Direction.cosine(dot * 1e-60, normA * 1e-30, normB * 1e-30))
            .isCloseTo(cosine, within(1e-12));
        assertThat(Direction.cosine(dot * 1e60, normA * 1e30, normB * 1e30))
            .isCloseTo(cosine, within(1e-12));
        assertThat(cosine).isCloseTo(planted(pair), within(1e-12));
      }
    }
  }

  @Test
  void isNeverBeyondOneAndUnknownWithoutLength() {
    assertThat(Direction.cosine(1 + 1e-9, 1, 1)).isEqualTo(1);
    assertThat(Direction.cosine(-1 - 1e-9, 1, 1)).isEqualTo(-1);
    assertThat(Direction.cosine(0, 0, 1)).isNaN();
    assertThat(Direction.cosine(Double.NaN, 1, 1)).isNaN();
    assertThat(Direction.cosine(1, Double.POSITIVE_INFINITY, 1)).isEqualTo(0);
    assertThat(Direction.cosine(new double[64], new double[64])).isNaN();
  }

  /** Bias and error over the hashes are those of a correlation of k pairs of numbers. */
  @Test
  void sketchesEstimateTheCosineWithinTheory() {
    int k = CountSketch.WIDTH;
    int trials = 2_000;
    for (double rho : ANGLES) {
      for (int seed = 0; seed < 10; seed++) {
        float[][] pair = pair(new SplittableRandom(seed), rho, 2_000);
        double truth = planted(pair);
        Sample estimates = new Sample();
        for (int trial = 0; trial < trials; trial++) {
          long hashes = CountSketch.seed("run " + seed, trial);
          estimates.add(Direction.cosine(sketch(hashes, pair[0]), sketch(hashes, pair[1])));
        }
        double spread = 1 - truth * truth;
        // The second order of the error: a factor of sqrt(1 + 11 rho^2 / 2k).
        double theory =
            Direction.standardError(truth, k) * Math.sqrt(1 + 11 * truth * truth / (2 * k));
        estimates.hasMean("cosine " + truth, truth - truth * spread / (2 * k));
        estimates.hasDeviation("cosine " + truth, theory, 3.5);
      }
    }
  }

  @Test
  void whatUnrelatedGradientsReachIsNotTold() {
    assertThat(Direction.tells(0.37, 64)).isFalse();
    assertThat(Direction.tells(-0.38, 64)).isTrue();
    assertThat(Direction.tells(Double.NaN, 64)).isFalse();
    int told = 0;
    int trials = 20_000;
    float[][] pair = pair(new SplittableRandom(5), 0, 1_000);
    for (int trial = 0; trial < trials; trial++) {
      long hashes = CountSketch.seed("unrelated", trial);
      double cosine = Direction.cosine(sketch(hashes, pair[0]), sketch(hashes, pair[1]));
      told += Direction.tells(cosine, CountSketch.WIDTH) ? 1 : 0;
    }
    // 0.27 % of normal values lie beyond three deviations.
    assertThat(told / (double) trials).isBetween(0.0005, 0.0045);
  }

  /** Two vectors of that cosine, nearly: {@link #planted} says of which. */
  private static float[][] pair(SplittableRandom random, double rho, int size) {
    float[] a = new float[size];
    float[] b = new float[size];
    for (int i = 0; i < size; i++) {
      double common = random.nextGaussian();
      a[i] = (float) common;
      b[i] = (float) (3 * (rho * common + Math.sqrt(1 - rho * rho) * random.nextGaussian()));
    }
    return new float[][] {a, b};
  }

  /** The cosine, by the law of cosines over the unit vectors. */
  private static double planted(float[][] pair) {
    double normA = Math.sqrt(dot(pair[0], pair[0]));
    double normB = Math.sqrt(dot(pair[1], pair[1]));
    double apart = 0;
    for (int i = 0; i < pair[0].length; i++) {
      double difference = pair[0][i] / normA - pair[1][i] / normB;
      apart += difference * difference;
    }
    return 1 - apart / 2;
  }

  private static double dot(float[] a, float[] b) {
    double dot = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
    }
    return dot;
  }

  private static double[] sketch(long seed, float[] values) {
    double[] row = new double[CountSketch.WIDTH];
    CountSketch.add(row, seed, 0, values, 0, values.length);
    return row;
  }
}
