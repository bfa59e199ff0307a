package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.STALLED_RUN;

import io.gradflow.core.StepId;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RunEvent;
import java.util.List;
import java.util.Set;

/**
 * {@link FindingKind#STALLED_RUN}: no step of a run comes any more. The one detector that wall time
 * decides; whoever asks brings the time.
 *
 * <p>The usual time between steps is learnt from when the broker took them. A run is stalled once
 * nothing came for {@code seconds}, for {@code intervals} times the usual time, and for {@code
 * pauses} times the longest pause it has made so far; {@code widening} times that after an EVAL or
 * CHECKPOINT event. It is not while it is paused, after FINISHED, and once a higher attempt has
 * started.
 *
 * <p>Judged are runs of which ten steps came, and the last of them while it was fresh: what is read
 * again from long ago is no stall.
 *
 * <p>Cannot see: whether the training, its network or the job that makes the steps has stopped; a
 * run that never sent ten steps; steps of release 0.1, which do not say when they were written.
 */
public final class StalledRunDetector {
  private StalledRunDetector() {}

  private static final double GAIN = 0.1;
  private static final int MIN_INTERVALS = 9;

  /** Clocks of broker and job differ, and steps take some time to close. */
  private static final long FRESH_MS = 300_000;

  /** Slowly forgets a pause: by half in some 700 steps. */
  private static final double PAUSE_MEMORY = 0.999;

  private static final Set<RunEvent.Type> PAUSES =
      Set.of(
          RunEvent.Type.EVAL,
          RunEvent.Type.CHECKPOINT,
          RunEvent.Type.PAUSED,
          RunEvent.Type.RESUMED);

  /**
   * Thresholds.
   *
   * @param seconds of silence at least
   * @param intervals usual times between steps
   * @param pauses longest pauses
   * @param widening of the wait after an evaluation or a checkpoint
   */
  public record Settings(int seconds, double intervals, double pauses, double widening) {
    static final Settings DEFAULT = new Settings(60, 20, 2, 10);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(STALLED_RUN, "seconds", seconds, 1, 1_000_000);
      Thresholds.require(STALLED_RUN, "intervals", intervals, 1, 100_000);
      Thresholds.require(STALLED_RUN, "pauses", pauses, 1, 1_000);
      Thresholds.require(STALLED_RUN, "widening", widening, 1, 1_000);
    }
  }

  /**
   * State of a run.
   *
   * @param last the highest step of the highest attempt; null before the first
   * @param manifestId of that step
   * @param heardMs when a step came last, by the clock of who asks
   * @param writtenAt when that highest step was written
   * @param intervals how many times between steps were learnt from
   * @param intervalMs the usual one
   * @param longestMs the longest one, slowly forgotten
   * @param fresh whether the last step came soon after it was written
   * @param stalled whether the stall has been told
   * @param attempt the highest one that events speak of, -1 before the first
   * @param finished its last step, -1 unless it said that it is finished
   * @param paused, pausedAt the step of its last PAUSED or RESUMED, and when that was; -1 without
   * @param isPaused which of the two it was
   * @param busy the step of its last EVAL or CHECKPOINT, -1 without
   */
  public record State(
      StepId last,
      long manifestId,
      long heardMs,
      long writtenAt,
      int intervals,
      double intervalMs,
      double longestMs,
      boolean fresh,
      boolean stalled,
      long attempt,
      long finished,
      long paused,
      long pausedAt,
      boolean isPaused,
      long busy) {
    /** Of a run of which nothing has come. */
    public static final State FRESH =
        new State(null, 0, 0, -1, 0, 0, 0, false, false, -1, -1, -1, -1, false, -1);

    private State heard(long nowMs, boolean isFresh) {
      return new State(
          last,
          manifestId,
          nowMs,
          writtenAt,
          intervals,
          intervalMs,
          longestMs,
          isFresh,
          false,
          attempt,
          finished,
          paused,
          pausedAt,
          isPaused,
          busy);
    }

    private State at(Step step, long newWrittenAt, int count, double interval, double longest) {
      return new State(
          step.id(),
          step.manifestId(),
          heardMs,
          newWrittenAt,
          count,
          interval,
          longest,
          fresh,
          stalled,
          attempt,
          finished,
          paused,
          pausedAt,
          isPaused,
          busy);
    }

    private State told() {
      return new State(
          last,
          manifestId,
          heardMs,
          writtenAt,
          intervals,
          intervalMs,
          longestMs,
          fresh,
          true,
          attempt,
          finished,
          paused,
          pausedAt,
          isPaused,
          busy);
    }

    private State event(
        long newAttempt,
        long newFinished,
        long newPaused,
        long newPausedAt,
        boolean nowPaused,
        long newBusy) {
      return new State(
          last,
          manifestId,
          heardMs,
          writtenAt,
          intervals,
          intervalMs,
          longestMs,
          fresh,
          stalled,
          newAttempt,
          newFinished,
          newPaused,
          newPausedAt,
          nowPaused,
          newBusy);
    }
  }

  /**
   * What became of a silence.
   *
   * @param findings that the run is stalled
   */
  public record Stall(State state, StepFindings findings) {}

  /** A step was judged: the run lives. */
  public static State step(State state, Step step, Settings settings, long nowMs) {
    Long writtenAt = step.evidence() == null ? null : step.evidence().writtenAt();
    StepId before = state.last();
    boolean isNewAttempt = before == null || step.id().attempt() > before.attempt();
    if (!isNewAttempt && step.id().attempt() < before.attempt()) {
      return state;
    }
    boolean isFresh = writtenAt != null && nowMs - writtenAt <= wait(state, settings) + FRESH_MS;
    State heard = state.heard(nowMs, isFresh);
    if (isNewAttempt) {
      return heard.at(step, writtenAt == null ? -1 : writtenAt, 0, 0, 0);
    }
    if (step.id().step() <= before.step()) {
      return heard;
    }
    boolean excused = step.events().stream().anyMatch(event -> PAUSES.contains(event.type()));
    if (writtenAt == null || state.writtenAt() < 0 || excused) {
      return heard.at(
          step,
          writtenAt == null ? -1 : writtenAt,
          state.intervals(),
          state.intervalMs(),
          state.longestMs());
    }
    double interval = Math.max(0, writtenAt - state.writtenAt());
    int count = state.intervals() + 1;
    double usual =
        state.intervalMs() + Math.max(GAIN, 1.0 / count) * (interval - state.intervalMs());
    double longest = Math.max(interval, PAUSE_MEMORY * state.longestMs());
    return heard.at(step, writtenAt, count, usual, longest);
  }

  /** The run said something. Events may come before the steps that they follow. */
  public static State event(State state, RunEvent event) {
    if (event.attempt() < state.attempt()) {
      return state;
    }
    boolean isNew = event.attempt() > state.attempt();
    long finished = isNew ? -1 : state.finished();
    long paused = isNew ? -1 : state.paused();
    long pausedAt = isNew ? -1 : state.pausedAt();
    boolean isPaused = !isNew && state.isPaused();
    long busy = isNew ? -1 : state.busy();
    boolean isLater = isNew || event.step() > paused || event.at() >= pausedAt;
    return switch (event.type()) {
      case FINISHED ->
          state.event(
              event.attempt(), Math.max(finished, event.step()), paused, pausedAt, isPaused, busy);
      case PAUSED, RESUMED ->
          isLater
              ? state.event(
                  event.attempt(),
                  finished,
                  event.step(),
                  event.at(),
                  event.type() == RunEvent.Type.PAUSED,
                  busy)
              : state;
      case EVAL, CHECKPOINT ->
          state.event(
              event.attempt(), finished, paused, pausedAt, isPaused, Math.max(busy, event.step()));
      case STARTED, CHANGED ->
          state.event(event.attempt(), finished, paused, pausedAt, isPaused, busy);
    };
  }

  /**
   * When the run will be stalled if nothing comes, by the clock of {@code heardMs}; {@link
   * Long#MAX_VALUE} if it will not.
   *
   * @param startedMs when the job began to listen: before that, silence says nothing
   */
  public static long dueMs(State state, Settings settings, long startedMs) {
    StepId last = state.last();
    boolean isJudged =
        last != null
            && state.fresh()
            && !state.stalled()
            && state.intervals() >= MIN_INTERVALS
            && state.attempt() <= last.attempt();
    if (!isJudged) {
      return Long.MAX_VALUE;
    }
    boolean isOfThisAttempt = state.attempt() == last.attempt();
    if (isOfThisAttempt && (isFinished(state) || isPaused(state))) {
      return Long.MAX_VALUE;
    }
    return Math.max(state.heardMs(), startedMs) + wait(state, settings);
  }

  private static boolean isFinished(State state) {
    return state.finished() >= state.last().step();
  }

  private static boolean isPaused(State state) {
    return state.isPaused() && state.paused() >= state.last().step();
  }

  private static long wait(State state, Settings settings) {
    double wait =
        Math.max(
            1_000.0 * settings.seconds(),
            Math.max(
                settings.intervals() * state.intervalMs(), settings.pauses() * state.longestMs()));
    boolean isBusy =
        state.last() != null
            && state.attempt() == state.last().attempt()
            && state.busy() >= state.last().step();
    return (long) (isBusy ? settings.widening() * wait : wait);
  }

  /**
   * Says that the run is stalled: {@link #dueMs} has come.
   *
   * @param waitedMs since the last step, or since the job began to listen
   */
  public static Stall stalled(State state, DetectionPolicy policy, long waitedMs) {
    var out = new Verdicts(policy);
    StepId last = state.last();
    out.active(STALLED_RUN);
    out.run(
        STALLED_RUN,
        Severity.CRITICAL,
        null,
        null,
        last.step(),
        waitedMs / 1_000.0,
        wait(state, policy.stalledRun()) / 1_000.0,
        "s",
        "No step has come for %s s after step %d, of a run that makes one in %s s."
            .formatted(
                Wording.number(waitedMs / 1_000.0),
                last.step(),
                Wording.number(state.intervalMs() / 1_000)));
    return new Stall(
        state.told(),
        new StepFindings(
            last,
            state.manifestId(),
            policy.version(),
            List.copyOf(out.findings()),
            List.copyOf(out.active()),
            List.of(),
            true,
            null));
  }
}
