package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CONTRACT;
import static io.gradflow.core.detect.FindingKind.DEAD_LAYER;
import static io.gradflow.core.detect.FindingKind.EXPLODING_SHIFT;
import static io.gradflow.core.detect.FindingKind.EXPLODING_SPIKE;
import static io.gradflow.core.detect.FindingKind.EXPLODING_TREND;
import static io.gradflow.core.detect.FindingKind.MISSING_SHARDS;
import static io.gradflow.core.detect.FindingKind.NON_FINITE;
import static io.gradflow.core.detect.FindingKind.VANISHING_DEPTH;
import static io.gradflow.core.detect.FindingKind.VANISHING_TREND;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class RunDetectorTest {

  @ParameterizedTest
  @CsvSource({"1, 0.02", "2, 0.1", "3, 0.3", "4, 0.5", "5, 0.8"})
  void healthyNoiseOfAnyLevelFindsNothing(long seed, double noise) {
    for (int k = 0; k < 10; k++) {
      var run = new SimulatedRun(100 * seed + k, noise).healthy(1_000);

      assertThat(run.findings()).isEmpty();
      assertThat(run.verdicts()).hasSize(1_000);
    }
  }

  @Test
  void aGradientThatDecaysInEveryLayerFindsNothing() {
    var run = new SimulatedRun(7, 0.3);
    for (int i = 0; i < 1_000; i++) {
      run.shiftAll(-0.01).healthy(1);
    }

    assertThat(run.findings()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void aSpikeIsFoundAtOnceAndNamesTheLayerThatRoseMost(long seed) {
    var run =
        new SimulatedRun(seed, 0.2)
            .healthy(100)
            .steps(1, s -> s.raiseAll(3).raise("block5.weight", 2));

    assertThat(run.findings()).hasSize(Verdicts.MOST);
    Finding first = run.findings().get(0);
    assertThat(first.kind()).isEqualTo(EXPLODING_SPIKE);
    assertThat(first.layer()).isEqualTo("block5.weight");
    assertThat(first.severity()).isEqualTo(Severity.WARNING);
    assertThat(first.onsetStep()).isEqualTo(100);
    assertThat(first.tailSteps()).hasSize(16).endsWith(99, 100);
    assertThat(first.message())
        .matches("The gradient of block5.weight is [0-9.]+ times its own level at step 100 .*\\.");
  }

  @Test
  void aSpikeIsCriticalOnceTwoOfTheNextThreeStepsAgree() {
    var run =
        new SimulatedRun(1, 0.2).healthy(100).steps(3, s -> s.raise("block2.weight", 6)).healthy(1);

    assertThat(run.findings())
        .extracting(Finding::severity)
        .containsExactly(Severity.WARNING, Severity.WARNING, Severity.CRITICAL);
  }

  @Test
  void aSpikeDoesNotRuinTheBaseline() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(100)
            .steps(1, s -> s.raise("block2.weight", 40))
            .healthy(10)
            .steps(1, s -> s.raise("block2.weight", 4));

    assertThat(run.findings()).extracting(Finding::onsetStep).containsExactly(100L, 100L);
  }

  @Test
  void aStepUpThatStaysIsASpikeThenAShiftAndNoTrend() {
    for (long seed = 0; seed < 10; seed++) {
      var run = new SimulatedRun(seed, 0.2).healthy(100).shift("block3.weight", 5).healthy(400);

      assertThat(run.findings().get(0).kind()).isEqualTo(EXPLODING_SPIKE);
      assertThat(run.findings())
          .extracting(Finding::kind)
          .containsOnly(EXPLODING_SPIKE, EXPLODING_SHIFT);
    }
  }

  @ParameterizedTest
  @CsvSource({"0.015, 0.1, 165", "0.02, 0.2, 130", "0.03, 0.2, 95", "0.05, 0.3, 65"})
  void growthIsFoundAndItsOnsetEstimated(double slope, double noise, int within) {
    for (long seed = 0; seed < 10; seed++) {
      var run = new SimulatedRun(seed, noise).healthy(150);
      for (int i = 0; i < 300 && run.findings().isEmpty(); i++) {
        run.shift("block3.weight", slope).healthy(1);
      }

      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(EXPLODING_TREND);
      assertThat(first.layer()).isEqualTo("block3.weight");
      assertThat(run.nextStep() - 1).isLessThanOrEqualTo(150 + within);
      assertThat(first.onsetStep()).isBetween(100L, 190L);
    }
  }

  @ParameterizedTest
  @CsvSource({"0.03, 0.1, 135", "0.05, 0.2, 80", "0.074, 0.3, 60"})
  void aLayerThatFallsBehindTheOthersIsFound(double slope, double noise, int within) {
    for (long seed = 0; seed < 10; seed++) {
      var run = new SimulatedRun(seed, noise).healthy(150);
      for (int i = 0; i < 300 && run.findings().isEmpty(); i++) {
        run.shift("block1.weight", -slope).healthy(1);
      }

      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(VANISHING_TREND);
      assertThat(first.layer()).isEqualTo("block1.weight");
      assertThat(run.nextStep() - 1).isLessThanOrEqualTo(150 + within);
      assertThat(first.onsetStep()).isBetween(145L, 190L);
    }
  }

  @Test
  void aDropOverDepthIsFoundAfterFiveSteps() {
    var run = new SimulatedRun(1, 0.2).steps(6, s -> s.slope(14));

    assertThat(run.findings()).hasSize(2);
    Finding first = run.findings().get(0);
    assertThat(first.kind()).isEqualTo(VANISHING_DEPTH);
    assertThat(first.layer()).isNull();
    assertThat(first.onsetStep()).isZero();
    assertThat(run.verdicts().get(4).findings()).hasSize(1);
    assertThat(first.message()).contains("from block7.weight to block0.weight since step 0");
  }

  @Test
  void ofLayersThatDieTogetherTheOneNearestTheLossIsNamed() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(10)
            .steps(3, s -> s.dead("block0.weight", "block1.weight", "block2.weight"));

    assertThat(run.findings()).hasSize(3);
    Finding first = run.findings().get(0);
    assertThat(first.kind()).isEqualTo(DEAD_LAYER);
    assertThat(first.layer()).isEqualTo("block2.weight");
    assertThat(first.onsetStep()).isEqualTo(10);
    assertThat(run.verdicts().get(12).findings()).hasSize(3);
  }

  @Test
  void layersThatMayBeZeroAreNotDead() {
    List<UnaryOperator<Layer>> reasons =
        List.of(
            l -> with(l, false, false, false),
            l -> with(l, true, true, false),
            l -> with(l, true, false, true));
    for (UnaryOperator<Layer> reason : reasons) {
      var run =
          new SimulatedRun(1, 0.2, SimulatedRun.manifest(reason))
              .steps(10, s -> s.dead("block2.weight"));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void aLayerWithZeroInitialisationMayDieOnceItHasLived() {
    var run =
        new SimulatedRun(1, 0.2, SimulatedRun.manifest(l -> with(l, true, false, true)))
            .steps(10, s -> s.dead("block2.weight"))
            .healthy(1)
            .steps(3, s -> s.dead("block2.weight"));

    assertThat(run.findings()).extracting(Finding::onsetStep).containsExactly(11L);
  }

  @Test
  void missingSlicesCountAsTheyLastWere() {
    var alive =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(20, s -> s.dead("block2.weight").incomplete("block2.weight", 0.75));
    var dead =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(2, s -> s.dead("block2.weight"))
            .steps(1, s -> s.dead("block2.weight").incomplete("block2.weight", 0.75));

    assertThat(alive.findings()).isEmpty();
    assertThat(dead.findings()).extracting(Finding::kind).containsExactly(DEAD_LAYER);
  }

  @Test
  void aLayerOfWhichLittleCameLeavesItsTrendAsItIs() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(100)
            .steps(50, s -> s.raise("block2.weight", -6).incomplete("block2.weight", 0.5))
            .healthy(50);

    assertThat(run.findings()).isEmpty();
  }

  @Test
  void aNanOfTheBackwardPassNamesLayerAndRank() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(5)
            .steps(1, s -> s.nan(2, "block5.weight", "block4.weight", "block4.bias"));

    Finding finding = run.findings().get(0);
    assertThat(run.findings()).hasSize(1);
    assertThat(finding.kind()).isEqualTo(NON_FINITE);
    assertThat(finding.layer()).isEqualTo("block5.weight");
    assertThat(finding.rank()).isEqualTo(2);
    assertThat(finding.message())
        .isEqualTo(
            "Rank 2 computed NaN in block5.weight at step 5; the loss was still finite, so the"
                + " fault is in that layer's backward pass.");
  }

  @Test
  void aNanOfTheForwardPassNamesNoLayer() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(1, s -> s.nan(-1, "block5.weight").loss(Double.NaN))
            .steps(1, s -> s.nan(-1, "block5.weight").loss(null))
            .steps(1, s -> s.nan(-1, "block7.weight", "block7.bias", "block6.bias"))
            .steps(1, s -> s.loss(Double.POSITIVE_INFINITY));

    assertThat(run.findings()).extracting(Finding::layer).containsOnlyNulls().hasSize(4);
    assertThat(run.findings())
        .extracting(Finding::message)
        .containsExactly(
            "NaN in the gradients of 1 of 16 layers at step 0; the loss is NaN too, so the origin"
                + " is the forward pass or the loss.",
            "NaN in the gradients of 1 of 16 layers at step 1; the run sends no loss, so the origin"
                + " may be anywhere.",
            "NaN in the gradients of 3 of 16 layers at step 2; it reaches the layer nearest the"
                + " loss, so the origin is the forward pass or the loss.",
            "The loss is Infinity at step 3 while every gradient is finite.");
    assertThat(run.findings())
        .extracting(Finding::severity)
        .containsExactly(Severity.WARNING, Severity.WARNING, Severity.CRITICAL, Severity.CRITICAL);
  }

  @Test
  void declaredSkipsAreNoFaultUntilTheFifthInARow() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(40)
            .steps(4, s -> s.nan(0, "block0.weight").skipped())
            .healthy(1)
            .steps(4, s -> s.nan(0, "block0.weight").skipped())
            .healthy(40);
    assertThat(run.findings()).isEmpty();

    run.steps(5, s -> s.nan(0, "block0.weight").skipped());
    assertThat(run.findings()).hasSize(1);
    assertThat(run.findings().get(0).onsetStep()).isEqualTo(89);
    assertThat(run.findings().get(0).message())
        .isEqualTo(
            "The trainer has skipped the last 5 steps up to step 93: its loss scaler finds no scale"
                + " at which the gradient is finite.");
  }

  @Test
  void whatIsNoMeasurementPoisonsNoTrend() {
    UnaryOperator<SimulatedRun> disturbed =
        run ->
            run.healthy(60)
                .steps(2, s -> s.nan(1, "block3.weight", "block2.weight"))
                .steps(2, s -> s.skipped().raiseAll(30))
                .steps(2, s -> s.dead("block4.weight"))
                .steps(2, s -> s.incomplete("block6.weight", 0).raise("block6.weight", -20))
                .healthy(200);

    var run = disturbed.apply(new SimulatedRun(3, 0.2));

    assertThat(run.findings()).extracting(Finding::kind).containsOnly(NON_FINITE).hasSize(2);
  }

  @Test
  void aRankIsMissingAfterThreeSteps() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(5)
            .steps(2, s -> s.missing(1))
            .healthy(1)
            .steps(4, s -> s.missing(1, 3));

    assertThat(run.findings()).hasSize(4);
    Finding first = run.findings().get(0);
    assertThat(first.kind()).isEqualTo(MISSING_SHARDS);
    assertThat(first.severity()).isEqualTo(Severity.CRITICAL);
    assertThat(first.rank()).isEqualTo(1);
    assertThat(first.onsetStep()).isEqualTo(8);
    assertThat(first.message())
        .isEqualTo("Rank 1 of 4 has not reported since step 8, and another rank is missing too.");
    assertThat(run.verdicts().get(10).findings()).hasSize(2);
  }

  @Test
  void aRankThatContradictsItselfIsNamedAtOnce() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(5)
            .steps(1, s -> s.contradicting(2))
            .healthy(1)
            .steps(2, s -> s.contradicting(1, 3))
            .healthy(30);

    assertThat(run.findings())
        .extracting(Finding::kind, Finding::rank, Finding::onsetStep, Finding::severity)
        .containsExactly(
            tuple(CONTRACT, 2, 5L, Severity.WARNING),
            tuple(CONTRACT, 1, 7L, Severity.WARNING),
            tuple(CONTRACT, 1, 7L, Severity.WARNING));
    assertThat(run.findings().get(1).message())
        .isEqualTo(
            "Rank 1 sent two different records for one step, at step 7 or shortly before; the first"
                + " counts. Look for a second process that publishes as rank 1. Another rank did so"
                + " too.");
    assertThat(run.verdicts().get(20).active()).containsExactly(CONTRACT);
    assertThat(run.verdicts().get(35).active()).isEmpty();
  }

  @Test
  void inTheTornEndOfAnAttemptARankIsMissingAfterEightSteps() {
    var torn =
        new SimulatedRun(1, 0.2).healthy(5).steps(7, s -> s.missing(1).closedBy(ClosedBy.FINISHED));
    assertThat(torn.findings()).isEmpty();

    torn.steps(1, s -> s.missing(1).closedBy(ClosedBy.FINISHED));

    assertThat(torn.findings()).extracting(Finding::onsetStep).containsExactly(5L);
  }

  @Test
  void lateShardsEndAnAbsence() {
    var run = new SimulatedRun(1, 0.2).healthy(5);
    Step missed = run.draft().missing(1).step();
    run.step(missed).steps(1, s -> s.missing(1));

    run.step(revised(missed, 9, new int[0])).steps(1, s -> s.missing(1));

    assertThat(run.findings()).isEmpty();
    run.steps(1, s -> s.missing(1));
    assertThat(run.findings()).extracting(Finding::onsetStep).containsExactly(6L);
  }

  @Test
  void aRepeatedStepChangesNothing() {
    var run = new SimulatedRun(1, 0.2).healthy(50);
    Step step = run.draft().raise("block3.weight", 9).step();
    run.step(step);
    int verdicts = run.verdicts().size();

    run.step(step).step(new SimulatedRun(1, 0.2).draft().step());

    assertThat(run.verdicts()).hasSize(verdicts);
  }

  @Test
  void aRevisionReachesOnlyWhatMoreContributionsCannotMakeWrong() {
    var run = new SimulatedRun(1, 0.2).healthy(50);
    long number = run.nextStep() - 3;
    Step spike = run.draft().raise("block3.weight", 9).revision(9).step();
    Step nan = run.draft().nan(1, "block3.weight").revision(10).step();

    run.step(at(spike, number));
    assertThat(run.findings()).isEmpty();
    run.step(at(nan, number));
    assertThat(run.findings()).extracting(Finding::kind).containsExactly(NON_FINITE);
    run.step(at(nan, number));
    assertThat(run.findings()).hasSize(1);
  }

  @Test
  void aLateStepReachesOnlyWhatMoreContributionsCannotMakeWrong() {
    var run = new SimulatedRun(1, 0.2).healthy(50);
    var skippedOver = run.draft();
    run.healthy(1);

    run.step(skippedOver.late().raise("block3.weight", 9).nan(1, "block1.weight").step());

    assertThat(run.findings()).extracting(Finding::kind).containsExactly(NON_FINITE);
    assertThat(run.trends().lanes().get(0).lastStep()).isEqualTo(51);
  }

  @Test
  void aHigherAttemptStartsFresh() {
    var run = new SimulatedRun(1, 0.2).healthy(100);
    Step abandoned = run.draft().nan(0, "block1.weight").step();

    run.shiftAll(9).restart(80).healthy(10).step(abandoned);

    assertThat(run.findings()).isEmpty();
    assertThat(run.trends().lanes()).hasSize(1);
    assertThat(run.trends().lanes().get(0).published()).isEqualTo(10);
  }

  @Test
  void sampledPublishingSeesTheSameTrendsPerStep() {
    var run = new SimulatedRun(1, 0.1).publishEvery(5).healthy(100);
    long start = run.nextStep();
    for (int i = 0; i < 60 && run.findings().isEmpty(); i++) {
      run.shift("block3.weight", 5 * 0.03).healthy(1);
    }

    assertThat(run.findings().get(0).kind()).isEqualTo(EXPLODING_TREND);
    assertThat(run.nextStep() - start).isLessThanOrEqualTo(135);
    assertThat(new SimulatedRun(1, 0.3).publishEvery(10).healthy(1_000).findings()).isEmpty();
  }

  @Test
  void stepsInWhichNothingWasMeasuredCountAsDistance() {
    var run = new SimulatedRun(1, 0.1);
    for (int i = 0; i < 100; i++) {
      run.healthy(1).steps(4, SimulatedRun.Draft::unmeasured);
    }
    long start = run.nextStep();
    for (int i = 0; i < 60 && run.findings().isEmpty(); i++) {
      run.shift("block3.weight", 5 * 0.03).healthy(1).steps(4, SimulatedRun.Draft::unmeasured);
    }

    assertThat(run.findings().get(0).kind()).isEqualTo(EXPLODING_TREND);
    assertThat(run.findings().get(0).message())
        .as("0.03 octaves are 2.1 %% a step; a reading is five steps")
        .containsPattern("by [12]\\.\\d % a step");
    assertThat(run.nextStep() - start).isLessThanOrEqualTo(135);
  }

  @Test
  void modesDecideWhatBecomesOfFindings() {
    var shadow = DetectionPolicy.DEFAULT.with(rule(NON_FINITE, Rule.Mode.SHADOW, Map.of()));
    var off = DetectionPolicy.DEFAULT.with(rule(NON_FINITE, Rule.Mode.OFF, Map.of()));

    var shadowed = new SimulatedRun(1, 0.2).policy(shadow).steps(3, s -> s.nan(0, "block1.weight"));
    var silent = new SimulatedRun(1, 0.2).policy(off).steps(3, s -> s.nan(0, "block1.weight"));

    assertThat(shadowed.findings()).hasSize(3).allMatch(Finding::shadow);
    assertThat(shadowed.alerts()).isEmpty();
    assertThat(silent.findings()).isEmpty();
  }

  @Test
  void theForecastOfGrowthKnowsTheNumberFormat() {
    var run = new SimulatedRun(1, 0.1).healthy(100);
    for (int i = 0; i < 100 && run.findings().isEmpty(); i++) {
      run.shift("block3.weight", 0.04).healthy(1);
    }

    assertThat(run.findings().get(0).message())
        .matches(
            "The gradient of block3.weight has grown to [0-9.]+ times its level since about step"
                + " [0-9]+, by [0-9.]+ % a step; at this rate it overflows float32 at step"
                + " [0-9]+\\.");
  }

  @Test
  void namesOfTheRunsChoosingDoNoHarmInSentences() {
    String hostile = "a\nb" + "x".repeat(500);
    var run =
        new SimulatedRun(1, 0.1, SimulatedRun.manifest(layer -> named(layer, hostile)))
            .steps(1, s -> s.nan(0, hostile));

    assertThat(run.findings().get(0).message()).contains("a?bxxx").hasSizeLessThan(300);
  }

  @Test
  void aStepOfAnotherManifestIsRefused() {
    var run = new SimulatedRun(1, 0.2);
    Step step = run.draft().step();
    LayerTable other = LayerTable.of(SimulatedRun.manifest(layer -> with(layer, true, true, true)));

    assertThatThrownBy(() -> RunDetector.judge(DetectionPolicy.DEFAULT, other, null, step))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("step 0: expected columns of all 16 layers of manifest");
  }

  private static Rule rule(FindingKind kind, Rule.Mode mode, Map<String, Double> thresholds) {
    return new Rule(DetectionPolicy.EVERY_RUN, kind, 1, mode, thresholds);
  }

  /** Renames block2.weight. */
  private static Layer named(Layer layer, String name) {
    return new Layer(
        layer.name().equals("block2.weight") ? name : layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind(),
        layer.elements(),
        layer.dtype(),
        true,
        false,
        false,
        layer.tiedTo(),
        layer.placement());
  }

  private static Layer with(Layer layer, boolean trainable, boolean sparse, boolean zeroInit) {
    return new Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind(),
        layer.elements(),
        layer.dtype(),
        trainable,
        sparse,
        zeroInit,
        layer.tiedTo(),
        layer.placement());
  }

  private static Step at(Step step, long number) {
    return copy(step, number, step.revision(), step.missingRanks());
  }

  private static Step revised(Step step, long revision, int[] missing) {
    return copy(step, step.id().step(), revision, missing);
  }

  private static Step copy(Step step, long number, long revision, int[] missing) {
    return new Step(
        step.id().at(number),
        step.manifestId(),
        step.part(),
        step.parts(),
        step.firstLayer(),
        revision,
        step.closedBy(),
        step.late(),
        step.completeness(),
        step.worldSize(),
        missing,
        step.conflictingRanks(),
        step.incompleteLayers(),
        step.incompleteCompleteness(),
        step.globalNorm(),
        step.norms(),
        step.evidence(),
        step.scalars(),
        step.events(),
        null);
  }
}
