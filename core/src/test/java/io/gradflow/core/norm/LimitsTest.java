package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Rejection;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.Shard;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** Two runs on a subtask that has room for one. */
class LimitsTest {
  private static final RankGroup FIRST = new RankGroup("first", 0);
  private static final RankGroup SECOND = new RankGroup("second", 0);

  private final TestRun run = TestRun.replicas(4, 2);
  private final ShardCombiner combiner =
      new ShardCombiner(CombiningPolicy.defaults().within(new Limits(1, 100, 1 << 20)));
  private final Map<String, GroupState> states =
      Map.of("first", GroupState.inMemory(), "second", GroupState.inMemory());
  private final List<StepDelta> deltas = new ArrayList<>();
  private final List<Rejection> rejections = new ArrayList<>();
  private final Map<ShardFate, Long> fates = new EnumMap<>(ShardFate.class);
  private final List<Limits.Kind> refused = new ArrayList<>();
  private long now = 1_000_000;

  @Test
  void aRunIsRefusedUntilAnotherHasLeftAndBeginsWithItsNextWholeStep() {
    announce("first");
    announce("second");
    send("first", 0, 0, 1, 2);
    send("second", 0, 0, 1, 2, 3);
    send("second", 1, 0, 1);
    assertThat(refused).hasSize(6).containsOnly(Limits.Kind.RUNS);
    assertThat(rejections).as("reported once").hasSize(1);
    assertThat(rejections.get(0).reason()).isEqualTo("no-room");
    assertThat(rejections.get(0).detail()).contains("run second", "1 runs are held, 1 are allowed");

    send("first", 0, 3);
    assertThat(deltas).as("what was held goes on").hasSize(1);
    combiner.end(states.get("first"), FIRST, now, new Recording());
    assertThat(combiner.room().runs()).isZero();

    send("second", 1, 2, 3);
    send("second", 2, 0, 1, 2, 3);
    for (int second = 0; second < 12; second++) {
      now += 1_000;
      send("second", 2, 0);
      combiner.wake(states.get("second"), SECOND, now, new Recording());
    }
    assertThat(deltas).hasSize(3);
    assertThat(deltas.get(1).torn()).as("its first ranks were refused").isTrue();
    assertThat(deltas.get(2).closedBy()).isEqualTo(ClosedBy.COMPLETE);
    assertThat(deltas.get(2).torn()).isFalse();

    announce("first");
    send("first", 1, 0);
    assertThat(rejections).as("there was room between").hasSize(2);

    combiner.end(states.get("second"), SECOND, now, new Recording());
    assertThat(combiner.room().layers()).isZero();
    assertThat(fates.get(ShardFate.RECEIVED))
        .isEqualTo(
            fates.get(ShardFate.MERGED)
                + fates.get(ShardFate.DUPLICATE)
                + fates.get(ShardFate.REJECTED));
  }

  private void announce(String runId) {
    Layout layout = Layout.of(run.manifest());
    Layout its =
        new Layout(
            runId,
            layout.stream(),
            layout.manifestId(),
            layout.worldSize(),
            layout.meshSizes(),
            layout.dataAxes(),
            layout.reporting(),
            layout.elements(),
            layout.placementClass(),
            layout.placements(),
            layout.optionalLayers(),
            layout.dtypes(),
            layout.depths(),
            layout.summed());
    combiner.notice(states.get(runId), new GroupNotice(0, its, null), now, new Recording());
  }

  private void send(String runId, long step, int... ranks) {
    for (int rank : ranks) {
      Shard shard = run.aShard().run(runId).step(step).rank(rank).build();
      combiner.shard(states.get(runId), shard, now, new Recording());
    }
  }

  private final class Recording implements ShardCombiner.Output {
    @Override
    public void delta(StepDelta delta) {
      deltas.add(delta);
    }

    @Override
    public void rejection(Rejection rejection) {
      rejections.add(rejection);
    }

    @Override
    public void wakeAt(long ms) {}

    @Override
    public void count(ShardFate fate, long shards) {
      fates.merge(fate, shards, Long::sum);
    }

    @Override
    public void closedForRoom() {}

    @Override
    public void refused(Limits.Kind limit) {
      refused.add(limit);
    }
  }
}
