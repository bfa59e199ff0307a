package io.gradflow.operators.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Rejection;
import io.gradflow.core.norm.AssemblingPolicy;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.GroupState;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.norm.ShardCombiner;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.RunNotice;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.List;
import org.apache.flink.api.common.typeinfo.Types;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class AssembleStepsTest {
  private static final long HOUR = 3_600_000;
  private final SmallRun run = new SmallRun("run");

  private static Trial<String, StepDelta, RunNotice, Step> trial(Trial.Mode mode) throws Exception {
    return new Trial<>(
        mode,
        () -> new AssembleSteps(AssemblingPolicy.defaults()),
        delta -> delta.id().runId(),
        RunNotice::runId,
        Types.STRING,
        Rejections.TAG);
  }

  /** What combining makes of steps without the given rank (-1: of whole ones) and of it later. */
  private List<StepDelta> deltas(int steps, int absent) {
    List<StepDelta> deltas = new ArrayList<>();
    ShardCombiner combiner = new ShardCombiner(CombiningPolicy.defaults());
    GroupState state = GroupState.inMemory();
    ShardCombiner.Output output =
        new ShardCombiner.Output() {
          @Override
          public void delta(StepDelta delta) {
            deltas.add(delta);
          }

          @Override
          public void rejection(Rejection rejection) {
            throw new AssertionError(rejection);
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
    combiner.notice(state, run.layout(), 0, output);
    for (int step = 0; step < steps; step++) {
      for (int rank = 0; rank < SmallRun.RANKS; rank++) {
        if (rank != absent) {
          combiner.shard(state, run.shard(step, rank, Stage.LOCAL), 0, output);
          combiner.shard(state, run.shard(step, rank, Stage.REDUCED), 0, output);
        }
      }
    }
    combiner.end(state, new RankGroup(run.runId(), 0), 0, output);
    return deltas;
  }

  @ParameterizedTest
  @EnumSource
  void partsBecomeStepsInOrder(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      List<StepDelta> deltas = deltas(3, -1);
      trial.first(deltas.get(0));
      assertThat(trial.output()).isEmpty();
      trial.second(run.named());
      trial.first(deltas.get(1));
      trial.first(deltas.get(2));
      assertThat(trial.output()).extracting(s -> s.id().step()).containsExactly(0L, 1L, 2L);
      Step step = trial.last();
      assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
      assertThat(step.completeness()).isEqualTo(1);
      assertThat(step.norms().l2()).containsExactly(5);
      assertThat(step.globalNorm()).isEqualTo(5);
      assertThat(step.evidence().localNorm()).containsExactly(20, 20, 20, 20);
      assertThat(step.scalars().loss()).isEqualTo(0.5);
      trial.pass(50 * HOUR);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void anIncompleteStepCanBeRevised(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.named());
      StepDelta most = deltas(1, 2).get(0);
      trial.first(most);
      assertThat(trial.last().missingRanks()).containsExactly(2);
      assertThat(trial.last().completeness()).isEqualTo(0.75);
      StepDelta rest =
          new StepDelta(
              most.id(), most.manifestId(), 0, null, false, 0b100, 0b100, 0, 0, most.sums());
      trial.first(rest);
      assertThat(trial.last().missingRanks()).isEmpty();
      assertThat(trial.last().revision()).isEqualTo(12);
      trial.second(new RunNotice(null, run.finished(0)));
      trial.pass(5 * HOUR);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void theEndOfABoundedInputForgetsTheRun(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.named());
      trial.first(deltas(1, 2).get(0));
      trial.end();
      assertThat(trial.output()).hasSize(1);
      assertThat(trial.retained()).isZero();
    }
  }
}
