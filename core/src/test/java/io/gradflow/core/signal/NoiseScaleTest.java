package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;

/** Gaussian gradients of workers, whose true gradient and covariance are known. */
class NoiseScaleTest {
  private static final int DIMENSIONS = 24;
  private static final double[] EQUAL = {32, 32, 32, 32, 32, 32, 32, 32};
  private static final double[] UNEQUAL = {4, 8, 16, 64, 100, 7};

  @Test
  void theEstimatesOfAStepAreUnbiasedAndSpreadAsTheorySays() {
    for (int seed = 0; seed < 10; seed++) {
      for (double[] samples : new double[][] {EQUAL, UNEQUAL, {5, 50}}) {
        Truth truth = new Truth(new SplittableRandom(seed), samples);
        Sample squares = new Sample();
        Sample traces = new Sample();
        for (int trial = 0; trial < 4_000; trial++) {
          truth.draw();
          squares.add(truth.gradientSquareOfStep());
          traces.add(truth.traceOfStep());
        }
        squares.hasMean("|G|^2", truth.gradientSquare());
        traces.hasMean("tr(Sigma)", truth.trace());
        // Sums of squares of a few dozen normal numbers: kurtosis 3 + 12 / degrees of freedom.
        squares.hasDeviation("|G|^2", Math.sqrt(truth.varianceOfGradientSquare()), 6);
        if (samples == EQUAL) {
          traces.hasDeviation("tr(Sigma)", Math.sqrt(truth.varianceOfTrace()), 4);
        }
      }
    }
  }

  @Test
  void theMeanDotOfTwoWorkersIsExact() {
    for (int seed = 0; seed < 10; seed++) {
      Truth truth = new Truth(new SplittableRandom(seed), UNEQUAL);
      truth.draw();

      double dot = Coherence.pairwiseDot(truth.meanSquare(), truth.squareOfMean(), UNEQUAL.length);

      assertThat(dot).isCloseTo(truth.pairwiseDot(), within(1e-12 * truth.meanSquare()));
    }
  }

  /** Error of the ratio by the delta method over averages with a memory of 100 steps. */
  @Test
  void theScaleConvergesWithinTheory() {
    int slots = 200;
    SplittableRandom random = new SplittableRandom(17);
    Truth truth = new Truth(random, new double[] {64, 64, 64, 64});
    NoiseScale state = NoiseScale.of(slots);
    for (int step = 0; step < 800; step++) {
      for (int slot = 0; slot < slots; slot++) {
        truth.draw();
        state.observe(slot, truth.gradientSquareOfStep(), truth.traceOfStep());
      }
    }
    Sample scales = new Sample();
    for (int slot = 0; slot < slots; slot++) {
      scales.add(state.scale(slot));
    }
    double expected = truth.trace() / truth.gradientSquare();
    double relativeVariance =
        truth.varianceOfTrace() / (truth.trace() * truth.trace())
            + truth.varianceOfGradientSquare() / Math.pow(truth.gradientSquare(), 2)
            - 2 * truth.covariance() / (truth.trace() * truth.gradientSquare());
    double ofAverage = relativeVariance * 0.01 / 1.99;
    assertThat(ofAverage).as("small enough for the delta method").isLessThan(0.01);
    scales.hasMean("noise scale", expected * (1 + ofAverage));
    scales.hasDeviation("noise scale", expected * Math.sqrt(ofAverage), 4);
  }

  @Test
  void noiseWithoutAGradientIsUnresolved() {
    NoiseScale state = NoiseScale.of(2);
    assertThat(state.scale(0)).isNaN();

    state.observe(0, -1, 5);
    state.observe(1, 2, 5);

    assertThat(state.scale(0)).isNaN();
    assertThat(state.scale(1)).isCloseTo(2.5, within(1e-12));
  }

  @Test
  void gapsLeaveTheScale() {
    NoiseScale state = NoiseScale.of(1);
    state.observe(0, 2, 5);

    state.observe(0, Double.NaN, 1);
    state.observe(0, 1, Double.NaN);
    state.observe(0, Double.POSITIVE_INFINITY, 1);

    assertThat(state.scale(0)).isCloseTo(2.5, within(1e-12));
  }

  @Test
  void whatCannotBeAMeanIsRefused() {
    // Eight workers with a sum in place of their mean: its square is up to 64 times too large.
    assertThat(NoiseScale.gradientSquare(1, 3, 8)).isNaN();
    assertThat(NoiseScale.trace(1, 3, 8, 32)).isNaN();
    assertThat(Coherence.pairwiseDot(1, 3, 8)).isNaN();
    // The same gradient on all workers, one rounding off.
    assertThat(NoiseScale.gradientSquare(1, 1 + 1e-7, 8)).isCloseTo(1, within(1e-6));
    assertThat(NoiseScale.trace(1, 1 + 1e-7, 8, 32)).isZero();
  }

  @Test
  void oneWorkerOrAnythingUnknownIsUnknown() {
    assertThat(NoiseScale.gradientSquare(1, 1, 1)).isNaN();
    assertThat(NoiseScale.gradientSquare(Double.NaN, 1, 4)).isNaN();
    assertThat(NoiseScale.gradientSquare(1, Double.NaN, 4)).isNaN();
    assertThat(NoiseScale.gradientSquare(Double.POSITIVE_INFINITY, 1, 4)).isNaN();
    assertThat(NoiseScale.trace(2, 1, 1, 8)).isNaN();
    assertThat(NoiseScale.trace(2, 1, 4, Double.NaN)).isNaN();
    assertThat(NoiseScale.trace(2, 1, 4, 0)).isNaN();
  }

  /** A gradient, a covariance with unequal axes, and the workers' gradients of a step. */
  private static final class Truth {
    private final SplittableRandom random;
    private final double[] samples;
    private final double[] gradient = new double[DIMENSIONS];
    private final double[] variance = new double[DIMENSIONS];
    private final double[][] workers;

    Truth(SplittableRandom random, double[] samples) {
      this.random = random;
      this.samples = samples;
      this.workers = new double[samples.length][DIMENSIONS];
      for (int i = 0; i < DIMENSIONS; i++) {
        gradient[i] = random.nextGaussian();
        variance[i] = 10 * Math.exp(random.nextGaussian());
      }
    }

    void draw() {
      for (int r = 0; r < workers.length; r++) {
        for (int i = 0; i < DIMENSIONS; i++) {
          workers[r][i] = gradient[i] + Math.sqrt(variance[i] / samples[r]) * random.nextGaussian();
        }
      }
    }

    double gradientSquareOfStep() {
      return NoiseScale.gradientSquare(meanSquare(), squareOfMean(), samples.length);
    }

    double traceOfStep() {
      double inverse = 0;
      for (double b : samples) {
        inverse += 1 / b / samples.length;
      }
      return NoiseScale.trace(meanSquare(), squareOfMean(), samples.length, 1 / inverse);
    }

    double meanSquare() {
      double sum = 0;
      for (double[] worker : workers) {
        sum += dot(worker, worker);
      }
      return sum / workers.length;
    }

    double squareOfMean() {
      double[] mean = new double[DIMENSIONS];
      for (double[] worker : workers) {
        for (int i = 0; i < DIMENSIONS; i++) {
          mean[i] += worker[i] / workers.length;
        }
      }
      return dot(mean, mean);
    }

    double pairwiseDot() {
      double sum = 0;
      int pairs = 0;
      for (int r = 0; r < workers.length; r++) {
        for (int s = 0; s < r; s++) {
          sum += dot(workers[r], workers[s]);
          pairs++;
        }
      }
      return sum / pairs;
    }

    double gradientSquare() {
      return dot(gradient, gradient);
    }

    double trace() {
      double trace = 0;
      for (double v : variance) {
        trace += v;
      }
      return trace;
    }

    /** Of the mean of D (D - 1) dots: 4 sum G'C_rG / D^2 + 2 sum over pairs of tr(C_r C_s). */
    double varianceOfGradientSquare() {
      double d = samples.length;
      double along = 0;
      for (int i = 0; i < DIMENSIONS; i++) {
        along += gradient[i] * gradient[i] * variance[i];
      }
      double squares = dot(variance, variance);
      double first = 0;
      double second = 0;
      for (double b : samples) {
        first += 4 * along / b / (d * d);
        for (double c : samples) {
          second += 2 * squares / (b * c) / (d * d * (d - 1) * (d - 1));
        }
        second -= 2 * squares / (b * b) / (d * d * (d - 1) * (d - 1));
      }
      return first + second;
    }

    /** For equal samples: 2 tr(Sigma^2) / (D - 1). */
    double varianceOfTrace() {
      return 2 * dot(variance, variance) / (samples.length - 1);
    }

    /** Of both estimates, for equal samples: -var(tr) / B. */
    double covariance() {
      return -varianceOfTrace() / (samples[0] * samples.length);
    }

    private static double dot(double[] a, double[] b) {
      double dot = 0;
      for (int i = 0; i < a.length; i++) {
        dot += a[i] * b[i];
      }
      return dot;
    }
  }
}
