package io.gradflow.operators.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Rejection;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.StepDelta;
import io.gradflow.core.shard.GroupNotice;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.operators.types.RecordTypes;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class CombineShardsTest {
  private static final long HOUR = 3_600_000;
  private final SmallRun run = new SmallRun("run");
  private final SmallRun other = new SmallRun("other");

  private static Trial<RankGroup, Shard, GroupNotice, StepDelta> trial(Trial.Mode mode)
      throws Exception {
    return new Trial<>(
        mode,
        () -> new CombineShards(CombiningPolicy.defaults()),
        RankGroup::of,
        GroupNotice::key,
        RecordTypes.of(RankGroup.class),
        Rejections.TAG);
  }

  private void step(Trial<RankGroup, Shard, GroupNotice, StepDelta> trial, long step, int... ranks)
      throws Exception {
    for (int rank : ranks) {
      trial.first(run.shard(step, rank, Stage.LOCAL));
      trial.first(run.shard(step, rank, Stage.REDUCED));
    }
  }

  @ParameterizedTest
  @EnumSource
  void completeStepsGoOnInOrder(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      step(trial, 0, 0);
      trial.second(run.layout());
      step(trial, 0, 1, 2);
      step(trial, 1, 0, 1, 2, 3);
      assertThat(trial.output()).isEmpty();
      step(trial, 0, 3);
      assertThat(trial.output()).extracting(d -> d.id().step()).containsExactly(0L, 1L);
      StepDelta delta = trial.last();
      assertThat(delta.closedBy()).isEqualTo(ClosedBy.COMPLETE);
      assertThat(delta.receivedLocal()).isEqualTo(0b1111);
      assertThat(delta.sums().contributions()).isEqualTo(8);
      assertThat(delta.sums().reduced().whole().squares()).containsExactly(25);
      assertThat(delta.sums().local().squares()).containsExactly(400);
      assertThat(trial.sideOutput()).isEmpty();
      trial.pass(25 * HOUR);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void aMissingRankTimesOutAndItsShardIsARevision(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.layout());
      step(trial, 0, 0, 1, 3);
      trial.passBusily(9_500, other.shard(0, 0, Stage.LOCAL));
      assertThat(trial.output()).isEmpty();
      trial.passBusily(1_000, other.shard(0, 0, Stage.LOCAL));
      assertThat(trial.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
      assertThat(trial.last().receivedReduced()).isEqualTo(0b1011);

      trial.first(run.shard(0, 2, Stage.REDUCED));
      assertThat(trial.output()).hasSize(2);
      assertThat(trial.last().closedBy()).isNull();
      assertThat(trial.last().receivedReduced()).isEqualTo(0b0100);
      trial.first(run.shard(0, 2, Stage.REDUCED));
      assertThat(trial.output()).hasSize(2);
      trial.pass(25 * HOUR);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void anOutageHoldsTheTimeoutAndARestoreStartsItAnew(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.layout());
      step(trial, 0, 0, 1, 3);
      trial.pass(60_000);
      assertThat(trial.output()).isEmpty();
      trial.crashAndRestore();
      trial.pass(60_000);
      assertThat(trial.output()).as("nothing was heard since the restore").isEmpty();
      trial.passBusily(4_500, other.shard(0, 0, Stage.LOCAL));
      assertThat(trial.output()).isEmpty();
      trial.passBusily(6_000, other.shard(0, 0, Stage.LOCAL));
      assertThat(trial.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
      trial.pass(25 * HOUR);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void aFinishedRunIsForgottenAfterAnHour(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.layout());
      step(trial, 0, 0, 1, 2, 3);
      step(trial, 1, 0, 1, 2);
      trial.second(new GroupNotice(0, null, run.finished(1)));
      assertThat(trial.output()).hasSize(1);
      trial.pass(10_500);
      assertThat(trial.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
      trial.pass(HOUR + 1_000);
      assertThat(trial.retained()).isZero();
    }
  }

  @ParameterizedTest
  @EnumSource
  void theEndOfABoundedInputClosesWhatIsOpen(Trial.Mode mode) throws Exception {
    try (var trial = trial(mode)) {
      trial.second(run.layout());
      step(trial, 0, 0, 1, 2);
      trial.first(other.shard(0, 0, Stage.LOCAL));
      trial.end();
      assertThat(trial.output()).hasSize(1);
      assertThat(trial.last().closedBy()).isEqualTo(ClosedBy.FINISHED);
      assertThat(trial.sideOutput())
          .singleElement()
          .satisfies(r -> assertThat(((Rejection) r).reason()).isEqualTo("no-manifest"));
      assertThat(trial.retained()).isZero();
    }
  }
}
