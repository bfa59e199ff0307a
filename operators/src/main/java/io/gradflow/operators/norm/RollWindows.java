package io.gradflow.operators.norm;

import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.window.LayerNames;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowIndex;
import io.gradflow.core.window.WindowPolicy;
import io.gradflow.core.window.WindowRoller;
import io.gradflow.core.window.WindowRow;
import io.gradflow.core.window.WindowState;
import io.gradflow.operators.analysis.Analysis;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.streaming.api.TimeDomain;
import org.apache.flink.streaming.api.TimerService;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

/** Rolls steps into windows per layer, keyed by run; see {@link WindowRoller}. */
public final class RollWindows
    extends KeyedCoProcessFunction<String, Step, RunNotice, LayerWindow> {
  private final WindowPolicy policy;
  private transient WindowRoller roller;
  private transient WindowState state;
  private transient Alarm alarm;
  private transient Counter outside;

  public RollWindows(WindowPolicy policy) {
    this.policy = policy;
  }

  @Override
  public void open(OpenContext openContext) {
    RuntimeContext context = getRuntimeContext();
    roller = new WindowRoller(policy, Analysis.matrices());
    alarm = new Alarm(context);
    state =
        new WindowState(
            KeyedCell.of(context, "index", WindowIndex.class),
            KeyedStore.of(context, "names", LayerNames.class),
            KeyedStore.of(context, "rows", LaneStep.class, WindowRow.class),
            KeyedStore.of(context, "waiting", Step.class));
    outside = context.getMetricGroup().addGroup("gradflow").counter("steps_outside_windows");
  }

  @Override
  public void processElement1(Step step, Context context, Collector<LayerWindow> out) {
    TimerService timers = context.timerService();
    alarm.setForEndOfInput(timers);
    roller.step(state, step, timers.currentProcessingTime(), output(context, out));
  }

  @Override
  public void processElement2(RunNotice notice, Context context, Collector<LayerWindow> out) {
    TimerService timers = context.timerService();
    alarm.setForEndOfInput(timers);
    roller.notice(state, notice, timers.currentProcessingTime(), output(context, out));
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<LayerWindow> out) {
    long now = context.timerService().currentProcessingTime();
    String runId = context.getCurrentKey();
    if (context.timeDomain() == TimeDomain.EVENT_TIME) {
      roller.end(state, runId, now, output(context, out));
    } else {
      alarm.rang();
      roller.wake(state, runId, now, output(context, out));
    }
    if (state.index().get() == null) {
      alarm.unset(context.timerService());
    }
  }

  private WindowRoller.Output output(Context context, Collector<LayerWindow> out) {
    return new WindowRoller.Output() {
      @Override
      public void window(LayerWindow window) {
        out.collect(window);
      }

      @Override
      public void wakeAt(long ms) {
        alarm.set(context.timerService(), ms);
      }

      @Override
      public void left(Step step) {
        outside.inc();
      }
    };
  }
}
