package io.gradflow.core.simulation;

import io.gradflow.core.Rejection;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.norm.GroupState;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.norm.RunState;
import io.gradflow.core.norm.ShardCombiner;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepAssembler;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.ManifestJoiner;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowRoller;
import io.gradflow.core.window.WindowState;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/**
 * The machines of the norm job, connected as the job connects them: each pair by channels that keep
 * their order and delay as they like, one wake-up per key, machines with their patience per
 * subtask. The oracle watches every call.
 *
 * <p>What a crash destroys is everything here but the {@link Backend}: afterwards make another one.
 */
final class NormPipeline {
  private static final String JOIN = "join";
  static final String COMBINE = "combine";
  static final String ASSEMBLE = "assemble";
  private static final String ROLL = "roll";

  /** Who is to be woken. */
  record Alarm(String machine, Object key) {}

  /** What is passed on within a channel, once it is its turn. */
  private interface Passage {
    void arrive(long now);
  }

  /** One of the places where machines run. */
  private record Subtask(ShardCombiner combiner, StepAssembler assembler) {}

  private final Backend backend;
  private final Chance chance;
  private final Break broken;
  private final Oracle oracle;
  private final List<Subtask> subtasks = new ArrayList<>();
  private final ManifestJoiner joiner;
  private final WindowRoller roller;
  private final Map<Object, Deque<Passage>> channels = new LinkedHashMap<>();
  private final Map<Alarm, Long> alarms = new LinkedHashMap<>();
  private final TreeSet<String> runs = new TreeSet<>();
  private final Set<RankGroup> groups = new LinkedHashSet<>();
  private final Map<RankGroup, GroupState> groupStates = new HashMap<>();
  private final Map<String, RunState> runStates = new HashMap<>();
  private final Map<String, WindowState> windowStates = new HashMap<>();

  NormPipeline(Workload workload, Backend backend, Chance chance, Break broken, Oracle oracle) {
    this.backend = backend;
    this.chance = chance;
    this.broken = broken;
    this.oracle = oracle;
    joiner = new ManifestJoiner(Duration.ofHours(24));
    roller = new WindowRoller(workload.windows, new PlainMatrices());
    int parallelism = chance.between(1, 3);
    for (int i = 0; i < parallelism; i++) {
      subtasks.add(
          new Subtask(
              new ShardCombiner(workload.combining),
              new StepAssembler(workload.assembling, new PlainMatrices())));
    }
  }

  private Subtask subtask(Object key) {
    return subtasks.get(Math.floorMod(key.hashCode(), subtasks.size()));
  }

  // --- What is read ------------------------------------------------------------------------------

  void shard(Sent sent, long now) {
    RankGroup group = RankGroup.of(sent.shard);
    know(group);
    oracle.combining(group, sent, now);
    subtask(group).combiner.shard(state(group), sent.shard, now, new Combined(group));
    oracle.combined();
  }

  void manifest(Manifest part, long now) {
    runs.add(part.runId());
    joiner.manifest(joined(part.runId()), part, now, new Joined(part.runId()));
  }

  void event(RunEvent event, long now) {
    runs.add(event.runId());
    joiner.event(joined(event.runId()), event, now, new Joined(event.runId()));
  }

  private void know(RankGroup group) {
    runs.add(group.runId());
    groups.add(group);
  }

  // --- What is under way -------------------------------------------------------------------------

  private void send(Object channel, Passage passage) {
    channels.computeIfAbsent(channel, c -> new ArrayDeque<>()).add(passage);
  }

  /** Lets something that is under way arrive; false if nothing is. */
  boolean pump(long now) {
    List<Deque<Passage>> busy = new ArrayList<>();
    for (Deque<Passage> channel : channels.values()) {
      if (!channel.isEmpty()) {
        busy.add(channel);
      }
    }
    if (busy.isEmpty()) {
      return false;
    }
    chance.of(busy).poll().arrive(now);
    return true;
  }

  /** Lets all that is under way arrive, in any order that the channels allow. */
  void drain(long now) {
    boolean more = true;
    while (more) {
      more = pump(now);
    }
  }

  private record Edge(String from, String to, Object key) {}

  private void arrive(GroupNotice notice, long now) {
    RankGroup group = notice.key();
    know(group);
    oracle.told(group, notice, now);
    subtask(group).combiner.notice(state(group), notice, now, new Combined(group));
    oracle.combined();
  }

  private void arrive(Parcel parcel, long now) {
    String runId = parcel.delta().id().runId();
    oracle.assembling(runId, parcel);
    subtask(runId).assembler.delta(run(runId), parcel.delta(), now, new Assembled(runId));
    oracle.assembled();
  }

  private void tellAssembler(RunNotice notice, long now) {
    String runId = notice.runId();
    oracle.told(notice);
    subtask(runId).assembler.notice(run(runId), notice, now, new Assembled(runId));
    oracle.assembled();
  }

  private void tellRoller(RunNotice notice, long now) {
    roller.notice(windows(notice.runId()), notice, now, new Rolled(notice.runId()));
  }

  private void arrive(Step step, long now) {
    String runId = step.id().runId();
    // Which steps are in a window is judged by the order in which the roller saw them.
    Deque<Passage> names = channels.get(new Edge(JOIN, ROLL, runId));
    while (names != null && !names.isEmpty()) {
      names.poll().arrive(now);
    }
    oracle.rolling(step);
    roller.step(windows(runId), step, now, new Rolled(runId));
  }

  // --- Time --------------------------------------------------------------------------------------

  /** When somebody is to be woken next; {@link Long#MAX_VALUE} if nobody is. */
  long nextAlarm() {
    return alarms.values().stream().mapToLong(Long::longValue).min().orElse(Long.MAX_VALUE);
  }

  /** Wakes one of those whose time has come; false if there are none. */
  boolean wake(long now) {
    List<Alarm> due = new ArrayList<>();
    alarms.forEach(
        (alarm, at) -> {
          if (at <= now) {
            due.add(alarm);
          }
        });
    if (due.isEmpty()) {
      return false;
    }
    Alarm alarm = chance.of(due);
    alarms.remove(alarm);
    switch (alarm.machine()) {
      case JOIN -> joiner.wake(joined((String) alarm.key()), now, new Joined((String) alarm.key()));
      case COMBINE -> {
        RankGroup group = (RankGroup) alarm.key();
        know(group);
        oracle.woken(group, now);
        subtask(group).combiner.wake(state(group), group, now, new Combined(group));
        oracle.combined();
        if (state(group).index().get() == null) {
          oracle.forgotten(group);
        }
      }
      case ASSEMBLE -> {
        String runId = (String) alarm.key();
        oracle.woken(runId);
        subtask(runId).assembler.wake(run(runId), runId, now, new Assembled(runId));
        oracle.assembled();
      }
      default -> {
        String runId = (String) alarm.key();
        roller.wake(windows(runId), runId, now, new Rolled(runId));
      }
    }
    return true;
  }

  /** Whether anybody is still to be woken. */
  Map<Alarm, Long> alarms() {
    return Map.copyOf(alarms);
  }

  /** Everybody is to be woken as before; of those whose time has passed, at once. */
  void restore(Map<Alarm, Long> restored) {
    if (broken == Break.LOST_ALARMS) {
      return;
    }
    restored.forEach(
        (alarm, at) -> {
          alarms.put(alarm, at);
          if (alarm.key() instanceof RankGroup group) {
            know(group);
          } else {
            runs.add((String) alarm.key());
          }
        });
  }

  /** The input has ended. */
  void end(long now) {
    drain(now);
    for (String runId : runs) {
      joiner.end(joined(runId));
    }
    for (RankGroup group : groups) {
      oracle.ended(group, now);
      subtask(group).combiner.end(state(group), group, now, new Combined(group));
      oracle.combined();
    }
    drain(now);
    for (String runId : runs) {
      oracle.woken(runId);
      subtask(runId).assembler.end(run(runId), runId, now, new Assembled(runId));
      oracle.assembled();
    }
    drain(now);
    for (String runId : runs) {
      roller.end(windows(runId), runId, now, new Rolled(runId));
    }
    alarms.clear();
  }

  // --- State -------------------------------------------------------------------------------------

  private ManifestJoiner.State joined(String runId) {
    return new ManifestJoiner.State(
        backend.cell(new Backend.Table(JOIN, runId, "book")),
        backend.store(new Backend.Table(JOIN, runId, "parts")));
  }

  private GroupState state(RankGroup group) {
    return groupStates.computeIfAbsent(
        group,
        key ->
            new GroupState(
                backend.cell(new Backend.Table(COMBINE, key, "index")),
                backend.store(new Backend.Table(COMBINE, key, "layouts")),
                backend.store(new Backend.Table(COMBINE, key, "lanes")),
                backend.store(new Backend.Table(COMBINE, key, "steps")),
                backend.store(new Backend.Table(COMBINE, key, "shards")),
                backend.store(new Backend.Table(COMBINE, key, "waiting"))));
  }

  private RunState run(String runId) {
    return runStates.computeIfAbsent(
        runId,
        key ->
            new RunState(
                backend.cell(new Backend.Table(ASSEMBLE, key, "index")),
                backend.store(new Backend.Table(ASSEMBLE, key, "layouts")),
                backend.store(new Backend.Table(ASSEMBLE, key, "lanes")),
                backend.store(new Backend.Table(ASSEMBLE, key, "steps")),
                backend.store(new Backend.Table(ASSEMBLE, key, "signals")),
                backend.store(new Backend.Table(ASSEMBLE, key, "waiting"))));
  }

  private WindowState windows(String runId) {
    return windowStates.computeIfAbsent(
        runId,
        key ->
            new WindowState(
                backend.cell(new Backend.Table(ROLL, key, "index")),
                backend.store(new Backend.Table(ROLL, key, "names")),
                backend.store(new Backend.Table(ROLL, key, "rows")),
                backend.store(new Backend.Table(ROLL, key, "waiting"))));
  }

  /** Runs, layers and bytes that the subtasks believe to hold. */
  long held() {
    return subtasks.stream()
        .map(subtask -> subtask.combiner.room())
        .mapToLong(room -> room.runs() + room.layers() + room.bytes())
        .sum();
  }

  // --- Results -----------------------------------------------------------------------------------

  private final class Joined implements ManifestJoiner.Output {
    private final String runId;

    Joined(String runId) {
      this.runId = runId;
    }

    @Override
    public void notice(RunNotice notice) {
      send(new Edge(JOIN, ASSEMBLE, runId), now -> tellAssembler(notice, now));
      send(new Edge(JOIN, ROLL, runId), now -> tellRoller(notice, now));
    }

    @Override
    public void notice(GroupNotice notice) {
      send(new Edge(JOIN, COMBINE, notice.key()), now -> arrive(notice, now));
    }

    @Override
    public void rejection(Rejection rejection) {
      throw new Difference("a manifest was rejected: " + rejection.detail());
    }

    @Override
    public void wakeAt(long ms) {
      alarms.put(new Alarm(JOIN, runId), ms);
    }
  }

  private final class Combined implements ShardCombiner.Output {
    private final RankGroup group;

    Combined(RankGroup group) {
      this.group = group;
    }

    @Override
    public void delta(StepDelta delta) {
      Parcel parcel = oracle.delta(delta);
      for (StepDelta passed : broken.delta(delta)) {
        Parcel copy = new Parcel(passed, parcel.contents(), parcel.conflicting());
        send(new Edge(COMBINE, ASSEMBLE, group), now -> arrive(copy, now));
      }
    }

    @Override
    public void rejection(Rejection rejection) {
      oracle.rejection(rejection);
    }

    @Override
    public void wakeAt(long ms) {
      alarms.put(new Alarm(COMBINE, group), ms);
    }

    @Override
    public void count(ShardFate fate, long shards) {
      oracle.count(fate, shards);
    }

    @Override
    public void closedForRoom() {
      oracle.closedForRoom();
    }

    @Override
    public void refused(Limits.Kind limit) {
      oracle.refused(limit);
    }
  }

  private final class Assembled implements StepAssembler.Output {
    private final String runId;

    Assembled(String runId) {
      this.runId = runId;
    }

    @Override
    public void step(Step step) {
      oracle.step(step);
      send(new Edge(ASSEMBLE, ROLL, runId), now -> arrive(step, now));
    }

    @Override
    public void wakeAt(long ms) {
      alarms.put(new Alarm(ASSEMBLE, runId), ms);
    }

    @Override
    public void dropped(StepDelta delta) {
      oracle.dropped(delta);
    }

    @Override
    public void torn() {
      oracle.torn();
    }

    @Override
    public void closedForRoom() {
      oracle.closedForRoom();
    }
  }

  private final class Rolled implements WindowRoller.Output {
    private final String runId;

    Rolled(String runId) {
      this.runId = runId;
    }

    @Override
    public void window(LayerWindow window) {
      oracle.window(window);
    }

    @Override
    public void wakeAt(long ms) {
      alarms.put(new Alarm(ROLL, runId), ms);
    }

    @Override
    public void left(Step step) {
      oracle.left(step);
    }
  }
}
