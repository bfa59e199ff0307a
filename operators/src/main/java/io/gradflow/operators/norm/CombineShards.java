package io.gradflow.operators.norm;

import io.gradflow.core.Rejection;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.ContributionKey;
import io.gradflow.core.norm.GroupIndex;
import io.gradflow.core.norm.GroupLane;
import io.gradflow.core.norm.GroupState;
import io.gradflow.core.norm.GroupStep;
import io.gradflow.core.norm.HeldShard;
import io.gradflow.core.norm.Lane;
import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.norm.ShardCombiner;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.Shard;
import java.util.EnumMap;
import java.util.Locale;
import java.util.Map;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.functions.RuntimeContext;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.streaming.api.TimeDomain;
import org.apache.flink.streaming.api.TimerService;
import org.apache.flink.streaming.api.functions.co.KeyedCoProcessFunction;
import org.apache.flink.util.Collector;

/**
 * Puts the shards of a rank group together, keyed by run and group; see {@link ShardCombiner}.
 * Unusable shards go to {@link Rejections#TAG}. Counts shards by {@link ShardFate}.
 */
public final class CombineShards
    extends KeyedCoProcessFunction<RankGroup, Shard, GroupNotice, StepDelta> {
  private final CombiningPolicy policy;
  private transient ShardCombiner combiner;
  private transient GroupState state;
  private transient Alarm alarm;
  private transient Map<ShardFate, Counter> fates;
  private transient Map<Limits.Kind, Counter> refused;
  private transient Counter closedForRoom;

  public CombineShards(CombiningPolicy policy) {
    this.policy = policy;
  }

  @Override
  public void open(OpenContext openContext) {
    RuntimeContext context = getRuntimeContext();
    combiner = new ShardCombiner(policy);
    alarm = new Alarm(context);
    state =
        new GroupState(
            KeyedCell.of(context, "index", GroupIndex.class),
            KeyedStore.of(context, "layouts", Layout.class),
            KeyedStore.of(context, "lanes", Lane.class, GroupLane.class),
            KeyedStore.of(context, "steps", LaneStep.class, GroupStep.class),
            KeyedStore.of(context, "shards", ContributionKey.class, HeldShard.class),
            KeyedStore.of(context, "waiting", HeldShard.class));
    MetricGroup metrics = context.getMetricGroup().addGroup("gradflow");
    fates = new EnumMap<>(ShardFate.class);
    for (ShardFate fate : ShardFate.values()) {
      fates.put(fate, metrics.counter("shards_" + fate.name().toLowerCase(Locale.ROOT)));
    }
    refused = new EnumMap<>(Limits.Kind.class);
    for (Limits.Kind limit : Limits.Kind.values()) {
      String name = limit.name().toLowerCase(Locale.ROOT);
      refused.put(limit, metrics.counter("refused_for_" + name));
    }
    metrics.gauge("runs_held", () -> combiner.room().runs());
    metrics.gauge("layers_held", () -> combiner.room().layers());
    metrics.gauge("bytes_held", () -> combiner.room().bytes());
    closedForRoom = metrics.counter("steps_closed_for_room");
  }

  @Override
  public void processElement1(Shard shard, Context context, Collector<StepDelta> out) {
    long now = begin(context.timerService());
    combiner.shard(state, shard, now, output(context, out));
  }

  @Override
  public void processElement2(GroupNotice notice, Context context, Collector<StepDelta> out) {
    long now = begin(context.timerService());
    combiner.notice(state, notice, now, output(context, out));
  }

  @Override
  public void onTimer(long timestamp, OnTimerContext context, Collector<StepDelta> out) {
    long now = context.timerService().currentProcessingTime();
    if (context.timeDomain() == TimeDomain.EVENT_TIME) {
      combiner.end(state, context.getCurrentKey(), now, output(context, out));
    } else {
      alarm.rang();
      combiner.wake(state, context.getCurrentKey(), now, output(context, out));
    }
    if (state.index().get() == null) {
      alarm.unset(context.timerService());
    }
  }

  private long begin(TimerService timers) {
    alarm.setForEndOfInput(timers);
    return timers.currentProcessingTime();
  }

  private ShardCombiner.Output output(Context context, Collector<StepDelta> out) {
    return new ShardCombiner.Output() {
      @Override
      public void delta(StepDelta delta) {
        out.collect(delta);
      }

      @Override
      public void rejection(Rejection rejection) {
        context.output(Rejections.TAG, rejection);
      }

      @Override
      public void wakeAt(long ms) {
        alarm.set(context.timerService(), ms);
      }

      @Override
      public void count(ShardFate fate, long shards) {
        fates.get(fate).inc(shards);
      }

      @Override
      public void closedForRoom() {
        closedForRoom.inc();
      }

      @Override
      public void refused(Limits.Kind limit) {
        refused.get(limit).inc();
      }
    };
  }
}
