package io.gradflow.core.detect;

import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.signal.Octaves;

/**
 * What a run itself does to the size of its gradients: it changes learning rate, batch or schedule,
 * or warms its learning rate up.
 *
 * <ul>
 *   <li><b>A change</b> is a {@code CHANGED} event, a learning rate more than a factor of 1.2 from
 *       the one before, or a batch (weight per rank that reported) more than a factor of 1.2, and
 *       four times its usual deviation, from the usual one. For ten published steps after it levels
 *       may shift: baselines follow quickly and a spike must be twice as high. Trends begin anew;
 *       of a batch that nobody declared once it has stood for five steps, for the last batch of an
 *       epoch is often a smaller one.
 *   <li><b>Warm-up</b> of the learning rate lasts while it rises from the first step of the lane
 *       on: until it falls, or for ten published steps does not rise. Trends and shifts are not
 *       judged in it.
 * </ul>
 *
 * <p>Other events open, and change, nothing. It is fed every step, also those that trends do not
 * see.
 *
 * <p>Cannot see: a change that nobody declares and that shows in neither rates nor weights; a rate
 * that rises for as long as the run lasts looks like a warm-up.
 *
 * @param learningRates of the last step that sent them; null before the first
 * @param warming 0 undecided, 1 the learning rate rises from the first step on, 2 over
 * @param flat published steps since it last rose
 * @param batch mean log2 weight per rank
 * @param scatter mean distance from it, in octaves
 * @param batches weights learnt from
 * @param odd unusual batches in a row
 * @param settling published steps for which levels may still shift
 * @param restarting published steps for which trends begin anew
 */
public record Conditions(
    double[] learningRates,
    int warming,
    int flat,
    double batch,
    double scatter,
    int batches,
    int odd,
    int settling,
    int restarting) {
  private static final double FACTOR = 1.2;
  private static final double LEAST_OCTAVES = Octaves.log2(FACTOR);
  private static final double LEAST_SCATTERS = 4;
  private static final double GAIN = 0.1;
  private static final int LEAST_BATCHES = 5;
  private static final int STANDING = 5;
  private static final int SETTLING = 10;
  private static final int LONGEST_FLAT = 10;
  private static final int UNDECIDED = 0;
  private static final int RISING = 1;
  private static final int OVER = 2;

  static final Conditions UNKNOWN = new Conditions(null, UNDECIDED, 0, 0, 0, 0, 0, 0, 0);

  /** Whether the levels of all layers may just be shifting. */
  boolean isSettling() {
    return settling > 0;
  }

  /** Whether trends have nothing to go on: the past is no measure of the present. */
  boolean restartsTrends() {
    return restarting > 0 || isWarmingUp();
  }

  boolean isWarmingUp() {
    return warming == RISING;
  }

  /** The conditions under which the step was made. */
  Conditions observe(Step step) {
    StepScalars scalars = step.scalars();
    boolean changed =
        step.events().stream().anyMatch(event -> event.type() == RunEvent.Type.CHANGED)
            || isJump(learningRates, scalars.learningRates());
    int newWarming = warming;
    int newFlat = flat;
    double[] rates = scalars.learningRates();
    if (rates != null && learningRates != null && warming != OVER) {
      double difference = sum(rates) - sum(learningRates);
      newFlat = difference > 0 ? 0 : flat + 1;
      newWarming =
          difference < 0 || newFlat > LONGEST_FLAT ? OVER : difference > 0 ? RISING : warming;
    }
    int restart = changed ? SETTLING : Math.max(0, restarting - 1);
    int settle = changed ? SETTLING : Math.max(0, settling - 1);
    double x = Octaves.log2(scalars.weight() / (step.worldSize() - step.missingRanks().length));
    if (!Double.isFinite(x)) {
      return new Conditions(
          rates == null ? learningRates : rates,
          newWarming,
          newFlat,
          batch,
          scatter,
          batches,
          odd,
          settle,
          restart);
    }
    double apart = Math.abs(x - batch);
    boolean unusual =
        batches >= LEAST_BATCHES && apart > Math.max(LEAST_OCTAVES, LEAST_SCATTERS * scatter);
    boolean stands = unusual && odd + 1 >= STANDING;
    if (stands) {
      restart = SETTLING;
    }
    if (unusual != odd > 0 || stands) {
      settle = SETTLING;
    }
    double gain = Math.max(GAIN, 1.0 / (batches + 1));
    return new Conditions(
        rates == null ? learningRates : rates,
        newWarming,
        newFlat,
        stands ? x : unusual ? batch : batch + gain * (x - batch),
        unusual || batches == 0 ? scatter : scatter + gain * (apart - scatter),
        batches + 1,
        unusual && !stands ? odd + 1 : 0,
        settle,
        restart);
  }

  private static boolean isJump(double[] before, double[] now) {
    if (before == null || now == null) {
      return false;
    }
    if (before.length != now.length) {
      return true;
    }
    for (int i = 0; i < now.length; i++) {
      if (Math.max(before[i], now[i]) > FACTOR * Math.min(before[i], now[i])) {
        return true;
      }
    }
    return false;
  }

  private static double sum(double[] values) {
    double sum = 0;
    for (double value : values) {
      sum += value;
    }
    return sum;
  }
}
