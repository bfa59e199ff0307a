package io.gradflow.core.window;

import io.gradflow.core.Uptime;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.norm.Lane;
import io.gradflow.core.norm.RunEnd;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/**
 * Rolls a run's steps into windows per layer, aligned to the step number: a replay cuts the same
 * ones.
 *
 * <p>Guaranteed: a window closes with the first step beyond it or with its run's end; while it is
 * open and changes, it is published again at intervals, marked open. A revision of a step of the
 * open window replaces its row; late steps and revisions of closed windows change nothing. Only
 * what a run's end has closed is published once more, whole, if steps of it come after all: the end
 * is read from another topic, and steps may be held up. Links between layers, which take time by
 * the square of their number, are sought when a window closes.
 *
 * <p>Assumed: the steps of a lane come in order, as {@link io.gradflow.core.norm.StepAssembler}
 * sends them.
 */
public final class WindowRoller {
  private final WindowPolicy policy;
  private final Matrices matrices;
  private final Uptime uptime = new Uptime();

  /**
   * @param matrices what slopes and links are computed with
   */
  public WindowRoller(WindowPolicy policy, Matrices matrices) {
    this.policy = policy;
    this.matrices = matrices;
  }

  /** Where results go. */
  public interface Output {
    /** A layer over a window, open or closed. */
    void window(LayerWindow window);

    /** {@link #wake} is to be called then. */
    void wakeAt(long ms);

    /**
     * A step is in no window: late, of a closed window, or without room to wait for its manifest.
     */
    void left(Step step);
  }

  /** A step or a revision of one. */
  public void step(WindowState state, Step step, long now, Output out) {
    Work work = new Work(state, step.id().runId(), now, out);
    work.receive(step);
    work.leave();
  }

  /** News of the run. */
  public void notice(WindowState state, RunNotice notice, long now, Output out) {
    Work work = new Work(state, notice.runId(), now, out);
    if (notice.manifest() != null) {
      work.learn(notice.manifest().manifestId(), LayerNames.of(notice.manifest()));
    } else if (notice.event().type() == RunEvent.Type.FINISHED) {
      work.finish(notice.event());
    }
    work.leave();
  }

  /** The time asked for has come. */
  public void wake(WindowState state, String runId, long now, Output out) {
    if (state.index().get() != null) {
      new Work(state, runId, now, out).lookAtDeadlines();
    }
  }

  /** No input will come any more: all windows close, and nothing is retained. */
  public void end(WindowState state, String runId, long now, Output out) {
    if (state.index().get() != null) {
      new Work(state, runId, now, out).drop();
    }
  }

  /** One event at work on the state; {@link #leave} writes the index back. */
  private final class Work {
    private final WindowState state;
    private final String runId;
    private final long now;
    private final Output out;
    private final List<OpenWindow> windows;
    private final List<RunEnd> ends;
    private long attempt = -1;
    private long nextTicket;
    private int waiting;
    private long lastInputAt;
    private long armedAt = Long.MAX_VALUE;

    Work(WindowState state, String runId, long now, Output out) {
      this.state = state;
      this.runId = runId;
      this.now = now;
      this.out = out;
      uptime.at(now);
      lastInputAt = now;
      WindowIndex index = state.index().get();
      if (index == null) {
        windows = new ArrayList<>();
        ends = new ArrayList<>();
        return;
      }
      windows = new ArrayList<>(index.windows());
      ends = new ArrayList<>(index.ends());
      attempt = index.attempt();
      nextTicket = index.nextTicket();
      waiting = index.waiting();
      armedAt = index.armedAt();
    }

    void learn(long manifestId, LayerNames names) {
      state.names().put(manifestId, names);
      for (long ticket : tickets()) {
        Step step = state.waiting().get(ticket);
        if (step.manifestId() == manifestId) {
          state.waiting().remove(ticket);
          waiting--;
          receive(step);
        }
      }
    }

    private List<Long> tickets() {
      List<Long> tickets = new ArrayList<>();
      if (waiting > 0) {
        state.waiting().keys().forEach(tickets::add);
        Collections.sort(tickets);
      }
      return tickets;
    }

    void finish(RunEvent event) {
      RunEnd.remember(ends, event, now);
      for (int i = 0; i < windows.size(); i++) {
        windows.set(i, closedByEnd(windows.get(i)));
      }
      arm(now + policy.endWait().toMillis());
    }

    void receive(Step step) {
      if (step.late() || step.id().attempt() < attempt) {
        out.left(step);
      } else if (state.names().get(step.manifestId()) != null) {
        take(step);
      } else if (waiting < policy.waitingSteps()) {
        waiting++;
        state.waiting().put(nextTicket++, step);
      } else {
        out.left(step);
      }
    }

    private void take(Step step) {
      if (step.id().attempt() > attempt) {
        windows.forEach(this::leave);
        windows.clear();
        attempt = step.id().attempt();
        ends.removeIf(end -> end.attempt() < attempt);
      }
      Lane lane = new Lane(step.id().attempt(), step.id().stream(), step.manifestId());
      long number = step.id().step();
      long first = Math.floorDiv(number, policy.length()) * policy.length();
      int at = 0;
      while (at < windows.size() && !windows.get(at).lane().equals(lane)) {
        at++;
      }
      if (at == windows.size()) {
        windows.add(OpenWindow.fresh(lane, first, -1, now));
      }
      OpenWindow window = windows.get(at);
      if (first > window.firstStep()) {
        leave(window);
        window = OpenWindow.fresh(lane, first, window.highest(), now);
      }
      boolean isNew = Arrays.binarySearch(window.steps(), number) < 0;
      if (first < window.firstStep() || (isNew && number <= window.highest())) {
        out.left(step);
        return;
      }
      state.rows().put(lane.at(number), WindowRow.of(step));
      long[] steps = window.steps();
      if (isNew) {
        steps = Arrays.copyOf(steps, steps.length + 1);
        steps[steps.length - 1] = number;
      }
      window =
          new OpenWindow(
              lane,
              first,
              steps,
              Math.max(window.highest(), number),
              true,
              window.ended(),
              window.publishedAt(),
              now);
      windows.set(at, closedByEnd(window));
      arm(window.publishedAt() + policy.republish().toMillis());
    }

    private OpenWindow closedByEnd(OpenWindow window) {
      RunEnd end = RunEnd.of(ends, window.lane());
      return end == null || window.highest() < end.step() ? window : closed(window);
    }

    /** Closed because its run has ended; its rows stay for what may come after all. */
    private OpenWindow closed(OpenWindow window) {
      if (!window.isDue()) {
        return window;
      }
      report(window).closed(matrices, out::window);
      return window.published(true, now);
    }

    /** Closes a window for good. */
    private void leave(OpenWindow window) {
      if (window.isDue()) {
        report(window).closed(matrices, out::window);
      }
      for (long step : window.steps()) {
        state.rows().remove(window.lane().at(step));
      }
    }

    private WindowReport report(OpenWindow window) {
      Lane lane = window.lane();
      List<WindowRow> rows = new ArrayList<>();
      for (long step : window.steps()) {
        rows.add(state.rows().get(lane.at(step)));
      }
      LayerNames names = state.names().get(lane.manifestId());
      return new WindowReport(runId, window, policy.length(), names, rows);
    }

    void lookAtDeadlines() {
      lastInputAt = state.index().get().lastInputAt();
      armedAt = Long.MAX_VALUE;
      for (int i = 0; i < windows.size(); i++) {
        OpenWindow window = windows.get(i);
        if (!window.isDue()) {
          continue;
        }
        RunEnd end = RunEnd.of(ends, window.lane());
        if (end != null) {
          long over =
              uptime.silentSince(Math.max(end.arrivedAt(), window.lastStepAt()))
                  + policy.endWait().toMillis();
          if (over <= now) {
            windows.set(i, closed(window));
            continue;
          }
          arm(over);
        }
        if (window.changed() && !window.ended()) {
          long due = window.publishedAt() + policy.republish().toMillis();
          if (due <= now) {
            report(window).open(matrices, out::window);
            windows.set(i, window.published(false, now));
          } else {
            arm(due);
          }
        }
      }
      if (dropAt() <= now) {
        drop();
      } else {
        leave();
      }
    }

    private long dropAt() {
      Duration retention =
          RunEnd.isHeard(ends, attempt) ? policy.finishedRetention() : policy.idleRetention();
      return uptime.silentSince(lastInputAt) + retention.toMillis();
    }

    /** Closes everything and forgets the run. */
    void drop() {
      windows.forEach(this::leave);
      for (long ticket : tickets()) {
        out.left(state.waiting().get(ticket));
        state.waiting().remove(ticket);
      }
      List<Long> manifests = new ArrayList<>();
      state.names().keys().forEach(manifests::add);
      manifests.forEach(state.names()::remove);
      state.index().set(null);
    }

    private void arm(long at) {
      if (at < armedAt) {
        armedAt = at;
        out.wakeAt(at);
      }
    }

    void leave() {
      arm(dropAt());
      state
          .index()
          .set(
              new WindowIndex(
                  attempt,
                  List.copyOf(windows),
                  List.copyOf(ends),
                  nextTicket,
                  waiting,
                  lastInputAt,
                  armedAt));
    }
  }
}
