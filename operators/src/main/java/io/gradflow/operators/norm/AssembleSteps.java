package io.gradflow.operators.norm;

import io.gradflow.core.norm.AssemblingPolicy;
import io.gradflow.core.norm.AssemblyIndex;
import io.gradflow.core.norm.Lane;
import io.gradflow.core.norm.LaneSignals;
import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.RunLane;
import io.gradflow.core.norm.RunState;
import io.gradflow.core.norm.RunStep;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepAssembler;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.operators.analysis.Analysis;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.TimeDomain;
import org.apache.flink.streaming.api.TimerService;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

/** Puts the parts of rank groups together to steps, keyed by run; see {@link StepAssembler}. */
public final class AssembleSteps
    extends KeyedCoProcessFunction<String, StepDelta, RunNotice, Step> {
  private final AssemblingPolicy policy;
  private transient StepAssembler assembler;
  private transient RunState state;
  private transient Alarm alarm;
  private transient Counter published;
  private transient Counter dropped;
  private transient Counter torn;
  private transient Counter closedForRoom;

  public AssembleSteps(AssemblingPolicy policy) {
    this.policy = policy;
  }

  @Override
  public void open(OpenContext openContext) {
    RuntimeContext context = getRuntimeContext();
    assembler = new StepAssembler(policy, Analysis.matrices());
    alarm = new Alarm(context);
    state =
        new RunState(
            KeyedCell.of(context, "index", AssemblyIndex.class),
            KeyedStore.of(context, "layouts", Layout.class),
            KeyedStore.of(context, "lanes", Lane.class, RunLane.class),
            KeyedStore.of(context, "steps", LaneStep.class, RunStep.class),
            KeyedStore.of(context, "signals", Lane.class, LaneSignals.class),
            KeyedStore.of(context, "waiting", StepDelta.class));
    MetricGroup metrics = context.getMetricGroup().addGroup("gradflow");
    published = metrics.counter("steps_published");
    dropped = metrics.counter("parts_dropped");
    torn = metrics.counter("steps_torn");
    closedForRoom = metrics.counter("steps_closed_for_room");
  }

  @Override
  public void processElement1(StepDelta delta, Context context, Collector<Step> out) {
    long now = begin(context.timerService());
    assembler.delta(state, delta, now, output(context, out));
  }

  @Override
  public void processElement2(RunNotice notice, Context context, Collector<Step> out) {
    long now = begin(context.timerService());
    assembler.notice(state, notice, now, output(context, out));
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<Step> out) {
    long now = context.timerService().currentProcessingTime();
    String runId = context.getCurrentKey();
    if (context.timeDomain() == TimeDomain.EVENT_TIME) {
      assembler.end(state, runId, now, output(context, out));
    } else {
      alarm.rang();
      assembler.wake(state, runId, now, output(context, out));
    }
    if (state.index().get() == null) {
      alarm.unset(context.timerService());
    }
  }

  private long begin(TimerService timers) {
    alarm.setForEndOfInput(timers);
    return timers.currentProcessingTime();
  }

  private StepAssembler.Output output(Context context, Collector<Step> out) {
    return new StepAssembler.Output() {
      @Override
      public void step(Step step) {
        published.inc();
        out.collect(step);
      }

      @Override
      public void wakeAt(long ms) {
        alarm.set(context.timerService(), ms);
      }

      @Override
      public void dropped(StepDelta delta) {
        dropped.inc();
      }

      @Override
      public void torn() {
        torn.inc();
      }

      @Override
      public void closedForRoom() {
        closedForRoom.inc();
      }
    };
  }
}
