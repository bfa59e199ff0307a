package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.MISSING_SHARDS;

import io.gradflow.core.incident.Severity;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Step;
import java.util.Arrays;

/**
 * {@link FindingKind#MISSING_SHARDS}: a rank does not report.
 *
 * <p>It fires when a rank is absent from {@code steps} published steps in a row; what is absent by
 * the manifest's cadence is not missing. A revision that brings a rank's late shard ends its
 * absence. Steps closed because a higher attempt took over are torn by nature and count only once
 * the run itself has said that it is finished.
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
   */
  public record Settings(int steps) {
    static final Settings DEFAULT = new Settings(3);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(MISSING_SHARDS, "steps", steps, 1, 10_000);
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
   * @param runFinished the run has said that it is finished
   */
  static State observe(
      Step step, long ordinal, boolean runFinished, State state, Settings settings, Verdicts out) {
    if (step.closedBy() == ClosedBy.FINISHED && !runFinished) {
      if (state.hold() > 0) {
        out.active(MISSING_SHARDS);
      }
      return state;
    }
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
      overHalf |= absent > settings.steps() / 2.0;
      if (absent >= settings.steps()) {
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
          settings.steps(),
          "steps",
          over == 1
              ? "Rank %d of %d has not reported since step %d."
                  .formatted(ranks[k], step.worldSize(), steps[k])
              : "Rank %d of %d has not reported since step %d, and %d other ranks are missing too."
                  .formatted(ranks[k], step.worldSize(), steps[k], over - 1));
    }
    if (hold > 0) {
      out.active(MISSING_SHARDS);
    }
    return new State(ranks, ordinals, steps, hold);
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
