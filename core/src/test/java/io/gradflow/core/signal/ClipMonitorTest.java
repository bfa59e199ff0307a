package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

class ClipMonitorTest {
  private static final double UNKNOWN = Double.NaN;
  private static final double[] NO_LAYERS = {};

  /** Of exponential norms: log 10, with a density of 0.1 there. */
  @Test
  void theAdvisedClipIsTheNinetiethPercentileWithinTheory() {
    Sample advised = new Sample();
    for (int seed = 0; seed < 400; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      ClipMonitor monitor = ClipMonitor.of(0);
      for (int step = 0; step < 1_300; step++) {
        // The first 300 are forgotten.
        double norm = (step < 300 ? 100 : 1) * -Math.log(1 - random.nextDouble());
        monitor = monitor.observe(norm, UNKNOWN, UNKNOWN, NO_LAYERS);
      }
      advised.add(monitor.advisedClip());
    }
    advised.hasMean("advised clip", Math.log(10));
    advised.hasDeviation("advised clip", 0.3 / (0.1 * Math.sqrt(1_000)), 3.5);
  }

  @Test
  void noClipIsAdvisedBeforeAHundredNorms() {
    ClipMonitor monitor = ClipMonitor.of(0);
    for (int step = 1; step <= 99; step++) {
      monitor = monitor.observe(step, UNKNOWN, UNKNOWN, NO_LAYERS);
    }
    assertThat(monitor.advisedClip()).isNaN();
    assertThat(monitor.observe(100, UNKNOWN, UNKNOWN, NO_LAYERS).advisedClip()).isEqualTo(90);
  }

  @Test
  void clippingIsKnownFromTheCoefficientOrElseFromTheClipNorm() {
    ClipMonitor monitor = ClipMonitor.of(0);
    assertThat(monitor.clippedFraction()).isNaN();
    assertThat(monitor.meanCoefficient()).isNaN();

    monitor = monitor.observe(4, 1, UNKNOWN, NO_LAYERS);
    assertThat(monitor.clippedFraction()).isEqualTo(1);
    assertThat(monitor.meanCoefficient()).isEqualTo(0.25);

    monitor = monitor.observe(0.5, 1, UNKNOWN, NO_LAYERS);
    monitor = monitor.observe(4, UNKNOWN, UNKNOWN, NO_LAYERS);
    double weight = 1 + 0.99;
    assertThat(monitor.clippedFraction()).isCloseTo(0.99 / weight, within(1e-12));
    assertThat(monitor.meanCoefficient()).isCloseTo((0.99 * 0.25 + 1) / weight, within(1e-12));

    // What the trainer says it did counts, not what it should have done.
    ClipMonitor told = ClipMonitor.of(0).observe(4, 1, 1, NO_LAYERS);
    assertThat(told.clippedFraction()).isZero();
    assertThat(told.meanCoefficient()).isEqualTo(1);
  }

  @Test
  void averagesFollowTheClippedFraction() {
    for (int seed = 0; seed < 10; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      ClipMonitor monitor = ClipMonitor.of(0);
      for (int step = 0; step < 1_000; step++) {
        double norm = random.nextDouble() < 0.3 ? 2 : 1;
        monitor = monitor.observe(norm, 1, UNKNOWN, NO_LAYERS);
      }
      // Four deviations of an average of coin tosses with a memory of 100.
      double margin = 4 * Math.sqrt(0.3 * 0.7 / 199);
      assertThat(monitor.clippedFraction()).isCloseTo(0.3, within(margin));
      assertThat(monitor.meanCoefficient()).isCloseTo(0.85, within(margin / 2));
    }
  }

  /** The whole history, sorted at every step. */
  @Test
  void autoClipIsWithinOneThirtySecondOfAnOctaveOfThePaper() {
    for (int seed = 0; seed < 10; seed++) {
      double[] norms = norms(seed, 600);
      ClipMonitor monitor = ClipMonitor.of(0);
      List<Double> history = new ArrayList<>();
      for (double norm : norms) {
        monitor = monitor.observe(norm, UNKNOWN, UNKNOWN, NO_LAYERS);
        history.add(norm);
        Collections.sort(history);
        double rank = 0.1 * (history.size() - 1);
        double lower = history.get((int) Math.floor(rank));
        double upper = history.get((int) Math.ceil(rank));
        double threshold = lower + (rank - Math.floor(rank)) * (upper - lower);

        Clipping clipping = monitor.last().autoClip();

        assertThat(clipping.threshold())
            .isBetween(threshold * Math.pow(2, -1 / 31.99), threshold * Math.pow(2, 1 / 31.99));
        double coefficient = Math.min(1, threshold / norm);
        assertThat(clipping.coefficient()).isCloseTo(coefficient, within(0.023 * coefficient));
      }
    }
  }

  @Test
  void autoClipCountsNormsOfAnySize() {
    ClipMonitor tiny = ClipMonitor.of(0).observe(1e-300, UNKNOWN, UNKNOWN, NO_LAYERS);
    ClipMonitor huge = ClipMonitor.of(0).observe(1e300, UNKNOWN, UNKNOWN, NO_LAYERS);
    assertThat(tiny.last().autoClip().threshold()).isCloseTo(0x1p-40, within(0x1p-44));
    assertThat(huge.last().autoClip().threshold()).isCloseTo(0x1p40, within(0x1p36));
  }

  /** The norms of the warm-up kept, then mean and variance by the paper's equations. */
  @Test
  void zClipDoesWhatThePaperSays() {
    for (int seed = 0; seed < 10; seed++) {
      double[] norms = norms(seed, 600);
      ClipMonitor monitor = ClipMonitor.of(0);
      double mean = 0;
      double variance = 0;
      int clipped = 0;
      for (int step = 0; step < norms.length; step++) {
        monitor = monitor.observe(norms[step], UNKNOWN, UNKNOWN, NO_LAYERS);
        Clipping clipping = monitor.last().zClip();
        if (step < 25) {
          assertThat(clipping.threshold()).isNaN();
          assertThat(clipping.coefficient()).isEqualTo(1);
          continue;
        }
        if (step == 25) {
          for (int i = 0; i < 25; i++) {
            mean += norms[i] / 25;
          }
          for (int i = 0; i < 25; i++) {
            variance += (norms[i] - mean) * (norms[i] - mean) / 25;
          }
        }
        double deviation = Math.sqrt(variance);
        double z = (norms[step] - mean) / (deviation + 1e-6);
        double after = norms[step];
        if (z > 2.5) {
          after = mean + 2.5 * deviation / (z / 2.5);
          clipped++;
        }
        assertThat(norms[step] > clipping.threshold()).isEqualTo(z > 2.5);
        assertThat(clipping.coefficient()).isCloseTo(after / norms[step], within(1e-9));
        mean = 0.97 * mean + 0.03 * after;
        variance = 0.97 * variance + 0.03 * (after - mean) * (after - mean);
      }
      assertThat(clipped).isPositive();
    }
  }

  /** Whole gradients, scaled and measured again. */
  @Test
  void adaGcDoesWhatThePaperSays() {
    int layers = 5;
    for (int seed = 0; seed < 10; seed++) {
      SplittableRandom random = new SplittableRandom(seed);
      double[] level = random.doubles(layers, 0.05, 1).toArray();
      ClipMonitor monitor = ClipMonitor.of(layers);
      double[] gamma = new double[layers];
      int clippedInAll = 0;
      for (int step = 1; step <= 300; step++) {
        double[][] gradients = new double[layers][7];
        double[] norms = new double[layers];
        for (int layer = 0; layer < layers; layer++) {
          double spike = random.nextInt(40) == 0 ? 20 : 1;
          for (int i = 0; i < 7; i++) {
            gradients[layer][i] = level[layer] * spike * random.nextGaussian();
          }
          norms[layer] = norm(gradients[layer]);
        }
        double global = norm(norms);
        int clipped = 0;
        double[] after = new double[layers];
        for (int layer = 0; layer < layers; layer++) {
          double h = Math.min(1, step <= 100 ? 1 / global : 1.05 * gamma[layer] / norms[layer]);
          for (int i = 0; i < 7; i++) {
            gradients[layer][i] *= h;
          }
          after[layer] = norm(gradients[layer]);
          clipped += h < 1 ? 1 : 0;
          if (step == 1) {
            gamma[layer] = after[layer];
          } else if (step <= 100) {
            gamma[layer] = Math.min(gamma[layer], after[layer]);
          } else {
            gamma[layer] = 0.98 * gamma[layer] + 0.02 * after[layer];
          }
        }

        monitor = monitor.observe(global, UNKNOWN, UNKNOWN, norms);

        AdaGc.Outcome outcome = monitor.last().adaGc();
        assertThat(outcome.layers()).isEqualTo(clipped);
        assertThat(outcome.coefficient()).isCloseTo(norm(after) / global, within(1e-12));
        clippedInAll += step > 100 ? clipped : 0;
      }
      for (int layer = 0; layer < layers; layer++) {
        assertThat(monitor.adaGc().gamma()[layer]).isCloseTo(gamma[layer], within(1e-12));
      }
      assertThat(clippedInAll).isPositive();
    }
  }

  @Test
  void aLayerWithoutANormOrWithANormOfZeroInTheWarmUpKeepsAdaGcsPeace() {
    ClipMonitor monitor = ClipMonitor.of(3);
    for (int step = 0; step < 150; step++) {
      double late = step < 120 ? 0 : 0.1;
      monitor = monitor.observe(0.2, UNKNOWN, UNKNOWN, new double[] {0.2, UNKNOWN, late});
    }
    assertThat(monitor.last().adaGc().layers()).isZero();
    assertThat(monitor.last().adaGc().coefficient()).isEqualTo(1);
    assertThat(monitor.adaGc().gamma()[1]).isNaN();
  }

  @Test
  void oneNormThatIsNotFinitePoisonsNothing() {
    for (double bad : new double[] {UNKNOWN, Double.POSITIVE_INFINITY, 0}) {
      ClipMonitor clean = ClipMonitor.of(1);
      ClipMonitor hit = ClipMonitor.of(1);
      double[] norms = norms(3, 200);
      for (int step = 0; step < norms.length; step++) {
        double[] layers = {norms[step]};
        clean = clean.observe(norms[step], 1, UNKNOWN, layers);
        hit = hit.observe(norms[step], 1, UNKNOWN, layers);
        if (step % 50 == 10) {
          hit = hit.observe(bad, 1, UNKNOWN, new double[] {bad});
          assertThat(hit.last().zClip().coefficient()).isNaN();
          assertThat(hit.last().autoClip().threshold()).isNaN();
          assertThat(hit.last().adaGc().coefficient()).isNaN();
        }
      }
      assertThat(hit).usingRecursiveComparison().isEqualTo(clean);
    }
  }

  /** Norms that drift, scatter and spike. */
  private static double[] norms(int seed, int steps) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] norms = new double[steps];
    for (int step = 0; step < steps; step++) {
      double spike = random.nextInt(50) == 0 ? 10 : 1;
      norms[step] = spike * Math.exp(0.3 * random.nextGaussian() - step / 300.0);
    }
    return norms;
  }

  private static double norm(double[] values) {
    double square = 0;
    for (double value : values) {
      square += value * value;
    }
    return Math.sqrt(square);
  }
}
