package io.gradflow.core.norm;

import io.gradflow.core.Rejection;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;

/** Combining and assembling of one run in memory, under a clock that only the test moves. */
public final class Merging {
  final TestRun run;
  public final List<Step> steps = new ArrayList<>();
  public final List<Rejection> rejections = new ArrayList<>();
  public final Map<ShardFate, Long> fates = new EnumMap<>(ShardFate.class);
  final Map<Integer, GroupState> groups = new TreeMap<>();
  final RunState state = RunState.inMemory();
  int torn;
  int forRoom;
  int dropped;
  final Map<Limits.Kind, Integer> refused = new EnumMap<>(Limits.Kind.class);
  long now = 1_000_000;

  private final CombiningPolicy combining;
  private final AssemblingPolicy assembling;
  private ShardCombiner combiner;
  private StepAssembler assembler;
  private final TreeSet<Long> runTimers = new TreeSet<>();
  private final Map<Integer, TreeSet<Long>> groupTimers = new TreeMap<>();

  public Merging(TestRun run) {
    this(run, CombiningPolicy.defaults(), AssemblingPolicy.defaults());
  }

  Merging(TestRun run, CombiningPolicy combining, AssemblingPolicy assembling) {
    this.run = run;
    this.combining = combining;
    this.assembling = assembling;
    restart();
  }

  /** New machines go on with the state. */
  final void restart() {
    combiner = new ShardCombiner(combining);
    assembler = new StepAssembler(assembling, new PlainMatrices());
  }

  /** Nothing is at work for so long; then new machines go on, and what is overdue fires first. */
  void outage(long ms) {
    now += ms;
    restart();
    pass(0);
  }

  /** Tells the manifest to everybody. */
  public Merging manifested() {
    return manifested(run.manifest());
  }

  /** Tells a manifest of the run to everybody: its pipeline stages have one each. */
  public Merging manifested(Manifest manifest) {
    Layout layout = Layout.of(manifest);
    for (int group = 0; group < layout.groups(); group++) {
      combiner.notice(group(group), new GroupNotice(group, layout, null), now, new Group(group));
    }
    assembler.notice(state, new RunNotice(manifest, null), now, new Run());
    return this;
  }

  public void send(Shard shard) {
    int group = RankGroup.of(shard).group();
    combiner.shard(group(group), shard, now, new Group(group));
  }

  void event(RunEvent event) {
    for (int group = 0; group < Layout.of(run.manifest()).groups(); group++) {
      combiner.notice(group(group), new GroupNotice(group, null, event), now, new Group(group));
    }
    assembler.notice(state, new RunNotice(null, event), now, new Run());
  }

  /** Something of another run reaches the same subtasks. */
  void othersAreHeard() {
    RunEvent event = new RunEvent("another", 1, "main", 0, RunEvent.Type.EVAL, 0, Map.of());
    combiner.notice(GroupState.inMemory(), new GroupNotice(0, null, event), now, new Elsewhere());
    assembler.notice(RunState.inMemory(), new RunNotice(null, event), now, new ElsewhereToo());
  }

  /** Moves the clock and fires what is due on the way. */
  void pass(long ms) {
    long until = now + ms;
    while (true) {
      long next = runTimers.isEmpty() ? Long.MAX_VALUE : runTimers.first();
      int owner = -1;
      for (var timers : groupTimers.entrySet()) {
        if (!timers.getValue().isEmpty() && timers.getValue().first() < next) {
          next = timers.getValue().first();
          owner = timers.getKey();
        }
      }
      if (next > until) {
        now = until;
        return;
      }
      now = Math.max(now, next);
      if (owner < 0) {
        runTimers.remove(next);
        assembler.wake(state, TestRun.RUN, now, new Run());
      } else {
        groupTimers.get(owner).remove(next);
        combiner.wake(group(owner), new RankGroup(TestRun.RUN, owner), now, new Group(owner));
      }
    }
  }

  /** The clock moves in small steps while others keep the subtasks busy. */
  void passBusily(long ms) {
    for (long passed = 0; passed < ms; passed += 500) {
      othersAreHeard();
      pass(500);
    }
  }

  public void end() {
    groups.forEach(
        (group, groupState) ->
            combiner.end(groupState, new RankGroup(TestRun.RUN, group), now, new Group(group)));
    assembler.end(state, TestRun.RUN, now, new Run());
  }

  /** Entries of state left anywhere. */
  int retained() {
    int retained = state.index().get() == null ? 0 : 1;
    retained += count(state.layouts().keys()) + count(state.lanes().keys());
    retained += count(state.steps().keys()) + count(state.waiting().keys());
    for (GroupState group : groups.values()) {
      retained += group.index().get() == null ? 0 : 1;
      retained += count(group.layouts().keys()) + count(group.lanes().keys());
      retained += count(group.steps().keys()) + held();
    }
    return retained;
  }

  /** Shards held for open steps or a manifest. */
  int held() {
    int held = 0;
    for (GroupState group : groups.values()) {
      held += count(group.shards().keys()) + count(group.waiting().keys());
    }
    return held;
  }

  int timers() {
    return runTimers.size() + groupTimers.values().stream().mapToInt(TreeSet::size).sum();
  }

  long fate(ShardFate fate) {
    return fates.getOrDefault(fate, 0L);
  }

  /** The last published step. */
  public Step last() {
    return steps.get(steps.size() - 1);
  }

  private static int count(Iterable<?> keys) {
    int count = 0;
    for (Object key : keys) {
      count += key == null ? 0 : 1;
    }
    return count;
  }

  private GroupState group(int group) {
    return groups.computeIfAbsent(group, g -> GroupState.inMemory());
  }

  private class Group implements ShardCombiner.Output {
    private final int group;

    Group(int group) {
      this.group = group;
    }

    @Override
    public void delta(StepDelta delta) {
      assembler.delta(state, delta, now, new Run());
    }

    @Override
    public void rejection(Rejection rejection) {
      rejections.add(rejection);
    }

    @Override
    public void wakeAt(long ms) {
      groupTimers.computeIfAbsent(group, g -> new TreeSet<>()).add(ms);
    }

    @Override
    public void count(ShardFate fate, long shards) {
      fates.merge(fate, shards, Long::sum);
    }

    @Override
    public void closedForRoom() {
      forRoom++;
    }

    @Override
    public void refused(Limits.Kind limit) {
      refused.merge(limit, 1, Integer::sum);
    }
  }

  private class Run implements StepAssembler.Output {
    @Override
    public void step(Step step) {
      steps.add(step);
    }

    @Override
    public void wakeAt(long ms) {
      runTimers.add(ms);
    }

    @Override
    public void dropped(StepDelta delta) {
      dropped++;
    }

    @Override
    public void torn() {
      torn++;
    }

    @Override
    public void closedForRoom() {
      forRoom++;
    }
  }

  /** What becomes of another run is of no interest. */
  private final class Elsewhere extends Group {
    Elsewhere() {
      super(-1);
    }

    @Override
    public void wakeAt(long ms) {}
  }

  private final class ElsewhereToo extends Run {
    @Override
    public void wakeAt(long ms) {}
  }
}
