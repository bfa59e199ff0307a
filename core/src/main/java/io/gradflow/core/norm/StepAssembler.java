package io.gradflow.core.norm;

import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Stage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * Puts the parts of a run's rank groups together and publishes its steps.
 *
 * <p>Guaranteed: the steps of a lane leave once and in ascending order; what comes for a step that
 * has left is published as a revision of it, with a higher number; a step never seen before that is
 * below one that has left is published as {@code late}. The sums of a step depend on the order of
 * arrival by less than 1e-15.
 *
 * <p>A step closes when every awaited group has closed its part or a later step's (its parts come
 * in order). Its {@link ClosedBy} is the weakest of its parts' and its own.
 *
 * <p>A lane's first steps can be torn: reading began when some ranks had already sent theirs. Such
 * a step is discarded: no whole step has left before it, none of its shards says that it was the
 * trainer's first, and a missing rank or group is first seen at a later step.
 */
public final class StepAssembler {
  private final AssemblingPolicy policy;
  private final Matrices matrices;
  private final Patience patience;

  /**
   * @param matrices how the ranks of a step are compared by their sketches
   */
  public StepAssembler(AssemblingPolicy policy, Matrices matrices) {
    this.policy = policy;
    this.matrices = matrices;
    patience = new Patience(policy.timeout());
  }

  /** Where results go. */
  public interface Output {
    /** A step that has closed, or a revision of one. */
    void step(Step step);

    /** {@link #wake} is to be called then. */
    void wakeAt(long ms);

    /** A delta could not be used: fenced, too late, or no room to wait for its manifest. */
    void dropped(StepDelta delta);

    /** A torn step was discarded. */
    void torn();

    /** A step was closed to make room for others. */
    void closedForRoom();
  }

  /** A part of a step, or a revision of one. */
  public void delta(RunState state, StepDelta delta, long now, Output out) {
    Work work = new Work(state, delta.id().runId(), now, out);
    if (delta.closedBy() == null) {
      // A revision is of long ago by its nature.
      patience.heard(now);
    } else {
      patience.read(now, delta.writtenAt());
    }
    work.receive(delta);
    work.leave();
  }

  /** News of the run. */
  public void notice(RunState state, RunNotice notice, long now, Output out) {
    patience.heard(now);
    Work work = new Work(state, notice.runId(), now, out);
    if (notice.manifest() != null) {
      work.learn(Layout.of(notice.manifest()));
    } else {
      work.hear(notice.event());
    }
    work.leave();
  }

  /** The time asked for has come. */
  public void wake(RunState state, String runId, long now, Output out) {
    if (state.index().get() != null) {
      new Work(state, runId, now, out).lookAtDeadlines();
    }
  }

  /** No input will come any more: all that is open is closed, and nothing is retained. */
  public void end(RunState state, String runId, long now, Output out) {
    if (state.index().get() != null) {
      new Work(state, runId, now, out).drop();
    }
  }

  /** One event at work on the state; {@link #leave} writes the index back. */
  private final class Work {
    private final RunState state;
    private final String runId;
    private final long now;
    private final Output out;
    private final List<Lane> lanes;
    private final List<RunEnd> ends;
    private final List<RunEvent> events;
    private long attempt = -1;
    private long nextTicket;
    private int waiting;
    private long lastInputAt;
    private long armedAt = Long.MAX_VALUE;

    Work(RunState state, String runId, long now, Output out) {
      this.state = state;
      this.runId = runId;
      this.now = now;
      this.out = out;
      lastInputAt = now;
      AssemblyIndex index = state.index().get();
      if (index == null) {
        lanes = new ArrayList<>();
        ends = new ArrayList<>();
        events = new ArrayList<>();
        return;
      }
      lanes = new ArrayList<>(index.lanes());
      ends = new ArrayList<>(index.ends());
      events = new ArrayList<>(index.events());
      attempt = index.attempt();
      nextTicket = index.nextTicket();
      waiting = index.waiting();
      armedAt = index.armedAt();
      if (patience.meets(runId)) {
        recall();
      }
    }

    private void recall() {
      for (Lane lane : lanes) {
        long[] open = state.lanes().get(lane).open();
        if (open.length > 0) {
          patience.knows(state.steps().get(lane.at(open[open.length - 1])).writtenAt(), now);
        }
      }
    }

    void learn(Layout layout) {
      state.layouts().put(layout.manifestId(), layout);
      for (long ticket : tickets()) {
        StepDelta delta = state.waiting().get(ticket);
        if (delta.manifestId() == layout.manifestId()) {
          state.waiting().remove(ticket);
          waiting--;
          receive(delta);
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

    void hear(RunEvent event) {
      if (event.attempt() < attempt) {
        return;
      }
      if (event.type() != RunEvent.Type.FINISHED) {
        if (events.size() == policy.pendingEvents()) {
          events.remove(0);
        }
        events.add(event);
        return;
      }
      RunEnd.remember(ends, event, now);
      arm(now + policy.timeout().toMillis());
    }

    void receive(StepDelta delta) {
      Layout layout = state.layouts().get(delta.manifestId());
      if (delta.id().attempt() < attempt) {
        out.dropped(delta);
      } else if (layout != null) {
        take(layout, delta);
      } else if (waiting < policy.waitingDeltas()) {
        waiting++;
        state.waiting().put(nextTicket++, delta);
      } else {
        out.dropped(delta);
      }
    }

    private void take(Layout layout, StepDelta delta) {
      if (delta.id().attempt() > attempt) {
        fence(delta.id().attempt());
      }
      Lane lane = delta.lane();
      RunLane progress = state.lanes().get(lane);
      if (progress == null) {
        progress = RunLane.fresh(layout.groups());
        lanes.add(lane);
      }
      long step = delta.id().step();
      LaneStep at = lane.at(step);
      if (delta.closedBy() != null) {
        progress = progress.heard(delta.group(), step, now);
      }
      RunStep held = state.steps().get(at);
      if (step > progress.lastClosed()) {
        held = held == null ? RunStep.opened(layout.groups(), false, now, delta.writtenAt()) : held;
        state.steps().put(at, held.with(layout, delta));
        settle(lane, layout, progress.opened(step));
        return;
      }
      boolean known = Steps.contains(progress.closed(), step);
      boolean forgotten =
          progress.closed().length >= policy.rememberedSteps() && step < progress.closed()[0];
      if (held == null && (known || forgotten)) {
        out.dropped(delta);
      } else if (held == null) {
        publish(
            lane,
            layout,
            step,
            RunStep.opened(layout.groups(), true, now, delta.writtenAt())
                .with(layout, delta)
                .closed(ClosedBy.TIMEOUT, List.of()));
        progress = remember(lane, progress.overtaken(step));
      } else if (delta.sums().contributions() > 0) {
        publish(lane, layout, step, held.with(layout, delta));
      } else {
        state.steps().put(at, held.with(layout, delta));
      }
      settle(lane, layout, progress);
    }

    /** Closes what can be closed, lowest first. */
    private void settle(Lane lane, Layout layout, RunLane progress) {
      RunLane current = progress;
      while (current.open().length > 0) {
        long step = current.open()[0];
        ClosedBy reason = reasonToClose(layout, current, step);
        if (reason == null) {
          arm(state.steps().get(lane.at(step)).firstAt() + policy.timeout().toMillis());
          break;
        }
        current = close(lane, layout, current, step, reason);
      }
      state.lanes().put(lane, current);
    }

    private ClosedBy reasonToClose(Layout layout, RunLane progress, long step) {
      boolean complete = true;
      for (int group = 0; group < layout.groups(); group++) {
        complete &=
            !isDue(layout, group, step)
                || progress.groupLast()[group] >= step
                || progress.misses()[group] >= policy.patienceSteps();
      }
      if (complete) {
        return ClosedBy.COMPLETE;
      }
      if (progress.open().length > policy.openSteps()) {
        out.closedForRoom();
        return ClosedBy.TIMEOUT;
      }
      return null;
    }

    private boolean isDue(Layout layout, int group, long step) {
      return (layout.due(Stage.LOCAL, group, step) | layout.due(Stage.REDUCED, group, step)) != 0;
    }

    private RunLane close(Lane lane, Layout layout, RunLane progress, long step, ClosedBy reason) {
      RunStep held = state.steps().get(lane.at(step));
      boolean joinedLater = false;
      for (int group = 0; group < layout.groups(); group++) {
        if (isDue(layout, group, step)) {
          joinedLater |= progress.groupFirst()[group] > step;
          if (progress.groupLast()[group] < step && reason != ClosedBy.FINISHED) {
            progress.misses()[group]++;
          }
        }
      }
      boolean torn =
          !progress.settled() && !held.sums().scalars().first() && (held.torn() || joinedLater);
      if (torn) {
        state.steps().remove(lane.at(step));
        out.torn();
      } else {
        RunStep closed = held.closed(reason, preceding(lane, step));
        StepReport report = report(lane, layout, step, closed);
        publish(lane, step, closed.tracked(observe(lane, layout, report)), report);
      }
      return remember(lane, progress.closed(step, torn));
    }

    /** Steps are observed in their order, when they leave; revisions do not reach what follows. */
    private TrackedSignals observe(Lane lane, Layout layout, StepReport report) {
      LaneSignals before = state.signals().get(lane);
      before = before == null ? LaneSignals.of(layout.layerCount()) : before;
      LaneSignals.Observation observation = before.observe(report.signals());
      state.signals().put(lane, observation.after());
      return observation.signals();
    }

    private List<RunEvent> preceding(Lane lane, long step) {
      List<RunEvent> preceding = new ArrayList<>();
      for (RunEvent event : events) {
        if (event.attempt() == lane.attempt()
            && event.stream().equals(lane.stream())
            && event.step() < step) {
          preceding.add(event);
        }
      }
      events.removeAll(preceding);
      return preceding;
    }

    private StepReport report(Lane lane, Layout layout, long step, RunStep held) {
      return new StepReport(layout, lane.id(runId, step), held, matrices);
    }

    private void publish(Lane lane, Layout layout, long step, RunStep held) {
      publish(lane, step, held, report(lane, layout, step, held));
    }

    /** Publishes a closed step; an incomplete one stays open to revisions. */
    private void publish(Lane lane, long step, RunStep held, StepReport report) {
      if (report.completeness() < 1) {
        state.steps().put(lane.at(step), held);
      } else {
        state.steps().remove(lane.at(step));
      }
      out.step(report.step(held.signals()));
    }

    private RunLane remember(Lane lane, RunLane progress) {
      RunLane current = progress;
      while (current.closed().length > policy.rememberedSteps()) {
        state.steps().remove(lane.at(current.closed()[0]));
        current = current.forgotten();
      }
      return current;
    }

    private void fence(long newAttempt) {
      for (Lane lane : List.copyOf(lanes)) {
        closeAll(lane, ClosedBy.FINISHED);
        forget(lane);
      }
      attempt = newAttempt;
      ends.removeIf(end -> end.attempt() < newAttempt);
      events.removeIf(event -> event.attempt() < newAttempt);
    }

    private void closeAll(Lane lane, ClosedBy reason) {
      Layout layout = state.layouts().get(lane.manifestId());
      RunLane progress = state.lanes().get(lane);
      while (progress.open().length > 0) {
        progress = close(lane, layout, progress, progress.open()[0], reason);
      }
      state.lanes().put(lane, progress);
    }

    private void forget(Lane lane) {
      for (long step : state.lanes().get(lane).closed()) {
        state.steps().remove(lane.at(step));
      }
      state.lanes().remove(lane);
      state.signals().remove(lane);
      lanes.remove(lane);
    }

    void lookAtDeadlines() {
      lastInputAt = state.index().get().lastInputAt();
      armedAt = Long.MAX_VALUE;
      long timeout = policy.timeout().toMillis();
      for (Lane lane : lanes) {
        Layout layout = state.layouts().get(lane.manifestId());
        RunLane progress = state.lanes().get(lane);
        while (progress.open().length > 0) {
          long step = progress.open()[0];
          RunStep held = state.steps().get(lane.at(step));
          long look = patience.nextLook(held.firstAt(), held.writtenAt(), timeout, now);
          if (look > now) {
            arm(look);
            break;
          }
          progress = close(lane, layout, progress, step, ClosedBy.TIMEOUT);
          settle(lane, layout, progress);
          progress = state.lanes().get(lane);
        }
        RunEnd end = RunEnd.of(ends, lane);
        if (end != null && progress.open().length > 0) {
          long silentSince = Math.max(end.arrivedAt(), progress.lastDeltaAt());
          RunStep first = state.steps().get(lane.at(progress.open()[0]));
          long over = patience.nextLookAtEnd(silentSince, first.writtenAt(), timeout, now);
          if (over <= now) {
            closeAll(lane, ClosedBy.TIMEOUT);
          } else {
            arm(over);
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
      return patience.forgetsAt(lastInputAt, retention, now);
    }

    /** Closes everything and forgets the run. */
    void drop() {
      for (Lane lane : List.copyOf(lanes)) {
        closeAll(lane, ClosedBy.FINISHED);
        forget(lane);
      }
      for (long ticket : tickets()) {
        out.dropped(state.waiting().get(ticket));
        state.waiting().remove(ticket);
      }
      List<Long> layouts = new ArrayList<>();
      state.layouts().keys().forEach(layouts::add);
      layouts.forEach(state.layouts()::remove);
      state.index().set(null);
      patience.forgets(runId);
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
              new AssemblyIndex(
                  attempt,
                  List.copyOf(lanes),
                  List.copyOf(ends),
                  List.copyOf(events),
                  nextTicket,
                  waiting,
                  lastInputAt,
                  armedAt));
    }
  }
}
