package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_ABSOLUTE;

import io.gradflow.core.norm.LayerSignal;

/**
 * {@link FindingKind#EXPLODING_ABSOLUTE}, advice: gradients are large beside the weights they are
 * of, whatever they were before.
 *
 * <p>Advice is given when the median over the weight layers of gradient norm / weight norm exceeds
 * {@code ratio} for {@code steps} published steps in a row. A plain gradient step of rate 0.1 then
 * replaces the weights. The ratio is that of LARS: You, Gitman and Ginsburg (2017), "Large batch
 * training of convolutional networks".
 *
 * <p>Cannot see: runs that publish no norms of weights; whether the optimiser divides by the
 * gradient's size, as Adam does: then nothing may follow from it.
 */
public final class ExplodingAbsoluteAdvisor {
  private ExplodingAbsoluteAdvisor() {}

  /**
   * Thresholds.
   *
   * @param ratio gradient norm over weight norm
   * @param steps published steps in a row
   */
  public record Settings(double ratio, int steps) {
    static final Settings DEFAULT = new Settings(10, 5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_ABSOLUTE, "ratio", ratio, 1e-3, 1e9);
      Thresholds.require(EXPLODING_ABSOLUTE, "steps", steps, 1, 100_000);
    }
  }

  static InARow observe(Reading reading, InARow state, Settings settings, Verdicts out) {
    if (reading.step().signals() == null || reading.step().signals().weightNorm() == null) {
      return state;
    }
    int[] weights = reading.table().weights();
    double[] ratios = new double[reading.table().size()];
    for (int i : weights) {
      ratios[i] = LayerSignal.TRUST_RATIO.of(reading.step(), i);
    }
    double median = VanishingTrendDetector.median(ratios, weights, new double[ratios.length]);
    if (Double.isNaN(median)) {
      return state;
    }
    InARow next =
        state.next(
            median > settings.ratio(),
            median > settings.ratio() / 2,
            settings.steps(),
            reading,
            out);
    if (next.run() >= settings.steps()) {
      out.advice(
          EXPLODING_ABSOLUTE,
          reading,
          -1,
          next.onset(),
          median,
          median,
          settings.ratio(),
          "1",
          "Half of the weight layers have gradients more than %s times as large as their weights, since step %d or before."
              .formatted(Wording.number(median), next.onset()),
          "Clip the gradient, warm the learning rate up from a small one, or look for a sum where a"
              + " mean is meant in the loss.");
    }
    return next;
  }
}
