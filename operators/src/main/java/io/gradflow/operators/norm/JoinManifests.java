package io.gradflow.operators.norm;

import io.gradflow.core.Rejection;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.ManifestJoiner;
import io.gradflow.core.shard.ManifestPart;
import io.gradflow.core.shard.RunBook;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.operators.types.RecordTypes;
import java.time.Duration;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.streaming.api.TimeDomain;
import org.apache.flink.streaming.api.TimerService;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.flink.util.OutputTag;

/**
 * Joins the parts of manifests, keyed by run, and tells rank groups of layouts and events. What
 * concerns whole runs goes to {@link #RUN_NOTICES}, unusable manifests to {@link Rejections#TAG}.
 */
public final class JoinManifests
    extends KeyedCoProcessFunction<String, Manifest, RunEvent, GroupNotice> {
  /** Whole manifests and events, for operators keyed by run. */
  public static final OutputTag<RunNotice> RUN_NOTICES =
      new OutputTag<>("run-notices", RecordTypes.of(RunNotice.class));

  private final Duration retention;
  private transient ManifestJoiner joiner;
  private transient ManifestJoiner.State state;
  private transient Alarm alarm;

  /**
   * @param retention see {@link ManifestJoiner}
   */
  public JoinManifests(Duration retention) {
    this.retention = retention;
  }

  @Override
  public void open(OpenContext openContext) {
    joiner = new ManifestJoiner(retention);
    alarm = new Alarm(getRuntimeContext());
    state =
        new ManifestJoiner.State(
            KeyedCell.of(getRuntimeContext(), "book", RunBook.class),
            KeyedStore.of(getRuntimeContext(), "parts", ManifestPart.class, Manifest.class));
  }

  @Override
  public void processElement1(Manifest manifest, Context context, Collector<GroupNotice> out) {
    TimerService timers = context.timerService();
    alarm.setForEndOfInput(timers);
    joiner.manifest(state, manifest, timers.currentProcessingTime(), output(context, out));
  }

  @Override
  public void processElement2(RunEvent event, Context context, Collector<GroupNotice> out) {
    TimerService timers = context.timerService();
    alarm.setForEndOfInput(timers);
    joiner.event(state, event, timers.currentProcessingTime(), output(context, out));
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<GroupNotice> out) {
    if (context.timeDomain() == TimeDomain.EVENT_TIME) {
      joiner.end(state);
    } else {
      alarm.rang();
      TimerService timers = context.timerService();
      joiner.wake(state, timers.currentProcessingTime(), output(context, out));
    }
    if (state.book().get() == null) {
      alarm.unset(context.timerService());
    }
  }

  private ManifestJoiner.Output output(Context context, Collector<GroupNotice> out) {
    return new ManifestJoiner.Output() {
      @Override
      public void notice(RunNotice notice) {
        context.output(RUN_NOTICES, notice);
      }

      @Override
      public void notice(GroupNotice notice) {
        out.collect(notice);
      }

      @Override
      public void rejection(Rejection rejection) {
        context.output(Rejections.TAG, rejection);
      }

      @Override
      public void wakeAt(long ms) {
        alarm.set(context.timerService(), ms);
      }
    };
  }
}
