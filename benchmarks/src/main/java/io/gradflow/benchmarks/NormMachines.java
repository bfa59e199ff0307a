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
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowIndex;
import io.gradflow.core.window.WindowPolicy;
import io.gradflow.core.window.WindowRoller;
import io.gradflow.core.window.WindowState;
import java.util.function.Consumer;

/**
 * The machines of NormJob one after the other, for one run of at most 64 ranks, with their state in
 * memory. Time stands still.
 */
final class NormMachines {
  private static final long NOW = 0;

  private final RankGroup group;
  private final Consumer<Step> steps;
  private final Consumer<LayerWindow> windows;
  private final WindowPolicy windowing = WindowPolicy.defaults();
  private final ShardCombiner combiner = new ShardCombiner(CombiningPolicy.defaults());
  private final StepAssembler assembler;
  private final WindowRoller roller;
  private final GroupState groupState = GroupState.inMemory();
  private final RunState runState = RunState.inMemory();
  private final WindowState windowState = WindowState.inMemory();

  /**
   * @param steps are also handed to {@link #roll} if windows are wanted
   */
  NormMachines(Manifest manifest, Consumer<Step> steps, Consumer<LayerWindow> windows) {
    Matrices matrices = new PlainMatrices();
    this.steps = steps;
    this.windows = windows;
    group = new RankGroup(manifest.runId(), 0);
    assembler = new StepAssembler(AssemblingPolicy.defaults(), matrices);
    roller = new WindowRoller(windowing, matrices);
    RunNotice notice = new RunNotice(manifest, null);
    combiner.notice(groupState, new GroupNotice(0, Layout.of(manifest), null), NOW, combined());
    assembler.notice(runState, notice, NOW, assembled());
    roller.notice(windowState, notice, NOW, rolled());
  }

  /** Combines a shard and, once its step is complete, assembles it. */
  void shard(Shard shard) {
    combiner.shard(groupState, shard, NOW, combined());
  }

  /** Closes the steps that wait for shards. */
  void closeSteps() {
    combiner.end(groupState, group, NOW, combined());
  }

  /** Adds a step to its window. */
  void roll(Step step) {
    roller.step(windowState, step, NOW, rolled());
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
        assembler.delta(runState, delta, NOW, assembled());
      }

      @Override
      public void rejection(Rejection rejection) {
        throw new IllegalStateException(rejection.toString());
      }

      @Override
      public void wakeAt(long ms) {}

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
      public void wakeAt(long ms) {}

      @Override
      public void dropped(StepDelta delta) {
        throw new IllegalStateException("dropped: " + delta.id());
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
