package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.RANK_DIVERGENCE;

import io.gradflow.core.norm.Step;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * {@link FindingKind#RANK_DIVERGENCE}: a rank whose gradient has turned against what it used to
 * agree with ({@link Turning}). {@link RankDivergenceDetector} holds a rank against its peers of
 * the same step; among three that says little, as one flipped sign takes their agreement from the
 * other two as well. Its own past says it all the same.
 *
 * <p>Of the ranks of a group that have turned the one is named whose cosine is lowest. Of two
 * neither can be: {@link PairDivergence}.
 *
 * <p>Cannot see: a rank that is turned from its first step on, or in its first 60; directions that
 * are noise about 0, as those of batches of a few samples.
 */
public final class RankTurnDetector {
  private RankTurnDetector() {}

  /**
   * State of a lane: columns by rank, changed in place.
   *
   * @param since first step of the evidence that lasts, -1 without
   * @param hold quiet steps until it is over
   */
  public record State(Turning turning, long[] since, int[] hold) {
    static State of(int ranks) {
      long[] nothing = new long[ranks];
      Arrays.fill(nothing, -1);
      return new State(Turning.of(ranks), nothing, new int[ranks]);
    }

    /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
    State moved(int[] from) {
      return new State(
          turning.moved(from), RankTrends.moved(since, from, -1), RankTrends.moved(hold, from, 0));
    }
  }

  /**
   * Judges a step of the run's own order.
   *
   * @param state null as long as no three ranks had a direction
   */
  static State observe(
      Step step,
      int[] ranks,
      PeerNorms peers,
      State state,
      RankDivergenceDetector.Settings settings,
      Verdicts out) {
    boolean directed = !Double.isNaN(peers.coherenceScatter());
    if (step.scalars().stepSkipped() || NonFiniteDetector.isIn(step) || !directed) {
      if (state != null) {
        out.activeIfAny(RANK_DIVERGENCE, state.hold());
      }
      return state;
    }
    State after = state == null ? State.of(ranks.length) : state;
    for (int[] group : peers.groups()) {
      judge(step, ranks, group, peers, after, settings, out);
    }
    out.activeIfAny(RANK_DIVERGENCE, after.hold());
    return after;
  }

  private static void judge(
      Step step,
      int[] ranks,
      int[] group,
      PeerNorms peers,
      State state,
      RankDivergenceDetector.Settings settings,
      Verdicts out) {
    Turning turning = state.turning();
    for (int row : group) {
      turning.learn(row, peers.coherence()[row]);
    }
    int lowest =
        IntStream.of(group)
            .boxed()
            .min((a, b) -> Float.compare(turning.cosine()[a], turning.cosine()[b]))
            .orElseThrow();
    for (int row : group) {
      boolean fires = row == lowest && turning.hasTurned(row, settings, out.policy().warmUpSteps());
      boolean lasts = fires || turning.hasFallen(row, settings);
      out.hold(state.since(), state.hold(), row, step.id().step(), fires, lasts);
      if (fires) {
        report(step, ranks[row], row, state, settings, out);
      }
    }
  }

  private static void report(
      Step step,
      int rank,
      int row,
      State state,
      RankDivergenceDetector.Settings settings,
      Verdicts out) {
    double against = -state.turning().cosine()[row];
    double least = state.turning().least(row, settings);
    out.rank(
        RANK_DIVERGENCE,
        Severity.WARNING,
        null,
        rank,
        state.since()[row],
        against / least,
        against,
        least,
        "cosine against its peers",
        "The gradient that rank %d of %d computes has turned against that of its peers since about step %d, with a cosine of -%s where it was %s: look for a flipped sign."
            .formatted(
                rank,
                step.worldSize(),
                state.since()[row],
                Wording.number(against),
                Wording.number(state.turning().before()[row])),
        Sign.AGAINST_THE_OTHERS);
  }
}
