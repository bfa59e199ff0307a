package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class CoherenceTest {
  @Test
  void isTheCosineWithTheMeanOfTheOthers() {
    for (int seed = 0; seed < 10; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      int workers = 2 + random.nextInt(15);
      double[][] gradients = gradients(random, workers, 50, random.nextDouble());
      double[] mean = meanBut(gradients, -1);
      for (int r = 0; r < workers; r++) {
        double[] others = meanBut(gradients, r);
        double truth =
            dot(gradients[r], others)
                / Math.sqrt(dot(gradients[r], gradients[r]) * dot(others, others));

        double coherence =
            Coherence.leaveOneOut(
                dot(gradients[r], mean), dot(gradients[r], gradients[r]), dot(mean, mean), workers);

        assertThat(coherence).isCloseTo(truth, within(1e-11));
      }
    }
  }

  /** Its expectation for unrelated workers is 0, unlike that of the cosine with the mean of all. */
  @Test
  void noiseAloneHasNone() {
    int dimensions = 40;
    Sample coherences = new Sample();
    for (int seed = 0; seed < 4_000; seed++) {
      double[][] gradients = gradients(new SplittableRandom(seed), 4, dimensions, 0);
      double[] mean = meanBut(gradients, -1);
      coherences.add(
          Coherence.leaveOneOut(
              dot(gradients[0], mean), dot(gradients[0], gradients[0]), dot(mean, mean), 4));
    }
    coherences.hasMean("coherence", 0);
    coherences.hasDeviation("coherence", 1 / Math.sqrt(dimensions), 3);
  }

  @Test
  void aWorkerWithItsSignFlippedIsAgainstTheOthers() {
    double[][] gradients = gradients(new SplittableRandom(3), 8, 50, 0.9);
    for (int i = 0; i < 50; i++) {
      gradients[5][i] = -gradients[5][i];
    }
    double[] mean = meanBut(gradients, -1);

    assertThat(
            Coherence.leaveOneOut(
                dot(gradients[5], mean), dot(gradients[5], gradients[5]), dot(mean, mean), 8))
        .isLessThan(-0.8);
  }

  @Test
  void isUnknownWithoutOthersOrWhenTheirMeanIsLostInRounding() {
    assertThat(Coherence.leaveOneOut(1, 1, 1, 1)).isNaN();
    assertThat(Coherence.leaveOneOut(Double.NaN, 1, 1, 4)).isNaN();
    assertThat(Coherence.leaveOneOut(1, Double.POSITIVE_INFINITY, 1, 4)).isNaN();
    assertThat(Coherence.leaveOneOut(0, 0, 1, 4)).isNaN();
    // One worker of two has all of the gradient: the other's is a rounding error.
    assertThat(Coherence.leaveOneOut(0.5, 1 + 1e-8, 0.25, 2)).isNaN();
  }

  /** Gradients with that share of their variance in common. */
  private static double[][] gradients(
      SplittableRandom random, int workers, int dimensions, double common) {
    double[][] gradients = new double[workers][dimensions];
    for (int i = 0; i < dimensions; i++) {
      double shared = random.nextGaussian();
      for (int r = 0; r < workers; r++) {
        gradients[r][i] =
            Math.sqrt(common) * shared + Math.sqrt(1 - common) * random.nextGaussian();
      }
    }
    return gradients;
  }

  /** The mean of all workers but that one. */
  private static double[] meanBut(double[][] gradients, int left) {
    double[] mean = new double[gradients[0].length];
    int count = 0;
    for (int r = 0; r < gradients.length; r++) {
      if (r != left) {
        count++;
        for (int i = 0; i < mean.length; i++) {
          mean[i] += gradients[r][i];
        }
      }
    }
    for (int i = 0; i < mean.length; i++) {
      mean[i] /= count;
    }
    return mean;
  }

  private static double dot(double[] a, double[] b) {
    double dot = 0;
    for (int i = 0; i < a.length; i++) {
      dot += a[i] * b[i];
    }
    return dot;
  }
}
