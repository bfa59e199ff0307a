package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.STRAGGLER;

import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * {@link FindingKind#STRAGGLER}: the shards of a rank come later than those of the others, step
 * after step.
 *
 * <p>Per rank, the mean over about 50 steps of its lag behind the median rank. It fires when that
 * exceeds {@code lagMs}, {@code intervals} times the usual time between steps, and {@code z} times
 * the scatter of the ranks' means. One hiccup, however long, counts as twice the threshold; and of
 * steps that the broker took closer together than usual each counts by as much less. What trainers
 * held back in an outage comes all at once: there one hiccup would count once for every step.
 *
 * <p>Cannot see: which rank computes slowly where all wait for it before they publish; why a rank
 * is late; fewer than three ranks; more than a quarter of them late together.
 */
public final class StragglerDetector {
  private StragglerDetector() {}

  private static final double GAIN = 0.02;
  private static final int MIN_PEERS = 3;

  /** One pause, for a checkpoint, says little about the usual time between steps. */
  private static final double LONGEST_INTERVAL = 4;

  /**
   * Thresholds.
   *
   * @param lagMs milliseconds behind the median rank
   * @param intervals the same, in usual times between steps
   * @param z times the scatter over ranks
   */
  public record Settings(double lagMs, double intervals, double z) {
    static final Settings DEFAULT = new Settings(500, 3, 8);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(STRAGGLER, "lagMs", lagMs, 1, 3_600_000);
      Thresholds.require(STRAGGLER, "intervals", intervals, 0, 1_000);
      Thresholds.require(STRAGGLER, "z", z, 1, 1_000);
    }
  }

  /**
   * State of a lane.
   *
   * @param step, writtenAt of the last step that said when it was written; -1 before the first
   * @param intervalMs usual time between steps
   * @param intervals how many of these it was learnt from
   * @param values by rank: steps with a lag
   * @param lag by rank: mean lag behind the median rank, ms
   * @param since by rank: first step of the mean over half its threshold, -1 if it is not
   * @param hold by rank: quiet steps until it is over
   */
  public record State(
      long step,
      long writtenAt,
      double intervalMs,
      int intervals,
      int[] values,
      float[] lag,
      long[] since,
      int[] hold) {
    static final State FRESH =
        new State(-1, -1, 0, 0, new int[0], new float[0], new long[0], new int[0]);

    /** With rows for more ranks; {@code from} says which old row is whose, negative for none. */
    State moved(int[] from) {
      return new State(
          step,
          writtenAt,
          intervalMs,
          intervals,
          RankTrends.moved(values, from, 0),
          RankTrends.moved(lag, from),
          RankTrends.moved(since, from, -1),
          RankTrends.moved(hold, from, 0));
    }

    private State at(long newStep, Long newWrittenAt) {
      if (newWrittenAt == null || newStep <= step) {
        return this;
      }
      if (step < 0) {
        return new State(newStep, newWrittenAt, 0, 0, values, lag, since, hold);
      }
      double interval = Math.max(0, (newWrittenAt - writtenAt) / (double) (newStep - step));
      int count = intervals + 1;
      double believed = count <= 10 ? interval : Math.min(interval, LONGEST_INTERVAL * intervalMs);
      double gain = count <= 10 ? 1.0 / count : Math.max(GAIN, 1.0 / count) * pace(interval);
      double mean = intervalMs + gain * (believed - intervalMs);
      return new State(newStep, newWrittenAt, mean, count, values, lag, since, hold);
    }

    /** How much a step counts that was written so long after the one before, 0 to 1. */
    private double pace(double interval) {
      return intervalMs > 0 ? Math.min(1, interval / intervalMs) : 1;
    }

    /** Likewise of a step that was written then; 1 if it does not say. */
    private double pace(long newStep, Long newWrittenAt) {
      return newWrittenAt == null || step < 0 || newStep <= step || intervals < 10
          ? 1
          : pace(Math.max(0, (newWrittenAt - writtenAt) / (double) (newStep - step)));
    }
  }

  /** Judges a step of the run's own order. */
  static State observe(
      Step step, int[] ranks, State before, Settings settings, int warmUp, Verdicts out) {
    RankEvidence evidence = step.evidence();
    State state = evidence == null ? before : before.at(step.id().step(), evidence.writtenAt());
    double pace = evidence == null ? 1 : before.pace(step.id().step(), evidence.writtenAt());
    double least = Math.max(settings.lagMs(), settings.intervals() * state.intervalMs());
    int[] present = evidence == null ? new int[0] : present(step);
    if (present.length < MIN_PEERS) {
      out.activeIfAny(STRAGGLER, state.hold());
      return state;
    }
    long[] lags = evidence.arrivalLagMs();
    double median = Robust.median(Arrays.stream(present).mapToDouble(i -> lags[i]).toArray());
    int[] rows = new int[present.length];
    for (int k = 0; k < present.length; k++) {
      int row = Arrays.binarySearch(ranks, evidence.ranks()[present[k]]);
      rows[k] = row;
      double behind = Math.min(lags[present[k]] - median, 2 * least);
      double gain = pace * Math.max(GAIN, 1.0 / ++state.values()[row]);
      state.lag()[row] += (float) (gain * (behind - state.lag()[row]));
    }
    double[] means =
        Arrays.stream(rows)
            .filter(row -> state.values()[row] >= warmUp)
            .mapToDouble(row -> state.lag()[row])
            .toArray();
    double scatter = means.length < MIN_PEERS ? Double.NaN : Robust.scatter(means);
    double threshold = Math.max(least, settings.z() * scatter);
    judge(step, ranks, rows, state, threshold, warmUp, out);
    out.activeIfAny(STRAGGLER, state.hold());
    return state;
  }

  /** Positions in the evidence of ranks of which everything came. */
  private static int[] present(Step step) {
    int[] ranks = step.evidence().ranks();
    return IntStream.range(0, ranks.length)
        .filter(i -> Arrays.binarySearch(step.missingRanks(), ranks[i]) < 0)
        .toArray();
  }

  private static void judge(
      Step step, int[] ranks, int[] rows, State state, double threshold, int warmUp, Verdicts out) {
    var ranking = new Ranking();
    int most = Math.max(1, rows.length / 4);
    long late = Arrays.stream(rows).filter(row -> state.lag()[row] > threshold).count();
    for (int row : rows) {
      double lag = state.lag()[row];
      boolean overHalf = lag > threshold / 2;
      boolean fires = lag > threshold && late <= most && state.values()[row] >= warmUp;
      out.hold(state.since(), state.hold(), row, step.id().step(), fires, overHalf);
      if (fires) {
        ranking.add(row, state.since()[row], lag);
      }
    }
    for (int place = 0; place < ranking.size(); place++) {
      int row = ranking.at(place);
      String others =
          ranking.offered() == 1 ? "." : ", and %d more of them.".formatted(ranking.offered() - 1);
      out.rank(
          STRAGGLER,
          Severity.WARNING,
          null,
          ranks[row],
          ranking.onset(place),
          ranking.score(place) / threshold,
          ranking.score(place),
          threshold,
          "ms",
          "The shards of rank %d of %d come %s ms after those of most ranks since about step %d%s"
              .formatted(
                  ranks[row],
                  step.worldSize(),
                  Wording.number(ranking.score(place)),
                  ranking.onset(place),
                  others),
          null);
    }
  }
}
