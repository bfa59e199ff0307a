package io.gradflow.core.incident;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.SimulatedRun;
import io.gradflow.core.incident.Alert.State;
import io.gradflow.core.shard.RunEvent;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What incidents say of cause, circumstances and consequences, from steps to alerts. */
class FirstCauseTest {
  @Test
  void aLearningRateThatRuinsATrainingIsToldFromItsBeginningToItsEnd() {
    SimulatedRun run = ruinedByItsRate(1);

    assertThat(run.alerts())
        .extracting(alert -> alert.context().cause())
        .containsOnly(Cause.OPTIMISER);
    Alert last = last(run);
    assertThat(last.rootLayer()).isEqualTo("block7.weight");
    assertThat(last.context().account())
        .matches(
            "Learning rate ×60 observed at step 80, block7.weight ×[\\d.]+ at 81, at least 15 more"
                + " layers by 85, rank 0 NaN or Inf at 97, 1 more kind of finding with it\\. The loss,"
                + " 1\\.9 before, is no longer finite\\.");
    assertThat(last.context().changes())
        .containsExactly("step 59: checkpoint", "step 80: learning rate 0.1 -> 6 (observed)");
    assertThat(last.context().lastGoodStep()).isEqualTo(80);
    assertThat(last.context().lastCheckpoint()).isEqualTo(59);
    assertThat(last.context().nextAction())
        .isEqualTo("Restart from the checkpoint of step 59 with the learning rate of before, 0.1.");
    assertThat(last.context().lossBefore()).isBetween(1.9, 2.0);
    assertThat(last.context().lossAfter()).isNaN();
    assertThat(run.alerts().get(0).context().lossAfter()).isBetween(2.2, 2.4);
    assertThat(last.confidence()).isGreaterThan(run.alerts().get(0).confidence());
  }

  @Test
  void aReplayTellsTheSame() {
    assertThat(ruinedByItsRate(3).alerts())
        .usingRecursiveComparison()
        .withEqualsForType(Double::equals, Double.class)
        .isEqualTo(ruinedByItsRate(3).alerts());
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void oneStepInWhichAllLayersJumpIsABadBatchOnceTheNextIsQuiet(long seed) {
    var run = new SimulatedRun(seed, 0.2).healthy(80).steps(1, s -> s.raiseAll(5)).healthy(60);

    assertThat(run.alerts())
        .extracting(Alert::state)
        .containsExactly(State.OPENED, State.UPDATED, State.RESOLVED);
    assertThat(run.alerts())
        .extracting(alert -> alert.context().cause())
        .containsExactly(Cause.OPTIMISER, Cause.DATA, Cause.DATA);
    assertThat(run.alerts().get(1).lastStep()).isEqualTo(80);
    assertThat(last(run).context().nextAction()).startsWith("Look at the batch of step 80;");
    assertThat(last(run).context().account()).endsWith(" The loss shows no effect.");
  }

  @Test
  void aJumpThatStaysOrIsOfOneLayerOrFollowsTheRateIsNoBadBatch() {
    var lasting = new SimulatedRun(1, 0.2).healthy(80).steps(2, s -> s.raiseAll(5)).healthy(60);
    var narrow =
        new SimulatedRun(1, 0.2).healthy(80).steps(1, s -> s.raise("block3.weight", 5)).healthy(60);
    var driven =
        new SimulatedRun(1, 0.2)
            .steps(79, s -> s.rates(0.1))
            .steps(1, s -> s.rates(0.5))
            .steps(1, s -> s.rates(0.5).raiseAll(5))
            .steps(60, s -> s.rates(0.5));

    for (SimulatedRun run : List.of(lasting, narrow, driven)) {
      assertThat(run.alerts())
          .isNotEmpty()
          .extracting(alert -> alert.context().cause())
          .containsOnly(Cause.OPTIMISER);
    }
  }

  @Test
  void aNanOfOneRanksLayerIsAMatterOfNumbers() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(1, s -> s.nan(2, "block5.weight", "block4.weight"));

    assertThat(last(run).context().cause()).isEqualTo(Cause.NUMERIC);
    assertThat(last(run).context().account())
        .isEqualTo("block5.weight of rank 2 NaN or Inf at step 50.");
    assertThat(last(run).context().nextAction())
        .startsWith("Skip steps that are not finite, and guard block5.weight ");
  }

  @Test
  void theRankNamedComesWithItsHostAndDevice() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(1, s -> s.hosts("node-1", "node-2").nan(2, "block5.weight"))
            .steps(1, s -> s.nan(3, "block5.weight"))
            .healthy(30);

    assertThat(last(run).host()).isEqualTo("node-2");
    assertThat(last(run).device()).isEqualTo("cuda:0");
    assertThat(last(run).suspects())
        .extracting(Alert.Suspect::rank, Alert.Suspect::host, Alert.Suspect::device)
        .containsExactly(tuple(2, "node-2", "cuda:0"), tuple(3, "node-2", "cuda:1"));
  }

  @Test
  void aRankThatSendsTwoRecordsIsLookedForOnItsHost() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(2, s -> s.hosts("node-1", "node-2").contradicting(1));

    assertThat(last(run).context().nextAction())
        .isEqualTo(
            "Look for a second process that publishes as rank 1 on host node-1, and end it.");
  }

  @Test
  void aNanOfEveryLayerRightAfterTheRateRoseIsNot() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(50, s -> s.rates(0.1))
            .steps(1, s -> s.rates(3))
            .steps(1, s -> s.rates(3).loss(Double.NaN).nan(0, "block7.weight", "block0.weight"));

    assertThat(last(run).kind()).isEqualTo(FindingKind.NON_FINITE);
    assertThat(last(run).context().cause()).isEqualTo(Cause.OPTIMISER);
    assertThat(last(run).context().account())
        .startsWith("Learning rate ×30 observed at step 50, rank 0 NaN or Inf at 51.");
  }

  @Test
  void skipsInARowAreAMatterOfTheLossScale() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(50, s -> s.scaled(65_536, 3, 0, 65_536))
            .steps(6, s -> s.skipped());

    assertThat(last(run).context().cause()).isEqualTo(Cause.NUMERIC);
    assertThat(last(run).context().account()).startsWith("steps skipped in a row from step 50");
    assertThat(last(run).context().nextAction()).contains("lower loss scale");
  }

  @Test
  void whatDoesNotArriveOrArrivesTwiceIsDelivery() {
    var silent = new SimulatedRun(1, 0.2).healthy(50).steps(5, s -> s.missing(3));
    var twice = new SimulatedRun(1, 0.2).healthy(50).steps(2, s -> s.contradicting(1));

    assertThat(last(silent).context().cause()).isEqualTo(Cause.DELIVERY);
    assertThat(last(silent).context().account()).isEqualTo("rank 3 silent from step 50.");
    assertThat(last(silent).context().nextAction())
        .isEqualTo("Look at the process of rank 3 and its way to the broker.");
    assertThat(last(twice).context().cause()).isEqualTo(Cause.DELIVERY);
    assertThat(last(twice).context().nextAction())
        .isEqualTo("Look for a second process that publishes as rank 1, and end it.");
  }

  @Test
  void whatTheTrainerDeclaredAndWhatShowsAreOneChange() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(20, s -> s.rates(0.1))
            .steps(1, s -> s.rates(0.1).weight(64))
            .steps(39, s -> s.rates(0.1).weight(64))
            .steps(
                1,
                s ->
                    s.rates(0.2)
                        .weight(64)
                        .event(RunEvent.Type.RESUMED, Map.of())
                        .event(
                            RunEvent.Type.CHANGED,
                            Map.of("learningRate", "0.2", "schedule", "cosine")))
            .steps(3, s -> s.rates(0.2).weight(64).dead("block2.weight"));

    assertThat(last(run).onsetStep()).isEqualTo(61);
    assertThat(last(run).context().changes())
        .containsExactly(
            "step 20: batch 32 -> 64 (observed)",
            "step 59: resumed",
            "step 59: schedule cosine (declared)",
            "step 60: learning rate 0.1 -> 0.2 (declared)");
  }

  @Test
  void whatVariesByDesignOrChangedLongAgoIsNoChange() {
    var batches = new double[] {20, 45, 31, 27, 44, 22, 38, 41};
    var run =
        new SimulatedRun(1, 0.2)
            .steps(30, s -> s.rates(0.1).weight(32))
            .steps(90, s -> s.rates(0.3).weight(batches[(int) s.number() % 8]))
            .steps(3, s -> s.rates(0.3).weight(32).dead("block2.weight"));

    assertThat(last(run).context().changes()).isEmpty();
  }

  @Test
  void aRankThatIsMissingMakesNoSmallerBatch() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(10, s -> s.missing(3).weight(20).dead("block2.weight"));

    assertThat(run.alerts())
        .isNotEmpty()
        .allSatisfy(alert -> assertThat(alert.context().changes()).isEmpty());
  }

  @Test
  void theCheckpointsOfAnEarlierAttemptAreThereToRestartFrom() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(41, s -> s)
            .steps(1, s -> s.event(RunEvent.Type.CHECKPOINT, Map.of()))
            .steps(20, s -> s)
            .steps(1, s -> s.event(RunEvent.Type.CHECKPOINT, Map.of()))
            .restart(41)
            .steps(5, s -> s.dead("block2.weight"));

    assertThat(last(run).context().lastCheckpoint()).isEqualTo(40);
    assertThat(last(run).context().lastGoodStep()).isEqualTo(40);
  }

  @Test
  void whereNothingWasDeclaredNoCheckpointIsKnown() {
    var run = new SimulatedRun(1, 0.2).healthy(41).steps(5, s -> s.dead("block2.weight"));

    assertThat(last(run).context().lastCheckpoint()).isNull();
    assertThat(last(run).context().lossBefore()).isEqualTo(1.0);
    assertThat(last(run).context().nextAction())
        .endsWith("restart from a checkpoint of step 40 or before.");
  }

  @Test
  void aRunWithoutALossSaysNothingOfIt() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(41, s -> s.loss(null))
            .steps(100, s -> s.loss(null).dead("block2.weight"));

    assertThat(last(run).context().lossBefore()).isNull();
    assertThat(last(run).context().lossAfter()).isNull();
    assertThat(last(run).context().account()).isEqualTo("block2.weight zero from step 41.");
  }

  @Test
  void everyBlindSpotLowersTheConfidence() {
    var seeing = new SimulatedRun(1, 0.2).healthy(41).steps(5, s -> s.dead("block2.weight"));
    var blind =
        new SimulatedRun(1, 0.2)
            .steps(41, s -> s.loss(null))
            .steps(5, s -> s.loss(null).dead("block2.weight"));

    assertThat(last(blind).blindSpots()).hasSizeGreaterThan(last(seeing).blindSpots().size());
    assertThat(last(blind).confidence()).isLessThan(last(seeing).confidence());
  }

  private static SimulatedRun ruinedByItsRate(long seed) {
    return new SimulatedRun(seed, 0.2)
        .steps(60, s -> s.rates(0.1).loss(2.0))
        .steps(1, s -> s.rates(0.1).loss(2.0).event(RunEvent.Type.CHECKPOINT, Map.of()))
        .steps(19, s -> s.rates(0.1).loss(1.9))
        .steps(1, s -> s.rates(6).loss(1.9))
        .steps(4, s -> s.rates(6).loss(5.0).raise("block7.weight", 6))
        .steps(12, s -> s.rates(6).loss(25.0).raiseAll(8))
        .steps(5, s -> s.rates(6).loss(Double.NaN).nan(0, "block7.weight", "block6.weight"))
        .steps(60, s -> s.rates(6).loss(9.0).dead("block1.weight"));
  }

  private static Alert last(SimulatedRun run) {
    return run.alerts().get(run.alerts().size() - 1);
  }
}
