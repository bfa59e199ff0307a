package io.gradflow.core.norm;

import io.gradflow.core.Rejection;
import io.gradflow.core.StepId;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/**
 * Puts the shards of one rank group together, step by step, and sends on what the group has of a
 * step as a {@link StepDelta}: once when it closes, again for whatever comes after that.
 *
 * <p>Guaranteed: each rank, stage and part counts once; the steps of a lane close in ascending
 * order; no input makes it throw; what cannot be used becomes a {@link Rejection}. Shards of an
 * open step are kept as they came and summed up when it closes, ordered by rank: the sums of a
 * closing delta do not depend on the order of arrival at all.
 *
 * <p>An attempt is fenced by the first valid shard of a higher one, never by an event: events are
 * read from another topic, and on replay they come before the shards of every attempt.
 *
 * <p>One for all groups of a subtask: it knows when the subtask has last heard of anything, how far
 * apart it reads its partitions, and how much it holds. After a restore a new one begins afresh.
 *
 * <p>Assumed: the records of one rank arrive in the order it sent them, as one partition gives
 * them.
 */
public final class ShardCombiner {
  private static final String NO_ROOM = "no-room";

  /** What a held shard takes beside its columns, roughly. */
  private static final int SHARD_BYTES = 300;

  /** Beyond so many times the open steps allowed, the oldest closes at once. */
  private static final int CROWD = 16;

  private final CombiningPolicy policy;
  private final Patience patience;
  private final Room room;

  public ShardCombiner(CombiningPolicy policy) {
    this.policy = policy;
    patience = new Patience(policy.timeout());
    room = new Room(policy.limits());
  }

  /** Where results go. */
  public interface Output {
    /** What the group has of a step, or more of it. */
    void delta(StepDelta delta);

    /** A shard that cannot be used. */
    void rejection(Rejection rejection);

    /** {@link #wake} is to be called then. */
    void wakeAt(long ms);

    /** So many shards met that fate. */
    void count(ShardFate fate, long shards);

    /** A step was closed to make room for others. */
    void closedForRoom();

    /** A shard or layout was rejected because a limit of the subtask is reached. */
    void refused(Limits.Kind limit);
  }

  /** What the subtask holds. */
  public Room room() {
    return room;
  }

  /** A shard of one of the group's ranks. */
  public void shard(GroupState state, Shard shard, long now, Output out) {
    HeldShard held = new HeldShard(now, shard);
    Work work = new Work(state, RankGroup.of(shard), now, out);
    patience.read(now, held.writtenAt());
    out.count(ShardFate.RECEIVED, 1);
    work.receive(held);
    work.leave();
  }

  /** What the group is told of its run. */
  public void notice(GroupState state, GroupNotice notice, long now, Output out) {
    patience.heard(now);
    Work work = new Work(state, notice.key(), now, out);
    if (notice.layout() != null) {
      work.learn(notice.layout());
    } else if (notice.event().type() == RunEvent.Type.FINISHED) {
      work.finish(notice.event());
    }
    work.leave();
  }

  /** The time asked for has come. */
  public void wake(GroupState state, RankGroup key, long now, Output out) {
    GroupIndex index = state.index().get();
    if (index == null) {
      return;
    }
    Work work = new Work(state, key, now, out);
    work.lookAtDeadlines();
  }

  /** No input will come any more: all that is open is closed, and nothing is retained. */
  public void end(GroupState state, RankGroup key, long now, Output out) {
    if (state.index().get() != null) {
      new Work(state, key, now, out).drop();
    }
  }

  /** One event at work on the state; {@link #leave} writes the index back. */
  private final class Work {
    private final GroupState state;
    private final RankGroup key;
    private final long now;
    private final Output out;
    private final List<Lane> lanes;
    private final List<RunEnd> ends;
    private long attempt = -1;
    private long nextTicket;
    private int waiting;
    private long waitingBytes;
    private long layers;
    private long bytes;
    private long lastInputAt;
    private long armedAt = Long.MAX_VALUE;

    Work(GroupState state, RankGroup key, long now, Output out) {
      this.state = state;
      this.key = key;
      this.now = now;
      this.out = out;
      lastInputAt = now;
      GroupIndex index = state.index().get();
      if (index == null) {
        lanes = new ArrayList<>();
        ends = new ArrayList<>();
        return;
      }
      lanes = new ArrayList<>(index.lanes());
      ends = new ArrayList<>(index.ends());
      attempt = index.attempt();
      nextTicket = index.nextTicket();
      waiting = index.waiting();
      waitingBytes = index.waitingBytes();
      layers = index.layers();
      bytes = index.bytes();
      armedAt = index.armedAt();
      if (patience.meets(key)) {
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

    void receive(HeldShard held) {
      Shard shard = held.shard();
      Layout layout = state.layouts().get(shard.manifestId());
      if (shard.id().attempt() < attempt) {
        reject(shard, "fenced", "attempt " + attempt + " has taken over; stop the old processes");
      } else if (layout != null) {
        take(layout, held);
      } else {
        await(held);
      }
    }

    private void await(HeldShard held) {
      long more = bytes(held.shard().columns());
      if (waiting >= policy.waitingShards() || waitingBytes + more > policy.waitingBytes()) {
        reject(
            held.shard(),
            "no-manifest",
            manifestOf(held.shard())
                + " is unknown and no room is left to wait for it; publish it before the shards");
        return;
      }
      Limits.Kind limit = room.refusal(key, 0, more);
      if (limit != null) {
        refuse(held.shard(), limit);
        return;
      }
      waiting++;
      waitingBytes += more;
      state.waiting().put(nextTicket++, held);
      arm(now + policy.manifestWait().toMillis());
    }

    void learn(Layout layout) {
      if (state.layouts().get(layout.manifestId()) == null) {
        Limits.Kind limit = room.refusal(key, 0, bytes(layout));
        if (limit != null) {
          out.refused(limit);
          // A manifest comes once: each that is refused is worth saying.
          out.rejection(
              new Rejection(
                  NO_ROOM,
                  "manifest %016x of run %s: %s; raise gradflow.limits.%s and publish it again"
                      .formatted(
                          layout.manifestId(),
                          key.runId(),
                          room.describe(limit),
                          limit.name().toLowerCase(Locale.ROOT)),
                  new StepId(key.runId(), attempt, layout.stream(), -1),
                  -1,
                  null));
          return;
        }
        bytes += bytes(layout);
      }
      state.layouts().put(layout.manifestId(), layout);
      for (long ticket : tickets()) {
        HeldShard held = state.waiting().get(ticket);
        if (held.shard().manifestId() == layout.manifestId()) {
          admit(ticket, held);
          // What a shard has waited for its manifest, its step has not waited for other shards.
          receive(new HeldShard(now, held.shard()));
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

    private void admit(long ticket, HeldShard held) {
      state.waiting().remove(ticket);
      waiting--;
      waitingBytes -= bytes(held.shard().columns());
    }

    void finish(RunEvent event) {
      RunEnd.remember(ends, event, now);
      for (Lane lane : lanes) {
        settle(lane, layoutOf(lane), state.lanes().get(lane));
      }
      arm(now + policy.timeout().toMillis());
    }

    private void take(Layout layout, HeldShard held) {
      Shard shard = held.shard();
      StepId id = shard.id();
      String fault = layout.fault(shard);
      if (fault != null) {
        reject(shard, "bad-shard", fault + "; fix the publisher");
        return;
      }
      int member = shard.rank() % Layout.GROUP_SIZE;
      if ((layout.due(shard.stage(), key.group(), id.step()) & 1L << member) == 0) {
        reject(
            shard,
            "not-due",
            manifestOf(shard) + " has the rank not publish " + shard.stage() + " at this step");
        return;
      }
      if (id.attempt() > attempt) {
        fence(id.attempt());
      }
      Lane lane = new Lane(id.attempt(), id.stream(), shard.manifestId());
      Limits.Kind limit = makeRoom(lane, layout, bytes(shard.columns()));
      if (limit != null) {
        refuse(shard, limit);
        return;
      }
      GroupLane progress = state.lanes().get(lane);
      if (progress == null) {
        progress = GroupLane.fresh();
        lanes.add(lane);
        layers += layout.layerCount();
      }
      progress = progress.heard(shard.stage(), member, id.step(), now);
      GroupStep step = state.steps().get(lane.at(id.step()));
      if (step == null) {
        step = GroupStep.openedBy(held);
        if (id.step() > progress.lastClosed()) {
          progress = progress.opened(id.step());
        } else if (progress.closed().length >= policy.rememberedSteps()
            && id.step() < progress.closed()[0]) {
          reject(shard, "too-late", "step " + progress.lastClosed() + " has closed long ago");
          state.lanes().put(lane, progress);
          return;
        } else {
          progress = remember(lane, progress.overtaken(id.step()));
          step = step.sent(0);
        }
      }
      settle(lane, layout, contribute(layout, lane, progress, step, held));
    }

    /** Closes steps of the lane until it may hold more; the limit that is reached all the same. */
    private Limits.Kind makeRoom(Lane lane, Layout layout, long moreBytes) {
      GroupLane progress = state.lanes().get(lane);
      account();
      while (true) {
        Limits.Kind limit =
            room.refusal(key, progress == null ? layout.layerCount() : 0, moreBytes);
        if (limit != Limits.Kind.BYTES || progress == null || progress.open().length == 0) {
          return limit;
        }
        out.closedForRoom();
        progress = close(lane, layout, progress, progress.open()[0], ClosedBy.TIMEOUT);
        state.lanes().put(lane, progress);
        account();
      }
    }

    private void account() {
      room.holds(key, layers, bytes + waitingBytes);
    }

    private GroupLane contribute(
        Layout layout, Lane lane, GroupLane progress, GroupStep step, HeldShard held) {
      Shard shard = held.shard();
      LaneStep at = lane.at(shard.id().step());
      Long known = step.hashOf(GroupStep.key(shard));
      if (known != null) {
        boolean same = known == shard.contentHash();
        out.count(same ? ShardFate.DUPLICATE : ShardFate.CONFLICT, 1);
        if (!same) {
          int member = shard.rank() % Layout.GROUP_SIZE;
          if (step.closed()) {
            return progress.contradicted(member);
          }
          state.steps().put(at, step.contradicted(member));
        }
        return progress;
      }
      GroupStep more = step.with(shard);
      boolean microBatch = shard.accumIndex() < shard.accumSteps() - 1;
      if (microBatch) {
        out.count(step.closed() ? ShardFate.LATE : ShardFate.MERGED, 1);
      } else if (step.closed()) {
        StepSums sums = StepSums.of(layout, List.of(held), step.writtenAt(), step.weighed());
        out.count(ShardFate.LATE, 1);
        out.delta(
            new StepDelta(
                lane.id(key.runId(), at.step()),
                lane.manifestId(),
                key.group(),
                null,
                false,
                more.local() & ~step.local(),
                more.reduced() & ~step.reduced(),
                0,
                step.writtenAt(),
                sums));
        more = more.sent(1L << (shard.rank() % Layout.GROUP_SIZE));
      } else {
        state.shards().put(at.contribution(GroupStep.key(shard)), held);
        bytes += bytes(shard.columns());
      }
      state.steps().put(at, more);
      return progress;
    }

    /** Closes what can be closed, lowest first. */
    private void settle(Lane lane, Layout layout, GroupLane progress) {
      GroupLane current = progress;
      while (current.open().length > 0) {
        long step = current.open()[0];
        ClosedBy reason = reasonToClose(lane, layout, current, step);
        if (reason == null) {
          arm(state.steps().get(lane.at(step)).firstAt() + policy.timeout().toMillis());
          break;
        }
        current = close(lane, layout, current, step, reason);
      }
      state.lanes().put(lane, current);
    }

    private ClosedBy reasonToClose(Lane lane, Layout layout, GroupLane progress, long step) {
      if (isComplete(lane, layout, progress, step)) {
        return ClosedBy.COMPLETE;
      }
      long due =
          layout.due(Stage.LOCAL, key.group(), step) | layout.due(Stage.REDUCED, key.group(), step);
      long lead = step + (long) policy.quorumLead() * layout.every();
      int ahead = 0;
      for (int member = 0; member < Layout.GROUP_SIZE; member++) {
        if ((due & 1L << member) != 0 && progress.lastSent()[member] >= lead) {
          ahead++;
        }
      }
      boolean outrun = ahead >= Math.ceil(policy.quorum() * Long.bitCount(due));
      boolean crowded = progress.open().length > policy.openSteps();
      if (outrun || crowded) {
        GroupStep held = state.steps().get(lane.at(step));
        long wait = policy.quorumWait().toMillis();
        long look = patience.nextLook(held.firstAt(), held.writtenAt(), wait, now);
        boolean ripe = look <= now;
        if (ripe && outrun) {
          return ClosedBy.QUORUM;
        }
        if (ripe || progress.open().length > (long) CROWD * policy.openSteps()) {
          out.closedForRoom();
          return ClosedBy.TIMEOUT;
        }
        arm(Math.max(look, now + Patience.LOOK_AGAIN_MS));
      }
      RunEnd end = RunEnd.of(ends, lane);
      long last = progress.open()[progress.open().length - 1];
      return end != null
              && last + layout.every() > end.step()
              && isComplete(lane, layout, progress, last)
          ? ClosedBy.FINISHED
          : null;
    }

    private boolean isComplete(Lane lane, Layout layout, GroupLane progress, long step) {
      GroupStep held = state.steps().get(lane.at(step));
      long local = layout.due(Stage.LOCAL, key.group(), step) & progress.awaitedLocal();
      long reduced = layout.due(Stage.REDUCED, key.group(), step) & progress.awaitedReduced();
      return (local & ~held.local()) == 0 && (reduced & ~held.reduced()) == 0;
    }

    private GroupLane close(
        Lane lane, Layout layout, GroupLane progress, long step, ClosedBy reason) {
      LaneStep at = lane.at(step);
      GroupStep held = state.steps().get(at);
      List<HeldShard> shards = new ArrayList<>();
      long ranks = 0;
      for (long contribution : held.keys()) {
        HeldShard shard = state.shards().get(at.contribution(contribution));
        if (shard != null) {
          shards.add(shard);
          ranks |= 1L << (shard.shard().rank() % Layout.GROUP_SIZE);
          bytes -= bytes(shard.shard().columns());
          state.shards().remove(at.contribution(contribution));
        }
      }
      StepSums sums = StepSums.of(layout, shards, held.writtenAt(), 0);
      long missingLocal = layout.due(Stage.LOCAL, key.group(), step) & ~held.local();
      long missingReduced = layout.due(Stage.REDUCED, key.group(), step) & ~held.reduced();
      boolean torn =
          !progress.settled()
              && !sums.scalars().first()
              && joinedLater(progress, missingLocal | missingReduced, step);
      state.steps().put(at, held.sent(ranks));
      out.count(ShardFate.MERGED, shards.size());
      out.delta(
          new StepDelta(
              lane.id(key.runId(), step),
              lane.manifestId(),
              key.group(),
              reason,
              torn,
              held.local(),
              held.reduced(),
              held.conflicting() | progress.conflicting(),
              held.writtenAt(),
              sums));
      boolean missed = reason != ClosedBy.FINISHED;
      return remember(
          lane,
          progress.closed(
              step,
              torn,
              missed ? missingLocal : 0,
              missed ? missingReduced : 0,
              policy.patienceSteps()));
    }

    private boolean joinedLater(GroupLane progress, long missing, long step) {
      for (int member = 0; member < Layout.GROUP_SIZE; member++) {
        if ((missing & 1L << member) != 0 && progress.firstSent()[member] > step) {
          return true;
        }
      }
      return false;
    }

    private GroupLane remember(Lane lane, GroupLane progress) {
      GroupLane current = progress;
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
    }

    private void closeAll(Lane lane, ClosedBy unlessComplete) {
      GroupLane progress = state.lanes().get(lane);
      Layout layout = layoutOf(lane);
      while (progress.open().length > 0) {
        long step = progress.open()[0];
        ClosedBy reason =
            isComplete(lane, layout, progress, step) ? ClosedBy.COMPLETE : unlessComplete;
        progress = close(lane, layout, progress, step, reason);
      }
      state.lanes().put(lane, progress);
    }

    private void forget(Lane lane) {
      for (long step : state.lanes().get(lane).closed()) {
        state.steps().remove(lane.at(step));
      }
      state.lanes().remove(lane);
      lanes.remove(lane);
      layers -= layoutOf(lane).layerCount();
    }

    private Layout layoutOf(Lane lane) {
      return state.layouts().get(lane.manifestId());
    }

    void lookAtDeadlines() {
      lastInputAt = state.index().get().lastInputAt();
      armedAt = Long.MAX_VALUE;
      long timeout = policy.timeout().toMillis();
      for (Lane lane : lanes) {
        Layout layout = layoutOf(lane);
        GroupLane progress = state.lanes().get(lane);
        while (progress.open().length > 0) {
          long step = progress.open()[0];
          ClosedBy reason = reasonToClose(lane, layout, progress, step);
          if (reason == null) {
            GroupStep held = state.steps().get(lane.at(step));
            long look = patience.nextLook(held.firstAt(), held.writtenAt(), timeout, now);
            if (look > now) {
              arm(look);
              break;
            }
            reason = ClosedBy.TIMEOUT;
          }
          progress = close(lane, layout, progress, step, reason);
          settle(lane, layout, progress);
          progress = state.lanes().get(lane);
        }
        state.lanes().put(lane, progress);
        RunEnd end = RunEnd.of(ends, lane);
        if (end != null && progress.open().length > 0) {
          long silentSince = Math.max(end.arrivedAt(), progress.lastShardAt());
          GroupStep first = state.steps().get(lane.at(progress.open()[0]));
          long over = patience.nextLookAtEnd(silentSince, first.writtenAt(), timeout, now);
          if (over <= now) {
            closeAll(lane, ClosedBy.TIMEOUT);
          } else {
            arm(over);
          }
        }
      }
      giveUpWaiting();
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

    private void giveUpWaiting() {
      for (long ticket : tickets()) {
        HeldShard held = state.waiting().get(ticket);
        long look = patience.nextLook(held.arrivedAt() + policy.manifestWait().toMillis(), now);
        if (look > now) {
          arm(look);
          return;
        }
        admit(ticket, held);
        rejectUnmanifested(held.shard());
      }
    }

    private void rejectUnmanifested(Shard shard) {
      reject(
          shard,
          "no-manifest",
          manifestOf(shard)
              + " has not come within "
              + policy.manifestWait().toSeconds()
              + " s; publish it before the shards");
    }

    /** Closes everything and forgets the group. */
    void drop() {
      for (Lane lane : List.copyOf(lanes)) {
        // Of a run that has said it is finished no more would come: who is missing here is missing.
        closeAll(lane, RunEnd.of(ends, lane) == null ? ClosedBy.FINISHED : ClosedBy.TIMEOUT);
        forget(lane);
      }
      for (long ticket : tickets()) {
        HeldShard held = state.waiting().get(ticket);
        admit(ticket, held);
        rejectUnmanifested(held.shard());
      }
      List<Long> layouts = new ArrayList<>();
      state.layouts().keys().forEach(layouts::add);
      layouts.forEach(state.layouts()::remove);
      state.index().set(null);
      room.holds(key, 0, 0);
      patience.forgets(key);
    }

    private void arm(long at) {
      if (at < armedAt) {
        armedAt = at;
        out.wakeAt(at);
      }
    }

    void leave() {
      account();
      arm(dropAt());
      state
          .index()
          .set(
              new GroupIndex(
                  attempt,
                  List.copyOf(lanes),
                  List.copyOf(ends),
                  nextTicket,
                  waiting,
                  waitingBytes,
                  layers,
                  bytes,
                  lastInputAt,
                  armedAt));
    }

    /** A limit can cost any number of shards: each counts, only the first is reported. */
    private void refuse(Shard shard, Limits.Kind limit) {
      out.refused(limit);
      if (room.isNews(limit)) {
        reject(
            shard,
            NO_ROOM,
            room.describe(limit)
                + "; raise gradflow.limits."
                + limit.name().toLowerCase(Locale.ROOT)
                + " or the parallelism. More are left out unreported until there is room");
      } else {
        out.count(ShardFate.REJECTED, 1);
      }
    }

    private void reject(Shard shard, String reason, String detail) {
      out.count(ShardFate.REJECTED, 1);
      out.rejection(
          new Rejection(
              reason,
              shard.id() + " rank " + shard.rank() + ": " + detail,
              shard.id(),
              shard.rank(),
              shard.origin()));
    }
  }

  private static String manifestOf(Shard shard) {
    return "manifest %016x".formatted(shard.manifestId());
  }

  private static long bytes(Layout layout) {
    return SHARD_BYTES + 12L * layout.layerCount();
  }

  private static long bytes(LayerColumns columns) {
    if (columns == null || columns.norm() == null) {
      return SHARD_BYTES;
    }
    long perLayer = 4L * (columns.layers() == null ? 3 : 4);
    perLayer += columns.elements() == null ? 0 : 8;
    perLayer += columns.zeros() == null ? 0 : 8;
    long signals = columns.signals() == null ? 0 : columns.signals().bytes();
    return SHARD_BYTES + perLayer * columns.size() + signals;
  }
}
