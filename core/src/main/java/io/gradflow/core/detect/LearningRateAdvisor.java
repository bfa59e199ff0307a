package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_LEARNING_RATE;

import io.gradflow.core.norm.LayerSignal;
import io.gradflow.core.norm.Step;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;

/**
 * {@link FindingKind#ADVICE_LEARNING_RATE}: a learning rate of its own for a layer that moves much
 * more or less than the others.
 *
 * <pre>
 * r     = log2(update norm / weight norm)               per weight layer
 * apart = 0.95 apart + 0.05 (r - median of r)           its first value as it is
 * </pre>
 *
 * Advice is given when {@code apart} exceeds {@code octaves}, and three times the scatter of the
 * weights, for {@code steps} published steps, and the layer moves by more than {@code fast} or less
 * than {@code slow} of its norm per step: between these a layer learns well, whatever the others do
 * (Karpathy's course notes CS231n put a healthy update at 1e-3 of the weights). The multiplier is 2
 * to the {@code -apart}: with it the layer would move as the median does. Only weights are
 * compared: biases and normalisations start at 0 or 1, and their ratios say nothing of their rates.
 * You, Gitman and Ginsburg (2017), "Large batch training of convolutional networks", give each
 * layer the rate that this multiplier leads to.
 *
 * <p>Cannot see: a rate that is wrong for all layers; runs that publish no norms of weights and
 * updates.
 */
public final class LearningRateAdvisor {
  private static final double GAIN = 0.05;
  private static final double LEAST_SCATTERS = 3;

  private LearningRateAdvisor() {}

  /**
   * Thresholds.
   *
   * @param octaves between a layer's update ratio and the median, either way
   * @param slow update over weights below which a layer may be told to move more
   * @param fast above which it may be told to move less
   * @param steps published steps
   */
  public record Settings(double octaves, double slow, double fast, int steps) {
    static final Settings DEFAULT = new Settings(2, 1e-4, 0.01, 200);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(ADVICE_LEARNING_RATE, "octaves", octaves, 0.5, 100);
      Thresholds.require(ADVICE_LEARNING_RATE, "slow", slow, 0, 1);
      Thresholds.require(ADVICE_LEARNING_RATE, "fast", fast, 0, 1_000);
      Thresholds.require(ADVICE_LEARNING_RATE, "steps", steps, 1, 100_000);
    }
  }

  /**
   * State by layer, changed in place.
   *
   * @param apart octaves from the median, NaN before the first value
   * @param run steps over the threshold since it was last under half of it
   * @param onset the first of them
   * @param hold quiet steps until the advice is over
   */
  public record State(double[] apart, int[] run, long[] onset, int[] hold) {
    static State of(int layers) {
      double[] apart = new double[layers];
      Arrays.fill(apart, Double.NaN);
      return new State(apart, new int[layers], new long[layers], new int[layers]);
    }

    /** After steps that do not count as evidence. */
    void interrupt() {
      Arrays.fill(run, 0);
    }
  }

  static void observe(Reading reading, State state, Settings settings, Verdicts out) {
    LayerTable table = reading.table();
    double[] ratios = ratios(reading.step());
    Spread spread = Spread.of(ratios, table.weights());
    if (spread == null) {
      return;
    }
    var ranking = new Ranking();
    for (int i : table.weights()) {
      if (Double.isNaN(ratios[i]) || table.zeroInit(i)) {
        continue;
      }
      double apart = ratios[i] - spread.median();
      double before = state.apart()[i];
      double mean = Double.isNaN(before) ? apart : before + GAIN * (apart - before);
      state.apart()[i] = mean;
      double size = Math.abs(mean);
      double ratio = Math.pow(2, spread.median() + mean);
      boolean over =
          size > settings.octaves()
              && size > LEAST_SCATTERS * spread.scatter()
              && (mean < 0 ? ratio < settings.slow() : ratio > settings.fast());
      boolean overHalf = size > settings.octaves() / 2;
      if (over) {
        state.onset()[i] = state.run()[i] == 0 ? reading.stepNumber() : state.onset()[i];
        state.run()[i]++;
      } else if (!overHalf) {
        state.run()[i] = 0;
      }
      boolean fires = over && state.run()[i] >= settings.steps();
      if (fires) {
        ranking.add(i, state.onset()[i], size);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, overHalf);
    }
    for (int place = 0; place < ranking.size(); place++) {
      advise(reading, ranking.at(place), state, settings, out);
    }
  }

  private static void advise(
      Reading reading, int layer, State state, Settings settings, Verdicts out) {
    double apart = state.apart()[layer];
    double size = Math.abs(apart);
    String label = reading.table().label(layer);
    out.advice(
        ADVICE_LEARNING_RATE,
        reading,
        layer,
        state.onset()[layer],
        size,
        size,
        settings.octaves(),
        "octaves",
        "Measured by its weights, %s moves %s times %s per step than the median of the weights, since step %d or before."
            .formatted(
                label, Wording.factor(size), apart < 0 ? "less" : "more", state.onset()[layer]),
        "Multiply the learning rate of %s by %s.".formatted(label, Wording.factor(-apart)));
  }

  /** In octaves; NaN where a layer's is unknown or 0. */
  private static double[] ratios(Step step) {
    double[] ratios = new double[step.norms().size()];
    for (int i = 0; i < ratios.length; i++) {
      double ratio = LayerSignal.UPDATE_RATIO.of(step, i);
      ratios[i] = ratio > 0 ? Octaves.log2(ratio) : Double.NaN;
    }
    return ratios;
  }
}
