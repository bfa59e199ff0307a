package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.MISSING_SHARDS;

import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Step;
import java.util.Arrays;

/**
 * {@link FindingKind#MISSING_SHARDS}: a rank does not report.
 *
 * <p>It fires when a rank is absent from {@code steps} published steps in a row; what is absent by
 * the manifest's cadence is not missing. A revision that brings a rank's late shard ends its
 * absence. The last steps of an attempt, closed because it ended, may be torn: there a rank must be
 * absent from {@code tornSteps} in a row, more than the ranks of one training are ever apart.
 *
 * <p>Cannot see: whether the rank, its host or the way to the broker failed; a rank that trains on
 * but publishes late, until its shards come; a run of which every rank is silent.
 */
public final class MissingShardsDetector {
  private MissingShardsDetector() {}

  /**
   * Thresholds.
   *
   * @param steps published steps in a row
   * @param tornSteps the same, when the last of them was closed by the end of an attempt
   */
  public record Settings(int steps, int tornSteps) {
    static final Settings DEFAULT = new Settings(3, 8);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(MISSING_SHARDS, "steps", steps, 1, 10_000);
      Thresholds.require(MISSING_SHARDS, "tornSteps", tornSteps, 1, 10_000);
    }
  }

  /**
   * State of a lane: the ranks absent from the last step, ascending, with aligned columns.
   *
   * @param sinceOrdinal how many steps of the lane came before the first that missed the rank
   * @param sinceStep number of that step
   * @param hold quiet steps until the episode is over
   */
  public record State(int[] ranks, long[] sinceOrdinal, long[] sinceStep, int hold) {
    static final State FRESH = new State(new int[0], new long[0], new long[0], 0);
  }

  /**
   * Judges a step of the run's own order.
   *
   * @param ordinal how many steps of the lane came before
   */
  static State observe(Step step, long ordinal, State state, Settings settings, Verdicts out) {
    boolean torn = step.closedBy() == ClosedBy.FINISHED;
    int least = torn ? settings.tornSteps() : settings.steps();
    int[] ranks = step.missingRanks();
    long[] ordinals = new long[ranks.length];
    long[] steps = new long[ranks.length];
    int over = 0;
    boolean overHalf = false;
    var ranking = new Ranking();
    for (int k = 0; k < ranks.length; k++) {
      int before = Arrays.binarySearch(state.ranks(), ranks[k]);
      ordinals[k] = before < 0 ? ordinal : state.sinceOrdinal()[before];
      steps[k] = before < 0 ? step.id().step() : state.sinceStep()[before];
      double absent = ordinal - ordinals[k] + 1;
      overHalf |= absent > least / 2.0;
      if (absent >= least) {
        over++;
        ranking.add(k, steps[k], absent);
      }
    }
    int hold = out.hold(state.hold(), over > 0, overHalf);
    for (int place = 0; place < ranking.size(); place++) {
      int k = ranking.at(place);
      out.run(
          MISSING_SHARDS,
          Severity.CRITICAL,
          null,
          ranks[k],
          steps[k],
          ranking.score(place),
          least,
          "steps",
          message(step, ranks[k], steps[k], over));
    }
    if (hold > 0) {
      out.active(MISSING_SHARDS);
    }
    return new State(ranks, ordinals, steps, hold);
  }

  private static String message(Step step, int rank, long since, int missing) {
    String others =
        missing == 1
            ? "."
            : missing == 2
                ? ", and another rank is missing too."
                : ", and %d other ranks are missing too.".formatted(missing - 1);
    return "Rank %d of %d has not reported since step %d%s"
        .formatted(rank, step.worldSize(), since, others);
  }

  /**
   * Takes back the absence of ranks whose shards of an earlier step have come after all.
   *
   * @param ordinal how many steps of the lane came before the revised one
   */
  static State revise(Step step, long ordinal, State state, Verdicts out) {
    if (state.hold() > 0) {
      out.active(MISSING_SHARDS);
    }
    long[] ordinals = state.sinceOrdinal().clone();
    long[] steps = state.sinceStep().clone();
    for (int k = 0; k < ordinals.length; k++) {
      boolean stillMissing = Arrays.binarySearch(step.missingRanks(), state.ranks()[k]) >= 0;
      if (!stillMissing && ordinals[k] <= ordinal) {
        ordinals[k] = ordinal + 1;
        steps[k] = step.id().step() + 1;
      }
    }
    return new State(state.ranks(), ordinals, steps, state.hold());
  }
}
