package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Sketches;
import io.gradflow.core.shard.Stage;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** When a step closes, what comes after, and what is left behind. */
class ClosingTest {
  private final TestRun run = TestRun.replicas(4, 2);

  private static void step(Merging merging, long step, int... ranks) {
    for (int rank : ranks) {
      merging.send(merging.run.aShard().step(step).rank(rank).build());
    }
  }

  private static void nothingIsRetained(Merging merging) {
    merging.pass(80 * 3_600_000L);
    assertThat(merging.retained()).isZero();
    assertThat(merging.timers()).isZero();
    assertThat(merging.fate(ShardFate.RECEIVED))
        .isEqualTo(
            merging.fate(ShardFate.MERGED)
                + merging.fate(ShardFate.DUPLICATE)
                + merging.fate(ShardFate.CONFLICT)
                + merging.fate(ShardFate.LATE)
                + merging.fate(ShardFate.REJECTED));
  }

  @Test
  void stepsLeaveInOrderAsSoonAsAllRanksAreIn() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2);
    step(merging, 1, 3, 0, 1, 2);
    assertThat(merging.steps).isEmpty();
    step(merging, 0, 3);
    assertThat(merging.steps).extracting(s -> s.id().step()).containsExactly(0L, 1L);
    assertThat(merging.steps).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    assertThat(merging.steps).allMatch(s -> s.completeness() == 1 && s.missingRanks().length == 0);
    assertThat(merging.last().revision()).isEqualTo(4);
    nothingIsRetained(merging);
  }

  @Test
  void nineInTenAheadCloseByQuorum() {
    TestRun ten = TestRun.replicas(10, 1);
    Merging merging = new Merging(ten).manifested();
    for (long step = 0; step <= 8; step++) {
      step(merging, step, 0, 1, 2, 3, 4, 5, 6, 7);
      if (step < 8) {
        step(merging, step, 8);
      }
    }
    assertThat(merging.steps).isEmpty();
    step(merging, 8, 8);
    assertThat(merging.steps).as("the others may be on their way").isEmpty();
    merging.passBusily(2_000);
    assertThat(merging.steps).hasSize(1);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.QUORUM);
    assertThat(merging.last().missingRanks()).containsExactly(9);
    assertThat(merging.last().completeness()).isEqualTo(0.9);
    nothingIsRetained(merging);
  }

  @Test
  void quorumCountsPublishedSteps() {
    TestRun sampled = TestRun.replicas(1 + 10, 1, new Reporting(Stage.REDUCED, null, 10));
    Merging merging = new Merging(sampled).manifested();
    int[] most = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (long step = 0; step <= 70; step += 10) {
      step(merging, step, most);
    }
    assertThat(merging.steps).isEmpty();
    step(merging, 80, most);
    merging.passBusily(2_000);
    assertThat(merging.last().id().step()).isZero();
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.QUORUM);
    nothingIsRetained(merging);
  }

  @Test
  void aBacklogReadPartitionByPartitionLosesNobody() {
    TestRun twelve = TestRun.replicas(12, 1);
    Merging merging = new Merging(twelve).manifested();
    for (long step = 0; step < 40; step++) {
      step(merging, step, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    }
    merging.passBusily(500);
    for (long step = 0; step < 40; step++) {
      step(merging, step, 11);
    }
    assertThat(merging.steps).hasSize(40).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void aPartitionReadFarBehindTheOthersLosesNobody() {
    TestRun twelve = TestRun.replicas(12, 1);
    Merging merging = new Merging(twelve).manifested();
    long written = merging.now - 600_000;
    for (long step = 0; step < 100; step++) {
      for (int rank = 0; rank < 11; rank++) {
        merging.send(
            twelve.aShard().step(step).rank(rank).writtenAt(written + 1_000 * step).build());
      }
    }
    merging.send(twelve.aShard().step(0).rank(11).writtenAt(written).build());
    for (long step = 1; step < 100; step++) {
      // 12 s for the first ten steps: beyond the timeout and the quorum's wait.
      merging.passBusily(step < 10 ? 1_500 : 500);
      merging.send(twelve.aShard().step(step).rank(11).writtenAt(written + 1_000 * step).build());
    }
    assertThat(merging.steps).hasSize(100).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void anOutageInTheMiddleOfABacklogLosesNobody() {
    TestRun twelve = TestRun.replicas(12, 1);
    Merging merging = new Merging(twelve).manifested();
    long written = merging.now - 600_000;
    for (long step = 0; step < 40; step++) {
      for (int rank = 0; rank < 11; rank++) {
        merging.send(
            twelve.aShard().step(step).rank(rank).writtenAt(written + 1_000 * step).build());
      }
    }
    merging.send(twelve.aShard().step(0).rank(11).writtenAt(written).build());
    merging.passBusily(3_000);
    merging.pass(60_000);
    merging.send(twelve.aShard().step(40).rank(0).writtenAt(written + 40_000).build());
    merging.pass(1_000);
    for (long step = 1; step < 40; step++) {
      merging.send(twelve.aShard().step(step).rank(11).writtenAt(written + 1_000 * step).build());
    }
    assertThat(merging.steps).hasSize(40).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void aRestartInTheMiddleOfABacklogLosesNobody() {
    TestRun twelve = TestRun.replicas(12, 1);
    Merging merging = new Merging(twelve).manifested();
    long written = merging.now - 600_000;
    for (long step = 0; step < 40; step++) {
      for (int rank = 0; rank < 11; rank++) {
        merging.send(
            twelve.aShard().step(step).rank(rank).writtenAt(written + 1_000 * step).build());
      }
    }
    merging.restart();
    for (long step = 0; step < 40; step++) {
      merging.send(twelve.aShard().step(step).rank(11).writtenAt(written + 1_000 * step).build());
      merging.passBusily(step < 20 ? 1_000 : 500);
    }
    assertThat(merging.steps).hasSize(40).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void anOutageLongerThanTheRetentionForgetsNothing() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2, 3);
    step(merging, 1, 0, 1);
    merging.outage(10 * 24 * 3_600_000L);
    merging.pass(1_000);
    step(merging, 1, 2, 3);
    step(merging, 2, 0, 1, 2, 3);
    assertThat(merging.steps).hasSize(3).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    assertThat(merging.fate(ShardFate.REJECTED)).isZero();
    nothingIsRetained(merging);
  }

  @Test
  void aFinishedRunIsRememberedForItsRetentionAfterAnOutage() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2, 3);
    merging.event(run.event(RunEvent.Type.FINISHED, 1));
    merging.outage(10 * 24 * 3_600_000L);
    merging.pass(50 * 60_000);
    step(merging, 1, 0, 1, 2, 3);
    assertThat(merging.steps).hasSize(2).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    merging.outage(10 * 24 * 3_600_000L);
    merging.pass(59 * 60_000);
    assertThat(merging.retained()).isPositive();
    merging.pass(61 * 60_000);
    nothingIsRetained(merging);
  }

  @Test
  void aRankMissingInABacklogIsFoundWhenThePartitionsAreReadToOneTime() {
    TestRun twelve = TestRun.replicas(12, 1);
    Merging merging = new Merging(twelve).manifested();
    long written = merging.now - 600_000;
    for (long step = 0; step < 20; step++) {
      for (int rank = 0; rank < 11; rank++) {
        merging.send(
            twelve.aShard().step(step).rank(rank).writtenAt(written + 1_000 * step).build());
      }
    }
    merging.send(twelve.aShard().step(0).rank(11).writtenAt(written).build());
    merging.passBusily(20_000);
    assertThat(merging.steps).hasSize(20);
    assertThat(merging.last().missingRanks()).containsExactly(11);
    assertThat(merging.steps.get(1).closedBy()).isEqualTo(ClosedBy.QUORUM);
    nothingIsRetained(merging);
  }

  @Test
  void aMissingRankTimesOutAndThenIsNoLongerAwaited() {
    Merging merging = new Merging(run).manifested();
    for (long step = 0; step < 5; step++) {
      step(merging, step, 0, 1, 3);
    }
    merging.passBusily(9_500);
    assertThat(merging.steps).isEmpty();
    merging.passBusily(1_000);
    assertThat(merging.steps).hasSize(5);
    assertThat(merging.steps).allMatch(s -> s.closedBy() == ClosedBy.TIMEOUT);
    step(merging, 5, 0, 1, 3);
    assertThat(merging.steps).hasSize(6);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.COMPLETE);
    assertThat(merging.last().completeness()).isEqualTo(0.75);
    assertThat(merging.last().missingRanks()).containsExactly(2);

    step(merging, 6, 2);
    step(merging, 6, 0, 1);
    assertThat(merging.steps).as("rank 2 is back and rank 3 is awaited").hasSize(6);
    step(merging, 6, 3);
    assertThat(merging.last().completeness()).isEqualTo(1);
    nothingIsRetained(merging);
  }

  @Test
  void anOutageHoldsTheTimeout() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 3);
    merging.pass(60_000);
    assertThat(merging.steps).isEmpty();
    merging.othersAreHeard();
    merging.pass(4_000);
    assertThat(merging.steps).isEmpty();
    step(merging, 0, 2);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void afterAnOutageTheTimeoutRunsForHalfOfItself() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 3);
    merging.pass(60_000);
    merging.passBusily(4_500);
    assertThat(merging.steps).isEmpty();
    merging.passBusily(6_000);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
    nothingIsRetained(merging);
  }

  @Test
  void whatComesAfterClosingIsARevision() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 3);
    merging.passBusily(12_000);
    step(merging, 1, 0, 1, 2, 3);
    step(merging, 0, 2);
    assertThat(merging.steps).extracting(s -> s.id().step()).containsExactly(0L, 1L, 0L);
    assertThat(merging.last().revision()).isEqualTo(4);
    assertThat(merging.last().completeness()).isEqualTo(1);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
    assertThat(merging.last().late()).isFalse();
    assertThat(merging.fate(ShardFate.LATE)).isEqualTo(1);
    step(merging, 0, 2);
    assertThat(merging.steps).hasSize(3);
    assertThat(merging.fate(ShardFate.DUPLICATE)).isEqualTo(1);
    nothingIsRetained(merging);
  }

  @Test
  void aStepNeverSeenBelowTheLastClosedIsLate() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2, 3);
    step(merging, 2, 0, 1, 2, 3);
    step(merging, 1, 2);
    assertThat(merging.last().id().step()).isEqualTo(1);
    assertThat(merging.last().late()).isTrue();
    assertThat(merging.last().completeness()).isEqualTo(0.25);
    step(merging, 1, 0);
    assertThat(merging.last().late()).isTrue();
    assertThat(merging.last().revision()).isEqualTo(2);
    nothingIsRetained(merging);
  }

  @Test
  void contributionsAreRememberedForSixtyFourClosedSteps() {
    Merging merging = new Merging(run).manifested();
    for (long step = 0; step < 65; step++) {
      step(merging, step, 0, 1, 2, 3);
    }
    step(merging, 1, 0);
    assertThat(merging.fate(ShardFate.DUPLICATE)).isEqualTo(1);
    step(merging, 0, 0);
    assertThat(merging.rejections).extracting(r -> r.reason()).containsExactly("too-late");
    assertThat(merging.steps).hasSize(65);
    nothingIsRetained(merging);
  }

  @Test
  void theFirstOfTwoContradictingShardsStays() {
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(0).filledWith(1).build());
    merging.send(run.aShard().rank(0).filledWith(100).build());
    step(merging, 0, 1, 2, 3);
    assertThat(merging.last().norms().l2()).containsExactly(2, 2);
    assertThat(merging.last().conflictingRanks()).containsExactly(0);
    assertThat(merging.last().revision()).isEqualTo(4);
    assertThat(merging.fate(ShardFate.CONFLICT)).isEqualTo(1);
    nothingIsRetained(merging);
  }

  @Test
  void aContradictionAboutAClosedStepIsNamedByTheNext() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2, 3);
    merging.send(run.aShard().rank(2).filledWith(100).build());
    step(merging, 1, 3);
    merging.send(run.aShard().step(1).rank(3).filledWith(100).build());
    step(merging, 1, 0, 1, 2);
    step(merging, 2, 0, 1, 2, 3);
    assertThat(merging.steps).hasSize(3);
    assertThat(merging.steps.get(0).conflictingRanks()).isEmpty();
    assertThat(merging.steps.get(1).conflictingRanks()).containsExactly(2, 3);
    assertThat(merging.steps.get(2).conflictingRanks()).isEmpty();
    nothingIsRetained(merging);
  }

  @Test
  void microBatchesAreSeenAndNeverMerged() {
    Merging merging = new Merging(TestRun.replicas(1, 1)).manifested();
    for (int i = 0; i < 3; i++) {
      merging.send(merging.run.aShard().microBatch(i, 4).filledWith(50).build());
      merging.send(merging.run.aShard().microBatch(i, 4).filledWith(50).build());
    }
    assertThat(merging.steps).isEmpty();
    merging.send(merging.run.aShard().microBatch(3, 4).filledWith(1).build());
    assertThat(merging.last().norms().l2()).containsExactly(2);
    assertThat(merging.fate(ShardFate.DUPLICATE)).isEqualTo(3);
    nothingIsRetained(merging);
  }

  @Test
  void aRankIsInWhenAllItsPartsAre() {
    TestRun two = TestRun.replicas(2, 2);
    Merging merging = new Merging(two).manifested();
    merging.send(two.aShard().rank(0).build());
    merging.send(two.aShard().rank(1).part(1, 2).values(new float[4]).build());
    assertThat(merging.steps).isEmpty();
    merging.send(two.aShard().rank(1).part(0, 2).values(new float[4]).build());
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.COMPLETE);
    assertThat(merging.last().revision()).isEqualTo(3);
    nothingIsRetained(merging);
  }

  @Test
  void whatIsNotDueIsNotMissing() {
    TestRun sparse =
        TestRun.replicas(
            4,
            1,
            new Reporting(Stage.REDUCED, new int[] {0}, 1),
            new Reporting(Stage.LOCAL, null, 5));
    Merging merging = new Merging(sparse).manifested();
    for (int rank = 0; rank < 4; rank++) {
      merging.send(sparse.aShard().step(5).rank(rank).stage(Stage.LOCAL).build());
    }
    assertThat(merging.steps).isEmpty();
    step(merging, 5, 0);
    step(merging, 6, 0);
    assertThat(merging.steps).hasSize(2);
    assertThat(merging.steps).allMatch(s -> s.completeness() == 1);
    step(merging, 7, 1);
    merging.send(sparse.aShard().step(7).rank(1).stage(Stage.LOCAL).build());
    assertThat(merging.rejections)
        .extracting(r -> r.reason())
        .containsExactly("not-due", "not-due");
    nothingIsRetained(merging);
  }

  @Test
  void aHigherAttemptClosesAndFencesLowerOnes() {
    Merging merging = new Merging(run).manifested();
    step(merging, 7, 0, 1, 2, 3);
    step(merging, 8, 0, 1);
    merging.send(run.aShard().attempt(TestRun.ATTEMPT + 1).step(5).rank(0).build());
    assertThat(merging.last().id().step()).isEqualTo(8);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.FINISHED);
    step(merging, 8, 2);
    assertThat(merging.rejections).extracting(r -> r.reason()).containsExactly("fenced");
    assertThat(merging.rejections.get(0).detail())
        .isEqualTo(
            "run run-1 attempt 1000 stream main step 8 rank 2:"
                + " attempt 1001 has taken over; stop the old processes");
    for (int rank = 1; rank < 4; rank++) {
      merging.send(run.aShard().attempt(TestRun.ATTEMPT + 1).step(5).rank(rank).build());
    }
    assertThat(merging.last().id().step()).isEqualTo(5);
    assertThat(merging.last().id().attempt()).isEqualTo(TestRun.ATTEMPT + 1);
    nothingIsRetained(merging);
  }

  @Test
  void aFinishedRunClosesWhatIsOpen() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2, 3);
    step(merging, 1, 0, 1, 2);
    step(merging, 2, 0, 1, 2);
    merging.event(run.event(RunEvent.Type.FINISHED, 2));
    assertThat(merging.steps).hasSize(1);
    step(merging, 2, 3);
    assertThat(merging.steps)
        .extracting(Step::closedBy)
        .containsExactly(ClosedBy.COMPLETE, ClosedBy.FINISHED, ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void aFinishedRunWaitsNoLongerThanTheTimeoutEvenInSilence() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2);
    merging.event(run.event(RunEvent.Type.FINISHED, 0));
    merging.pass(10_500);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
    merging.pass(7_300_000);
    assertThat(merging.retained()).as("two hours after its end").isZero();
    nothingIsRetained(merging);
  }

  @Test
  void anEndReadBeforeTheShardsEndsNothingEarly() {
    Merging merging = new Merging(run).manifested();
    merging.event(run.event(RunEvent.Type.FINISHED, 40));
    for (long step = 0; step <= 40; step++) {
      step(merging, step, 0, 1, 2);
      merging.pass(1_000);
      step(merging, step, 3);
    }
    assertThat(merging.steps).hasSize(41).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void theEndOfInputClosesEverythingAndForgets() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2);
    step(merging, 1, 0, 1, 2);
    merging.send(run.aShard().manifestId(42).build());
    merging.end();
    assertThat(merging.steps)
        .extracting(Step::closedBy)
        .containsExactly(ClosedBy.FINISHED, ClosedBy.FINISHED);
    assertThat(merging.rejections).extracting(r -> r.reason()).containsExactly("no-manifest");
    assertThat(merging.retained()).isZero();
    nothingIsRetained(merging);
  }

  @Test
  void shardsWaitForTheirManifestThirtySeconds() {
    Merging merging = new Merging(run);
    step(merging, 0, 0, 1);
    merging.passBusily(29_000);
    assertThat(merging.rejections).isEmpty();
    merging.manifested();
    step(merging, 0, 2, 3);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.COMPLETE);

    merging.send(run.aShard().manifestId(42).rank(3).build());
    merging.passBusily(31_000);
    assertThat(merging.rejections)
        .extracting(r -> r.detail())
        .containsExactly(
            "run run-1 attempt 1000 stream main step 0 rank 3: manifest 000000000000002a has not"
                + " come within 30 s; publish it before the shards");
    nothingIsRetained(merging);
  }

  @Test
  void shardsThatWaitedForTheirManifestLoseNobody() {
    TestRun twelve = TestRun.replicas(12, 1);
    Merging merging = new Merging(twelve);
    for (int rank = 0; rank < 12; rank++) {
      for (long step = 0; step < 20; step++) {
        merging.send(twelve.aShard().step(step).rank(rank).build());
      }
    }
    merging.passBusily(20_000);
    merging.manifested();
    assertThat(merging.steps).hasSize(20).allMatch(s -> s.closedBy() == ClosedBy.COMPLETE);
    nothingIsRetained(merging);
  }

  @Test
  void aPartWithoutShardsIsNoRevision() {
    TestRun large = TestRun.replicas(65, 1);
    Merging merging = new Merging(large).manifested();
    for (int rank = 0; rank < 64; rank++) {
      merging.send(large.aShard().rank(rank).build());
    }
    merging.passBusily(10_000);
    merging.send(large.aShard().rank(64).microBatch(0, 2).build());
    merging.passBusily(30_000);
    assertThat(merging.steps).extracting(Step::revision).containsExactly(64L);
    merging.send(large.aShard().rank(64).microBatch(1, 2).build());
    assertThat(merging.steps).extracting(Step::revision).containsExactly(64L, 65L);
    nothingIsRetained(merging);
  }

  @Test
  void tooManyOpenStepsCloseTheOldest() {
    Merging merging = new Merging(run).manifested();
    for (long step = 0; step < 260; step++) {
      step(merging, step, 0);
    }
    assertThat(merging.steps).as("the others may be on their way").isEmpty();
    merging.passBusily(2_000);
    assertThat(merging.steps).hasSize(4);
    assertThat(merging.steps).allMatch(s -> s.closedBy() == ClosedBy.TIMEOUT);
    assertThat(merging.forRoom).isEqualTo(4);
    merging.end();
    nothingIsRetained(merging);
  }

  @Test
  void beyondTheBytesAllowedTheOldestStepsClose() {
    Merging merging =
        new Merging(
                run,
                CombiningPolicy.defaults().within(new Limits(10, 10, 4_000)),
                AssemblingPolicy.defaults())
            .manifested();
    for (long step = 0; step < 20; step++) {
      step(merging, step, 0);
    }
    assertThat(merging.steps.get(0).closedBy()).isEqualTo(ClosedBy.TIMEOUT);
    assertThat(merging.forRoom).isEqualTo(5);
    assertThat(merging.refused).isEmpty();
    merging.end();
    assertThat(merging.steps).hasSize(20);
    nothingIsRetained(merging);
  }

  @Test
  void aRunWithMoreLayersThanAllowedIsRefusedAndReportedOnce() {
    Merging merging =
        new Merging(
                run,
                CombiningPolicy.defaults().within(new Limits(10, 1, 1 << 20)),
                AssemblingPolicy.defaults())
            .manifested();
    step(merging, 0, 0, 1, 2, 3);
    assertThat(merging.steps).isEmpty();
    assertThat(merging.refused).containsOnly(Map.entry(Limits.Kind.LAYERS, 4));
    assertThat(merging.fate(ShardFate.REJECTED)).isEqualTo(4);
    assertThat(merging.rejections)
        .extracting(r -> r.detail())
        .containsExactly(
            "run run-1 attempt 1000 stream main step 0 rank 0: 0 layers are held, 1 are allowed;"
                + " raise gradflow.limits.layers or the parallelism. More are left out unreported"
                + " until there is room");
    nothingIsRetained(merging);
  }

  @Test
  void theTornStepsOfALateStartAreDiscarded() {
    Merging merging = new Merging(run).manifested();
    step(merging, 70, 0, 1);
    step(merging, 71, 0, 1, 2);
    step(merging, 72, 0, 1, 2, 3);
    merging.passBusily(11_000);
    assertThat(merging.steps).extracting(s -> s.id().step()).containsExactly(72L);
    assertThat(merging.torn).isEqualTo(2);
    step(merging, 73, 0, 1, 2);
    merging.passBusily(11_000);
    assertThat(merging.last().id().step()).isEqualTo(73);
    assertThat(merging.last().completeness()).isEqualTo(0.75);
    nothingIsRetained(merging);
  }

  @Test
  void theFirstStepOfATrainingIsNeverTorn() {
    Merging merging = new Merging(run).manifested();
    step(merging, 0, 0, 1, 2);
    step(merging, 1, 0, 1, 2, 3);
    merging.passBusily(11_000);
    assertThat(merging.steps).extracting(s -> s.id().step()).containsExactly(0L, 1L);
    assertThat(merging.torn).isZero();
    nothingIsRetained(merging);
  }

  @Test
  void eventsTravelWithTheNextStep() {
    Merging merging = new Merging(run).manifested();
    merging.event(run.event(RunEvent.Type.STARTED, -1));
    merging.event(run.event(RunEvent.Type.CHANGED, 0));
    step(merging, 0, 0, 1, 2, 3);
    step(merging, 1, 0, 1, 2, 3);
    step(merging, 2, 0, 1, 2, 3);
    assertThat(merging.steps).extracting(s -> s.events().size()).containsExactly(1, 1, 0);
    assertThat(merging.steps.get(1).events().get(0).type()).isEqualTo(RunEvent.Type.CHANGED);
    nothingIsRetained(merging);
  }

  @Test
  void lossIsTheMeanByWeightOverRanks() {
    TestRun both =
        TestRun.replicas(
            2, 1, new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1));
    Merging merging = new Merging(both).manifested();
    for (Stage stage : Stage.values()) {
      merging.send(both.aShard().rank(0).stage(stage).weight(3).loss(1).build());
      merging.send(both.aShard().rank(1).stage(stage).weight(1).loss(5).build());
    }
    assertThat(merging.last().scalars().loss()).isEqualTo(2);
    assertThat(merging.last().scalars().weight()).isEqualTo(4);
    nothingIsRetained(merging);
  }

  @Test
  void aSilentGroupHoldsTheRunNoLongerThanItsTimeout() {
    TestRun large = TestRun.replicas(130, 1);
    Merging merging = new Merging(large).manifested();
    int[] heard = new int[128];
    for (int i = 0; i < heard.length; i++) {
      heard[i] = i;
    }
    for (long step = 0; step < 5; step++) {
      step(merging, step, heard);
    }
    assertThat(merging.steps).isEmpty();
    merging.passBusily(16_000);
    assertThat(merging.steps).hasSize(5);
    assertThat(merging.last().missingRanks()).containsExactly(128, 129);
    assertThat(merging.last().closedBy()).isEqualTo(ClosedBy.TIMEOUT);
    step(merging, 5, heard);
    assertThat(merging.steps).hasSize(6);
    nothingIsRetained(merging);
  }

  @Test
  void shardsThatDoNotFitTheManifestAreRejectedInOneSentence() {
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().values(new float[4], new float[4], new float[4]).build());
    merging.send(run.aShard().values(new float[5]).build());
    merging.send(run.aShard().part(2, 2).build());
    merging.send(run.aShard().weight(Double.NaN).build());
    merging.send(run.aShard().step(-1).build());
    assertThat(merging.rejections).hasSize(5).allMatch(r -> r.reason().equals("bad-shard"));
    assertThat(merging.rejections.get(1).detail())
        .isEqualTo(
            "run run-1 attempt 1000 stream main step 0 rank 0: expected 0 to 4 elements in layer"
                + " 0, got 5; fix the publisher");
    nothingIsRetained(merging);
  }

  @Test
  void sketchesOfAnotherWidthAreRejectedForTheyCompareWithNone() {
    Merging merging = new Merging(run).manifested();
    SignalColumns narrow =
        new SignalColumns(
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            null,
            new Sketches(new int[] {0}, 2, new float[2]));
    merging.send(run.aShard().columns(Measurement.of(new float[4]).with(narrow)).build());
    assertThat(merging.rejections).hasSize(1).allMatch(r -> r.reason().equals("bad-shard"));
    assertThat(merging.rejections.get(0).detail())
        .contains("expected 64 sums in each of 1 sketches, got a width of 2 and 2 in all");
    nothingIsRetained(merging);
  }
}
