package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.EXPLODING_SPIKE;

import java.util.Arrays;

/**
 * {@link FindingKind#EXPLODING_SPIKE}: a layer's gradient is suddenly many times what its baseline
 * expects.
 *
 * <p>With e and s of the baseline ({@link LogHolt}): {@code e / s > z} and {@code e > rise}
 * octaves. It is a warning, and critical once 2 of the 3 steps after a first one agree, unless the
 * run sends a loss and that is falling ({@link LossTrend}). A spike reaches many layers in the step
 * in which it appears: the layer named is the one that rose first, among these the one that rose
 * most.
 *
 * <p>Embeddings, routers and sparse layers spike by nature, with what the batch is about: they are
 * reported only once 2 of the next 3 steps agree, or when the loss is raised in the same step. For
 * ten steps after a change of the run's {@link Conditions}, {@code rise} counts double.
 *
 * <p>What all layers share, the median of e if there are four or more and it is at most 2 octaves,
 * is taken off while the run sends a loss that is not raised: so a change of rate or batch looks
 * that nobody declares.
 *
 * <p>Cannot see: growth slow enough for the baseline to follow; a spike within the warm-up or of a
 * layer as noisy as the spike is high; a gradient that is small again by the time of the next
 * sampled step.
 */
public final class ExplodingSpikeDetector {
  /** Of the last four steps, this one included. */
  private static final int WINDOW_MASK = 0b1111;

  private static final int CONFIRMED = 3;

  private static final double MOST_SHARED = 2;
  private static final int LEAST_SHARERS = 4;

  private ExplodingSpikeDetector() {}

  /**
   * Thresholds.
   *
   * @param z multiple of the layer's own scale of noise
   * @param rise octaves
   */
  public record Settings(double z, double rise) {
    static final Settings DEFAULT = new Settings(7, 1.5);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(EXPLODING_SPIKE, "z", z, 1, 1_000);
      Thresholds.require(EXPLODING_SPIKE, "rise", rise, 0.1, 100);
    }
  }

  /**
   * State by layer, changed in place.
   *
   * @param hits the last four steps, a bit each, the last one lowest
   * @param onset first step of the episode
   * @param hold quiet steps until the episode is over
   */
  public record State(int[] hits, long[] onset, int[] hold) {
    static State of(int layers) {
      return new State(new int[layers], new long[layers], new int[layers]);
    }
  }

  static void observe(
      Reading reading,
      LogHolt baseline,
      Conditions conditions,
      LossTrend loss,
      State state,
      Settings settings,
      Verdicts out) {
    double usual = conditions.isSettling() ? 2 * settings.rise() : settings.rise();
    double least = usual;
    if (loss.isSent() && !loss.raised() && anyHit(baseline, state, settings, usual, out)) {
      least += shared(baseline, state.hits().length);
    }
    var ranking = new Ranking();
    for (int i = 0; i < state.hits().length; i++) {
      double e = baseline.surprise(i);
      if (Double.isNaN(e)) {
        continue;
      }
      double z = e / baseline.scale(i);
      boolean hit = isHit(baseline, i, settings, least, out);
      boolean overHalf = z > settings.z() / 2 && e > usual / 2;
      state.hits()[i] = (state.hits()[i] << 1 | (hit ? 1 : 0)) & WINDOW_MASK;
      boolean fires =
          hit && (!reading.table().spikesByNature(i) || loss.raised() || isConfirmed(state, i));
      if (fires) {
        if (state.hold()[i] == 0) {
          state.onset()[i] = reading.stepNumber();
        }
        ranking.add(i, state.onset()[i], e);
      }
      state.hold()[i] = out.hold(state.hold()[i], fires, overHalf);
    }
    for (int place = 0; place < ranking.size(); place++) {
      report(reading, baseline, loss, state, settings, ranking, place, out);
    }
    out.activeIfAny(EXPLODING_SPIKE, state.hold());
  }

  /** Share of the layers with a baseline that stand over half the thresholds; null without any. */
  static Double risen(LogHolt baseline, int layers, DetectionPolicy policy) {
    Settings settings = policy.explodingSpike();
    int judged = 0;
    int over = 0;
    for (int i = 0; i < layers; i++) {
      double e = baseline.surprise(i);
      if (!Double.isNaN(e) && baseline.seenBefore(i) >= policy.warmUpSteps()) {
        judged++;
        boolean isOver = e / baseline.scale(i) > settings.z() / 2 && e > settings.rise() / 2;
        over += isOver ? 1 : 0;
      }
    }
    return judged == 0 ? null : Double.valueOf((double) over / judged);
  }

  private static boolean isHit(
      LogHolt baseline, int i, Settings settings, double least, Verdicts out) {
    double e = baseline.surprise(i);
    return e > least
        && e / baseline.scale(i) > settings.z()
        && baseline.seenBefore(i) >= out.policy().warmUpSteps();
  }

  private static boolean anyHit(
      LogHolt baseline, State state, Settings settings, double least, Verdicts out) {
    for (int i = 0; i < state.hits().length; i++) {
      if (isHit(baseline, i, settings, least, out)) {
        return true;
      }
    }
    return false;
  }

  /** Octaves by which all layers exceed what was expected of them, as far as that is no fault. */
  private static double shared(LogHolt baseline, int layers) {
    double[] surprises = new double[layers];
    int size = 0;
    for (int i = 0; i < layers; i++) {
      if (!Double.isNaN(baseline.surprise(i))) {
        surprises[size++] = baseline.surprise(i);
      }
    }
    if (size < LEAST_SHARERS) {
      return 0;
    }
    Arrays.sort(surprises, 0, size);
    double median = (surprises[(size - 1) / 2] + surprises[size / 2]) / 2;
    return median > 0 && median <= MOST_SHARED ? median : 0;
  }

  private static boolean isConfirmed(State state, int i) {
    return Integer.bitCount(state.hits()[i]) >= CONFIRMED;
  }

  private static void report(
      Reading reading,
      LogHolt baseline,
      LossTrend loss,
      State state,
      Settings settings,
      Ranking ranking,
      int place,
      Verdicts out) {
    int i = ranking.at(place);
    boolean critical = isConfirmed(state, i) && !(loss.isSent() && loss.isFalling());
    double e = baseline.surprise(i);
    out.layer(
        EXPLODING_SPIKE,
        critical ? Severity.CRITICAL : Severity.WARNING,
        reading,
        i,
        ranking.onset(place),
        ranking.score(place),
        e,
        settings.rise(),
        "octaves",
        "The gradient of %s is %s times its own level at step %d (%s times its usual noise)."
            .formatted(
                reading.table().label(i),
                Wording.factor(e),
                reading.stepNumber(),
                Wording.number(e / baseline.scale(i))));
  }
}
