package io.gradflow.benchmarks;

import io.gradflow.core.Rejection;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import io.gradflow.core.norm.AssemblingPolicy;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.GroupState;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.norm.RunState;
import io.gradflow.core.norm.ShardCombiner;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepAssembler;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowIndex;
import io.gradflow.core.window.WindowPolicy;
import io.gradflow.core.window.WindowRoller;
import io.gradflow.core.window.WindowState;
import java.util.NavigableSet;
import java.util.TreeSet;
import java.util.function.Consumer;

/**
 * The machines of NormJob one after the other, for one run of at most 64 ranks, with their state in
 * memory. Time stands still until it is told to go on.
 */
public final class NormMachines {
  private final NavigableSet<Long> combinerAlarms = new TreeSet<>();
  private final NavigableSet<Long> assemblerAlarms = new TreeSet<>();
  private final RankGroup group;
  private final Consumer<String> unused;
  private final Consumer<Step> steps;
  private final Consumer<LayerWindow> windows;
  private final WindowPolicy windowing = WindowPolicy.defaults();
  private final ShardCombiner combiner = new ShardCombiner(CombiningPolicy.defaults());
  private final StepAssembler assembler;
  private final WindowRoller roller;
  private final GroupState groupState = GroupState.inMemory();
  private final RunState runState = RunState.inMemory();
  private final WindowState windowState = WindowState.inMemory();

  private long now;

  /**
   * Machines of a training of which everything can be used.
   *
   * @param steps are also handed to {@link #roll} if windows are wanted
   */
  NormMachines(Manifest manifest, Consumer<Step> steps, Consumer<LayerWindow> windows) {
    this(
        manifest.runId(),
        steps,
        windows,
        what -> {
          throw new IllegalStateException(what);
        });
    notice(manifest);
  }

  /**
   * Machines of a run of which nothing is known yet.
   *
   * @param unused is told what could not be used, and why
   */
  public NormMachines(
      String runId, Consumer<Step> steps, Consumer<LayerWindow> windows, Consumer<String> unused) {
    Matrices matrices = new PlainMatrices();
    this.steps = steps;
    this.windows = windows;
    this.unused = unused;
    group = new RankGroup(runId, 0);
    assembler = new StepAssembler(AssemblingPolicy.defaults(), matrices);
    roller = new WindowRoller(windowing, matrices);
  }

  /** What the run, or a stream of it, is made of from now on. */
  public void notice(Manifest manifest) {
    RunNotice notice = new RunNotice(manifest, null);
    combiner.notice(groupState, new GroupNotice(0, Layout.of(manifest), null), now, combined());
    assembler.notice(runState, notice, now, assembled());
    roller.notice(windowState, notice, now, rolled());
  }

  /** Something that the trainer declares. */
  public void notice(RunEvent event) {
    combiner.notice(groupState, new GroupNotice(0, null, event), now, combined());
    assembler.notice(runState, new RunNotice(null, event), now, assembled());
    roller.notice(windowState, new RunNotice(null, event), now, rolled());
  }

  /**
   * Time goes on, and what waits for it is looked at.
   *
   * @param ms since the machines began; earlier than now changes nothing
   */
  public void advance(long ms) {
    while (next(combinerAlarms) <= ms || next(assemblerAlarms) <= ms) {
      boolean combine = next(combinerAlarms) <= next(assemblerAlarms);
      now = Math.max(now, combine ? combinerAlarms.pollFirst() : assemblerAlarms.pollFirst());
      if (combine) {
        combiner.wake(groupState, group, now, combined());
      } else {
        assembler.wake(runState, group.runId(), now, assembled());
      }
    }
    now = Math.max(now, ms);
  }

  private static long next(NavigableSet<Long> alarms) {
    return alarms.isEmpty() ? Long.MAX_VALUE : alarms.first();
  }

  /** Combines a shard and, once its step is complete, assembles it. */
  public void shard(Shard shard) {
    combiner.shard(groupState, shard, now, combined());
  }

  /** Closes the steps that wait for shards. */
  public void closeSteps() {
    combiner.end(groupState, group, now, combined());
  }

  /** Adds a step to its window. */
  void roll(Step step) {
    roller.step(windowState, step, now, rolled());
  }

  /** Publishes the open window as it is, again each time. */
  void publishWindow() {
    WindowIndex changed = windowState.index().get();
    roller.wake(windowState, group.runId(), windowing.republish().toMillis(), rolled());
    windowState.index().set(changed);
  }

  /** What assembling remembers. */
  RunState assembling() {
    return runState;
  }

  /** What windows remember. */
  WindowState windowing() {
    return windowState;
  }

  private ShardCombiner.Output combined() {
    return new ShardCombiner.Output() {
      @Override
      public void delta(StepDelta delta) {
        assembler.delta(runState, delta, now, assembled());
      }

      @Override
      public void rejection(Rejection rejection) {
        unused.accept(rejection.toString());
      }

      @Override
      public void wakeAt(long ms) {
        combinerAlarms.add(ms);
      }

      @Override
      public void count(ShardFate fate, long shards) {}

      @Override
      public void closedForRoom() {}

      @Override
      public void refused(Limits.Kind limit) {}
    };
  }

  private StepAssembler.Output assembled() {
    return new StepAssembler.Output() {
      @Override
      public void step(Step step) {
        steps.accept(step);
      }

      @Override
      public void wakeAt(long ms) {
        assemblerAlarms.add(ms);
      }

      @Override
      public void dropped(StepDelta delta) {
        unused.accept("dropped: " + delta.id());
      }

      @Override
      public void torn() {}

      @Override
      public void closedForRoom() {}
    };
  }

  private WindowRoller.Output rolled() {
    return new WindowRoller.Output() {
      @Override
      public void window(LayerWindow window) {
        windows.accept(window);
      }

      @Override
      public void wakeAt(long ms) {}

      @Override
      public void left(Step step) {
        throw new IllegalStateException("in no window: " + step.id());
      }
    };
  }
}
