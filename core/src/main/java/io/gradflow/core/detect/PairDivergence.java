package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.RANK_DIVERGENCE;

import io.gradflow.core.norm.Step;
import java.util.Arrays;

/**
 * {@link FindingKind#RANK_DIVERGENCE} where only two ranks do the same: neither has peers to tell
 * what is usual, but the two can be held against each other and against what they were.
 *
 * <p>d is by how many octaves a rank's LOCAL norm exceeds the other's, beyond what their weights
 * explain, s the scatter of d about its mean.
 *
 * <ul>
 *   <li><b>Far apart:</b> {@code d > rise} and {@code d / s > z}, twice within {@code within}
 *       steps, or once by {@code atOnce} octaves.
 *   <li><b>Apart on average:</b> the mean of d over about 20 steps exceeds {@code rise / 2} octaves
 *       and {@code averageZ} times its own scatter. Ranks of like data and size have a mean of 0;
 *       four times the {@code average} of ranks with peers is asked for, as no peers say how far
 *       ranks of this training differ by their data.
 *   <li><b>Turned:</b> {@link Turning}.
 *   <li><b>All zero</b> for {@code zeroSteps} steps while the other is not.
 * </ul>
 *
 * <p>Far apart or on average the larger one is named, unless the smaller one has fallen and the
 * larger one has not moved. Of a pair that has turned neither is named: each is the mirror image of
 * the other.
 *
 * <p>Cannot see: a pair that is turned from its first step on; a rank whose gradient has nothing to
 * do any more with the other's, as that is what a pair comes to that has learnt.
 */
public final class PairDivergence {
  private static final double GAIN = 0.05;
  private static final double SLOW_GAIN = 0.02;
  private static final double USUAL_GAIN = 0.01;
  private static final double SCATTER_OF_MEAN = Math.sqrt(GAIN / (2 - GAIN));

  private static final double MOST_BELIEVED = 4;

  private PairDivergence() {}

  /**
   * State of a lane: columns by rank, those of two that are a pair saying the same but for the sign
   * of d. Columns are changed in place.
   *
   * @param values steps in which the two were compared
   * @param distance mean of d
   * @param scatter of d about it
   * @param level mean of the rank's log2 norm over about 20 steps
   * @param usual mean of it over about 100
   * @param directions steps with a cosine
   * @param cosine mean over about 20 steps
   * @param cosineScatter about it
   * @param before mean before the cosine began to turn
   * @param turning steps in a row in which it has lost half of that
   * @param zeros steps in a row of exactly zero
   * @param lastFar which of the compared steps last found it far out, -1 if none
   * @param since first step of the evidence that lasts, -1 without
   * @param hold quiet steps until it is over
   */
  public record State(
      int[] values,
      float[] distance,
      float[] scatter,
      float[] level,
      float[] usual,
      int[] directions,
      float[] cosine,
      float[] cosineScatter,
      float[] before,
      int[] turning,
      int[] zeros,
      int[] lastFar,
      long[] since,
      int[] hold) {
    static State of(int ranks) {
      int[] never = new int[ranks];
      Arrays.fill(never, -1);
      long[] nothing = new long[ranks];
      Arrays.fill(nothing, -1);
      return new State(
          new int[ranks],
          new float[ranks],
          new float[ranks],
          new float[ranks],
          new float[ranks],
          new int[ranks],
          new float[ranks],
          new float[ranks],
          new float[ranks],
          new int[ranks],
          new int[ranks],
          never,
          nothing,
          new int[ranks]);
    }

    private Turning turned() {
      return new Turning(directions, cosine, cosineScatter, before, turning);
    }

    /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
    State moved(int[] from) {
      return new State(
          RankTrends.moved(values, from, 0),
          RankTrends.moved(distance, from),
          RankTrends.moved(scatter, from),
          RankTrends.moved(level, from),
          RankTrends.moved(usual, from),
          RankTrends.moved(directions, from, 0),
          RankTrends.moved(cosine, from),
          RankTrends.moved(cosineScatter, from),
          RankTrends.moved(before, from),
          RankTrends.moved(turning, from, 0),
          RankTrends.moved(zeros, from, 0),
          RankTrends.moved(lastFar, from, -1),
          RankTrends.moved(since, from, -1),
          RankTrends.moved(hold, from, 0));
    }
  }

  /**
   * Judges a step of the run's own order.
   *
   * @param state null as long as there was no pair
   */
  static State observe(
      Step step,
      int[] ranks,
      PeerNorms peers,
      State state,
      RankDivergenceDetector.Settings settings,
      Verdicts out) {
    if (step.scalars().stepSkipped() || NonFiniteDetector.isIn(step) || peers.pairs().isEmpty()) {
      if (state != null) {
        out.activeIfAny(RANK_DIVERGENCE, state.hold());
      }
      return state;
    }
    State after = state == null ? State.of(ranks.length) : state;
    var judged = new Judged(step, ranks, peers, after, settings, out);
    for (int[] pair : peers.pairs()) {
      judged.judge(pair[0], pair[1]);
    }
    out.activeIfAny(RANK_DIVERGENCE, after.hold());
    return after;
  }

  /** One step held against the past of its pairs; changes the columns of the state. */
  private static final class Judged {
    private final Step step;
    private final int[] ranks;
    private final PeerNorms peers;
    private final State state;
    private final RankDivergenceDetector.Settings settings;
    private final Verdicts out;
    private final int warmUp;

    Judged(
        Step step,
        int[] ranks,
        PeerNorms peers,
        State state,
        RankDivergenceDetector.Settings settings,
        Verdicts out) {
      this.step = step;
      this.ranks = ranks;
      this.peers = peers;
      this.state = state;
      this.settings = settings;
      this.out = out;
      warmUp = out.policy().warmUpSteps();
    }

    void judge(int one, int other) {
      double d = peers.y()[one];
      if (Double.isNaN(d)) {
        // Both are zero, or one of them did not report.
        return;
      }
      int larger = d >= 0 ? one : other;
      int smaller = d >= 0 ? other : one;
      if (Double.isInfinite(d)) {
        zero(smaller);
        return;
      }
      state.zeros()[one] = 0;
      state.zeros()[other] = 0;
      boolean warm = state.values()[one] >= warmUp;
      double scatter = state.scatter()[one];
      double far = Math.max(settings.rise(), settings.z() * scatter);
      boolean isFar = warm && Math.abs(d) > far;
      boolean isHalfFar = warm && Math.abs(d) > far / 2;
      boolean again =
          isFar
              && state.lastFar()[larger] >= 0
              && state.values()[larger] - state.lastFar()[larger] <= settings.within();
      boolean steady = isFar && state.lastFar()[larger] == state.values()[larger];
      learn(one, d);
      learn(other, -d);
      if (isFar) {
        state.lastFar()[larger] = state.values()[larger];
      }
      if (again || (isFar && Math.abs(d) > settings.atOnce())) {
        fire(
            larger,
            smaller,
            Math.abs(d),
            settings.rise(),
            steady ? Sign.LARGER : Sign.LARGER_AT_TIMES);
        return;
      }
      double mean = state.distance()[one];
      double apart = Math.max(settings.rise() / 2, settings.averageZ() * SCATTER_OF_MEAN * scatter);
      if (warm && Math.abs(mean) > apart) {
        average(mean > 0 ? one : other, mean > 0 ? other : one, Math.abs(mean), apart);
        return;
      }
      turn(one, other, isHalfFar || (warm && Math.abs(mean) > apart / 2));
    }

    private void zero(int row) {
      int zeros = ++state.zeros()[row];
      boolean fires = zeros >= settings.zeroSteps();
      last(row, fires, 2 * zeros >= settings.zeroSteps());
      if (fires) {
        report(row, zeros, settings.zeroSteps(), "steps", Sign.ALL_ZERO);
      }
    }

    private void learn(int row, double d) {
      int values = ++state.values()[row];
      double scatter = state.scatter()[row];
      double gain = Math.max(GAIN, 1.0 / values);
      double most = Math.max(MOST_BELIEVED * scatter, 1);
      double believed = Math.max(-most, Math.min(most, d));
      double off = Math.min(most, Robust.DEVIATIONS_OF_MEAN * Math.abs(d - state.distance()[row]));
      double slow = Math.max(SLOW_GAIN, 1.0 / values);
      state.scatter()[row] += (float) (slow * (off - scatter));
      state.distance()[row] += (float) (gain * (believed - state.distance()[row]));
      double x = peers.x()[row];
      state.level()[row] += (float) (gain * (x - state.level()[row]));
      state.usual()[row] += (float) (Math.max(USUAL_GAIN, 1.0 / values) * (x - state.usual()[row]));
      state.turned().learn(row, peers.coherence()[row]);
    }

    private void average(int larger, int smaller, double mean, double apart) {
      double rose = state.level()[larger] - state.usual()[larger];
      double fell = state.usual()[smaller] - state.level()[smaller];
      // Where both have moved, the training has; then the larger one is the likelier.
      if (fell > apart / 4 && Math.abs(rose) < fell / 3) {
        fire(smaller, larger, -mean, apart, Sign.SMALLER);
      } else {
        fire(larger, smaller, mean, apart, Sign.LARGER);
      }
    }

    private void fire(int row, int other, double observed, double threshold, Sign sign) {
      // Until one of them fires it is the evidence of both.
      state.since()[row] = Math.max(state.since()[row], state.since()[other]);
      state.since()[other] = -1;
      last(row, true, true);
      last(other, false, false);
      report(row, observed, threshold, "octaves", sign);
    }

    private void turn(int one, int other, boolean isApart) {
      Turning turning = state.turned();
      boolean fires = turning.hasTurned(one, settings, warmUp);
      boolean lasts = fires || isApart || turning.hasFallen(one, settings);
      last(one, fires, lasts);
      last(other, fires, lasts);
      if (fires) {
        double against = -turning.cosine()[one];
        double least = turning.least(one, settings);
        out.rank(
            RANK_DIVERGENCE,
            Severity.WARNING,
            null,
            null,
            state.since()[one],
            against / least,
            against,
            least,
            "cosine against each other",
            "The gradients that ranks %d and %d of %d compute point against each other since about step %d, with a cosine of -%s where it was %s: look for a flipped sign in one of them."
                .formatted(
                    ranks[one],
                    ranks[other],
                    step.worldSize(),
                    state.since()[one],
                    Wording.number(against),
                    Wording.number(turning.before()[one])),
            Sign.AGAINST_THE_OTHERS);
      }
    }

    private void last(int row, boolean fires, boolean lasts) {
      out.hold(state.since(), state.hold(), row, step.id().step(), fires, lasts);
    }

    private void report(int row, double observed, double threshold, String unit, Sign sign) {
      long since = state.since()[row];
      out.rank(
          RANK_DIVERGENCE,
          Severity.WARNING,
          null,
          ranks[row],
          since,
          Math.abs(observed) / threshold,
          observed,
          threshold,
          unit,
          message("rank %d of %d".formatted(ranks[row], step.worldSize()), observed, since, sign),
          sign);
    }

    private String message(String who, double observed, long since, Sign sign) {
      return switch (sign) {
        case ALL_ZERO ->
            "The gradient that %s computes is exactly zero since step %d: it takes no part in the training."
                .formatted(who, since);
        case LARGER_AT_TIMES ->
            "The gradient that %s computes was %s that of the other at step %d, and not in the step before: look at its hardware."
                .formatted(who, RankDivergenceDetector.times(observed), step.id().step());
        default ->
            "The gradient that %s computes is %s that of the other since step %d: look at the data it is fed."
                .formatted(who, RankDivergenceDetector.times(observed), since);
      };
    }
  }
}
