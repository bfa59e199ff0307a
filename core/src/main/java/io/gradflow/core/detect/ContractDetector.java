package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CONTRACT;

import io.gradflow.core.norm.Step;

/**
 * {@link FindingKind#CONTRACT}: what a rank sends contradicts itself.
 *
 * <p>It fires when {@code steps} published steps in a row name a rank that sent two different
 * records under one identity. The first one counts, so that norms are those of one of them, and
 * nobody can say of which. As a rule two processes publish as one rank.
 *
 * <p>Cannot see: a contradiction after the run's last step; which of the two records was right.
 */
public final class ContractDetector {
  private ContractDetector() {}

  /**
   * Thresholds.
   *
   * @param steps published steps in a row
   */
  public record Settings(int steps) {
    static final Settings DEFAULT = new Settings(1);

    /** Checks the range. */
    public Settings {
      Thresholds.require(CONTRACT, "steps", steps, 1, 10_000);
    }
  }

  /**
   * State of a lane.
   *
   * @param streak published steps in a row with a contradiction
   * @param onset the first of them, -1 if none
   * @param hold quiet steps until the episode is over
   */
  public record State(int streak, long onset, int hold) {
    static final State FRESH = new State(0, -1, 0);
  }

  /** Judges a step of the run's own order. */
  static State observe(Step step, State state, Settings settings, Verdicts out) {
    int[] ranks = step.conflictingRanks();
    int streak = ranks.length == 0 ? 0 : state.streak() + 1;
    boolean fires = streak >= settings.steps();
    int hold = out.hold(state.hold(), fires, streak > settings.steps() / 2.0);
    long onset = streak == 0 ? -1 : streak == 1 ? step.id().step() : state.onset();
    if (fires) {
      out.run(
          CONTRACT,
          Severity.WARNING,
          null,
          ranks[0],
          onset,
          ranks.length,
          0,
          "ranks",
          message(step, ranks));
    }
    if (hold > 0) {
      out.active(CONTRACT);
    }
    return new State(streak, onset, hold);
  }

  private static String message(Step step, int[] ranks) {
    String others =
        ranks.length == 1
            ? ""
            : ranks.length == 2
                ? " Another rank did so too."
                : " %d other ranks did so too.".formatted(ranks.length - 1);
    return ("Rank %d sent two different records for one step, at step %d or shortly before; the"
            + " first counts. Look for a second process that publishes as rank %d.%s")
        .formatted(ranks[0], step.id().step(), ranks[0], others);
  }
}
