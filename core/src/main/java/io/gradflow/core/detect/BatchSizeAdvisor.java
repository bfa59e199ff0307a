package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_BATCH_SIZE;

import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.signal.Octaves;

/**
 * {@link FindingKind#ADVICE_BATCH_SIZE}: a larger batch where the gradient is mostly noise, or a
 * smaller one where it hardly has any.
 *
 * <p>Advice is given when the global batch lies more than {@code octaves} from the gradient noise
 * scale for {@code steps} published steps. What a change is worth follows McCandlish, Kaplan,
 * Amodei et al. (2018), "An empirical model of large-batch training": with a batch B and the noise
 * scale N, the same progress takes steps in proportion to {@code 1 + N / B} and samples in
 * proportion to {@code 1 + B / N}, if the learning rate follows.
 *
 * <p>The global batch is the mean weight of the ranks that reported times the number of
 * data-parallel workers; it is in the unit of the weights, samples or tokens, as the noise scale
 * is.
 *
 * <p>Cannot see: runs without LOCAL gradients or with one worker; a noise scale that is not
 * resolved (the steps in which it is not leave the evidence as it is). The noise scale grows while
 * a network learns: advice holds for the present.
 */
public final class BatchSizeAdvisor {

  private BatchSizeAdvisor() {}

  /**
   * Thresholds.
   *
   * @param octaves between the global batch and the noise scale, either way
   * @param steps published steps
   */
  public record Settings(double octaves, int steps) {
    static final Settings DEFAULT = new Settings(2, 300);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(ADVICE_BATCH_SIZE, "octaves", octaves, 0.5, 100);
      Thresholds.require(ADVICE_BATCH_SIZE, "steps", steps, 1, 100_000);
    }
  }

  static Sustained observe(Reading reading, Sustained state, Settings settings, Verdicts out) {
    Step step = reading.step();
    RunSignals run = reading.runSignals();
    if (run == null || step.completeness() < 1) {
      return state;
    }
    double noise = run.noiseScale();
    double batch =
        step.scalars().weight() / step.evidence().ranks().length * reading.table().workers();
    if (!(noise > 0 && batch > 0)) {
      return state;
    }
    double apart = Octaves.log2(batch / noise);
    double size = Math.abs(apart);
    boolean small = apart < 0;
    boolean over = size > settings.octaves();
    Sustained next =
        state.next(
            over, size > settings.octaves() / 2, small ? -1 : 1, settings.steps(), reading, out);
    if (over && next.steps() >= settings.steps()) {
      String advised = Wording.rough(noise);
      String factor = Wording.rough(Math.pow(2, size));
      String saved = Wording.rough((1 + Math.pow(2, size)) / 2);
      String paid = Wording.rough(2 / (1 + Math.pow(2, -size)));
      out.advice(
          ADVICE_BATCH_SIZE,
          reading,
          -1,
          next.onset(),
          size,
          size,
          settings.octaves(),
          "octaves",
          "The batch of %.0f is about %s of the gradient noise scale, %s, since step %d or before: %s."
              .formatted(
                  batch,
                  small ? "1/" + factor : factor + " times",
                  advised,
                  next.onset(),
                  small ? "a step is mostly noise" : "much of it repeats what the rest says"),
          (small
                  ? "A batch of %s, with a learning rate to match, makes the same progress in 1/%s of the"
                      + " steps with %s times the samples; a lower learning rate averages noise, too."
                  : "A batch of %s makes the same progress with 1/%s of the samples in %s times the"
                      + " steps.")
              .formatted(advised, saved, paid));
    }
    return next;
  }
}
