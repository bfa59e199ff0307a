package io.gradflow.core.incident;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.tuple;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.detect.Sign;
import io.gradflow.core.detect.SimulatedRun;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.incident.Alert.State;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class IncidentTrackerTest {
  private final IncidentTracker tracker = new IncidentTracker(IncidentPolicy.DEFAULT);
  private final List<Alert> alerts = new ArrayList<>();
  private RunIncidents state;

  @Test
  void anIncidentOpensIsUpdatedAndResolves() {
    var run =
        new SimulatedRun(1, 0.2).healthy(50).steps(120, s -> s.dead("block3.weight")).healthy(40);

    assertThat(run.alerts())
        .extracting(Alert::state, Alert::openedStep, Alert::lastStep, Alert::resolvedStep)
        .containsExactly(
            tuple(State.OPENED, 52L, 52L, null),
            tuple(State.UPDATED, 52L, 102L, null),
            tuple(State.UPDATED, 52L, 152L, null),
            tuple(State.RESOLVED, 52L, 169L, 189L));
    assertThat(run.alerts()).extracting(Alert::transition).containsExactly(0, 1, 2, 3);
    assertThat(run.alerts())
        .extracting(Alert::incidentId)
        .containsOnly(run.alerts().get(0).incidentId());
    assertThat(run.alerts()).extracting(Alert::alertId).doesNotHaveDuplicates();
    assertThat(run.alerts())
        .extracting(Alert::message)
        .containsOnly(
            "The gradient of block3.weight is zero since step 50: the layer no longer learns.");
    assertThat(run.incidents().incidents()).hasSize(1);
    assertThat(run.healthy(459).incidents().incidents()).hasSize(1);
    assertThat(run.healthy(1).incidents().incidents()).isEmpty();
  }

  @Test
  void theAftermathOfANanIsItsOwnIncidentsChain() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(1, s -> s.nan(2, "block5.weight", "block4.weight"))
            .steps(30, s -> s.nan(0, "block7.weight", "block6.weight").loss(Double.NaN))
            .steps(30, s -> s.dead("block5.weight").missing(2))
            .steps(50, s -> s.raiseAll(8));

    assertThat(run.alerts())
        .extracting(Alert::incidentId)
        .containsOnly(run.alerts().get(0).incidentId());
    Alert opened = run.alerts().get(0);
    assertThat(opened.kind()).isEqualTo(FindingKind.NON_FINITE);
    assertThat(opened.rootLayer()).isEqualTo("block5.weight");
    assertThat(opened.rootRank()).isEqualTo(2);
    assertThat(opened.severity()).isEqualTo(Severity.WARNING);
    Alert last = run.alerts().get(run.alerts().size() - 1);
    assertThat(last.kind()).isEqualTo(FindingKind.NON_FINITE);
    assertThat(last.rootLayer()).isEqualTo("block5.weight");
    assertThat(last.severity()).isEqualTo(Severity.CRITICAL);
    assertThat(last.message())
        .startsWith(
            "Rank 2 computed NaN in block5.weight at step 50; the loss was still finite, so the"
                + " fault is in that layer's backward pass; with it: ")
        .contains("DEAD_LAYER", "MISSING_SHARDS", "EXPLODING_SPIKE");
  }

  @Test
  void aRankThatFallsSilentInAHealthyTrainingIsAnotherMatter() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(10, s -> s.raise("block1.weight", 9))
            .steps(5, s -> s.raise("block1.weight", 9).missing(3));

    assertThat(run.alerts())
        .filteredOn(alert -> alert.state() == State.OPENED)
        .extracting(Alert::kind)
        .containsExactly(FindingKind.EXPLODING_SPIKE, FindingKind.MISSING_SHARDS);
  }

  @Test
  void aTruerCauseTakesTheRootOverAndTheIdStays() {
    fold(step(100, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(101, finding(FindingKind.EXPLODING_TREND, "a", 85, Severity.WARNING)));
    assertThat(alerts).hasSize(1);

    fold(step(102, finding(FindingKind.EXPLODING_TREND, "a", 60, Severity.WARNING)));

    assertThat(alerts).extracting(Alert::state).containsExactly(State.OPENED, State.UPDATED);
    assertThat(alerts.get(1).incidentId()).isEqualTo(alerts.get(0).incidentId());
    assertThat(alerts.get(1).kind()).isEqualTo(FindingKind.EXPLODING_TREND);
    assertThat(alerts.get(1).rootLayer()).isEqualTo("a");
    assertThat(alerts.get(1).onsetStep()).isEqualTo(60);
    assertThat(alerts.get(1).chain())
        .extracting(Alert.Link::kind)
        .containsExactly(FindingKind.EXPLODING_TREND, FindingKind.EXPLODING_SPIKE);
  }

  @Test
  void amongFindingsOfOneOnsetTheOneThatExplainsTheOthersIsTheCause() {
    fold(step(100, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(101, finding(FindingKind.NON_FINITE, null, 100, Severity.WARNING)));

    assertThat(alerts)
        .extracting(Alert::kind)
        .containsExactly(FindingKind.EXPLODING_SPIKE, FindingKind.NON_FINITE);
    assertThat(alerts.get(1).incidentId()).isEqualTo(alerts.get(0).incidentId());
  }

  @ParameterizedTest
  @EnumSource(Sign.class)
  void aRankThatDivergesIsTheCauseOfWhatItsLayersDo(Sign sign) {
    fold(
        step(
            100,
            finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING),
            ofRank(FindingKind.RANK_DIVERGENCE, sign)));

    assertThat(alerts).hasSize(1);
    assertThat(alerts.get(0).kind()).isEqualTo(FindingKind.RANK_DIVERGENCE);
    assertThat(alerts.get(0).host()).isEqualTo("node-2");
    boolean isFed =
        List.of(
                Sign.LARGER,
                Sign.SMALLER,
                Sign.LARGER_AT_TIMES,
                Sign.APART_FROM_THE_OTHERS,
                Sign.LOSS_ABOVE_THE_OTHERS)
            .contains(sign);
    assertThat(alerts.get(0).context().cause()).isEqualTo(isFed ? Cause.DATA : Cause.HARDWARE);
    assertThat(alerts.get(0).context().account())
        .isEqualTo("rank 3 unlike its peers from step 100, b ×2.0 at 100.");
    assertThat(alerts.get(0).context().nextAction())
        .startsWith(
            isFed
                ? "Look at what rank 3 on host node-2 is fed"
                : "Take host node-2 (rank 3, cuda:1) out, restart from a checkpoint of step 99 or before,");
  }

  @Test
  void copiesThatDifferAreAMatterOfHardware() {
    fold(step(100, ofRank(FindingKind.REPLICA_MISMATCH, null)));

    assertThat(alerts.get(0).context().cause()).isEqualTo(Cause.HARDWARE);
    assertThat(alerts.get(0).context().nextAction())
        .startsWith("Take host node-2 (rank 3, cuda:1)");
  }

  @Test
  void whatComesLateIsDeliveryAndAnIncidentOfItsOwn() {
    fold(
        step(
            100,
            finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING),
            ofRank(FindingKind.STRAGGLER, null)));

    assertThat(alerts)
        .extracting(alert -> alert.context().cause())
        .containsExactlyInAnyOrder(Cause.OPTIMISER, Cause.DELIVERY);
    assertThat(alerts)
        .extracting(alert -> alert.context().nextAction())
        .contains("Look at load, clock and links of host node-2 (rank 3, cuda:1).");
  }

  @Test
  void valuesTooSmallForTheirFormatComeBeforeTheFallTheyLookLike() {
    fold(step(130, finding(FindingKind.VANISHING_TREND, "a", 100, Severity.WARNING)));
    fold(step(131, finding(FindingKind.UNDERFLOW, "a", 110, Severity.WARNING)));

    assertThat(alerts)
        .extracting(Alert::kind)
        .containsExactly(FindingKind.VANISHING_TREND, FindingKind.UNDERFLOW);
    assertThat(alerts.get(1).context().cause()).isEqualTo(Cause.NUMERIC);
    assertThat(alerts.get(1).context().nextAction()).startsWith("Raise the loss scale");
  }

  @Test
  void aNanSoonAfterTheEstimatedOnsetOfATrendIsItsConsequence() {
    fold(step(130, finding(FindingKind.EXPLODING_TREND, "a", 100, Severity.WARNING)));
    fold(step(131, finding(FindingKind.NON_FINITE, "b", 110, Severity.WARNING)));

    assertThat(alerts).extracting(Alert::kind).containsExactly(FindingKind.EXPLODING_TREND);
    assertThat(state.incidents().get(0).chain())
        .extracting(Alert.Link::kind)
        .containsExactly(FindingKind.EXPLODING_TREND, FindingKind.NON_FINITE);
  }

  @Test
  void aNanThatAnExplosionCameBeforeIsOfItsClass() {
    fold(step(100, finding(FindingKind.NON_FINITE, null, 100, Severity.WARNING)));
    assertThat(alerts.get(0).context().cause()).isEqualTo(Cause.NUMERIC);

    fold(step(101, finding(FindingKind.EXPLODING_TREND, "a", 40, Severity.WARNING)));

    assertThat(alerts).extracting(Alert::state).containsExactly(State.OPENED, State.UPDATED);
    assertThat(alerts.get(1).kind()).isEqualTo(FindingKind.NON_FINITE);
    assertThat(alerts.get(1).context().cause()).isEqualTo(Cause.OPTIMISER);
    assertThat(alerts.get(1).context().lastGoodStep()).isEqualTo(39);
  }

  @Test
  void whatASlowDetectorFindsLaterJoinsTheResolvedIncidentItBeganWith() {
    fold(step(100, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(121, 1, List.of()));
    fold(step(400, finding(FindingKind.VANISHING_TREND, "a", 60, Severity.WARNING)));

    assertThat(alerts)
        .extracting(Alert::state)
        .containsExactly(State.OPENED, State.RESOLVED, State.OPENED);
    assertThat(alerts).extracting(Alert::incidentId).containsOnly(alerts.get(0).incidentId());
    assertThat(alerts.get(2).kind()).isEqualTo(FindingKind.VANISHING_TREND);
    assertThat(alerts.get(2).rootLayer()).isEqualTo("a");
  }

  @Test
  void faultsFarApartAreTwoIncidents() {
    fold(step(100, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(121, 1, List.of()));
    fold(step(150, finding(FindingKind.EXPLODING_SPIKE, "b", 150, Severity.WARNING)));
    fold(step(171, 1, List.of()));
    fold(step(400, finding(FindingKind.VANISHING_TREND, "a", 155, Severity.WARNING)));

    assertThat(alerts)
        .extracting(Alert::state)
        .containsExactly(State.OPENED, State.RESOLVED, State.OPENED, State.RESOLVED, State.OPENED);
    assertThat(alerts.get(2).incidentId()).isNotEqualTo(alerts.get(0).incidentId());
    assertThat(alerts.get(4).incidentId()).isEqualTo(alerts.get(2).incidentId());
  }

  @Test
  void confidenceGrowsWithTheMargin() {
    fold(step(100, observed(2)));
    state = null;
    fold(step(100, observed(4)));

    assertThat(alerts.get(0).confidence()).isEqualTo(0.45);
    assertThat(alerts.get(1).confidence()).isEqualTo(0.53);
  }

  @Test
  void anIncidentOfAnEarlierReleaseGoesOnWithoutABackground() {
    fold(step(100, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    Incident open = state.incidents().get(0);
    Incident old =
        new Incident(
            open.incidentId(),
            open.transition(),
            open.stream(),
            open.root(),
            open.severity(),
            open.openedStep(),
            open.lastStep(),
            open.publishedStep(),
            open.resolvedStep(),
            open.policyVersion(),
            open.suspects(),
            open.chain(),
            open.blindSpots(),
            open.activities(),
            null);
    state = new RunIncidents(state.runId(), state.attempt(), List.of(old), null);

    fold(step(101, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(122, 1, List.of()));

    assertThat(alerts).extracting(Alert::state).containsExactly(State.OPENED, State.RESOLVED);
    assertThat(alerts.get(1).context().cause()).isEqualTo(Cause.OPTIMISER);
    assertThat(alerts.get(1).context().account()).isEqualTo("b ×2.0 at step 100.");
  }

  @Test
  void findingsOfOneStepAreOneIncidentWithRankedSuspects() {
    fold(
        step(
            100,
            finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING),
            finding(FindingKind.EXPLODING_SPIKE, "c", 100, Severity.WARNING),
            finding(FindingKind.DEAD_LAYER, "d", 98, Severity.WARNING)));

    assertThat(alerts).hasSize(1);
    assertThat(alerts.get(0).kind()).isEqualTo(FindingKind.DEAD_LAYER);
    assertThat(alerts.get(0).suspects()).extracting(Alert.Suspect::layer).containsExactly("d");
    assertThat(alerts.get(0).chain()).extracting(Alert.Link::layer).containsExactly("d", "b", "c");
  }

  @Test
  void aHigherSeverityIsPublishedAtOnceAndOnce() {
    fold(step(100, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(101, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));
    fold(step(102, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.CRITICAL)));
    fold(step(103, finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING)));

    assertThat(alerts)
        .extracting(Alert::severity)
        .containsExactly(Severity.WARNING, Severity.CRITICAL);
  }

  @Test
  void episodesLessThanFiftyStepsApartAreOneIncident() {
    var run =
        new SimulatedRun(1, 0.2)
            .healthy(50)
            .steps(1, s -> s.nan(0, "block1.weight"))
            .healthy(48)
            .steps(1, s -> s.nan(0, "block1.weight"))
            .healthy(60)
            .steps(1, s -> s.nan(0, "block1.weight"));

    assertThat(run.alerts())
        .extracting(Alert::state)
        .containsExactly(State.OPENED, State.RESOLVED, State.OPENED, State.RESOLVED, State.OPENED);
    assertThat(run.alerts().get(2).incidentId()).isEqualTo(run.alerts().get(0).incidentId());
    assertThat(run.alerts().get(2).transition()).isEqualTo(2);
    assertThat(run.alerts().get(4).incidentId()).isNotEqualTo(run.alerts().get(0).incidentId());
  }

  @Test
  void anIncidentStaysOpenWhileAnyManifestOfItIsActive() {
    fold(step(100, 1, List.of(FindingKind.DEAD_LAYER), dead("a")));
    fold(step(100, 2, List.of(FindingKind.DEAD_LAYER), dead("b")));
    fold(step(120, 1, List.of()));
    assertThat(alerts).hasSize(1);

    fold(step(121, 2, List.of()));

    assertThat(alerts).extracting(Alert::state).containsExactly(State.OPENED, State.RESOLVED);
  }

  @Test
  void noAdviceOpensWhileAFaultOfAnotherManifestIsOpen() {
    Finding clip = finding(FindingKind.ADVICE_CLIP, null, 40, Severity.INFO);
    fold(step(100, 1, List.of(FindingKind.DEAD_LAYER), dead("a")));
    fold(step(101, 2, List.of(FindingKind.ADVICE_CLIP), clip));
    fold(step(120, 1, List.of()));
    assertThat(alerts).extracting(Alert::state).containsExactly(State.OPENED, State.RESOLVED);

    fold(step(121, 2, List.of(FindingKind.ADVICE_CLIP), clip));

    assertThat(alerts.get(2).kind()).isEqualTo(FindingKind.ADVICE_CLIP);
    assertThat(alerts.get(2).incidentId()).isNotEqualTo(alerts.get(0).incidentId());
    assertThat(alerts.get(2).chain()).extracting(Alert.Link::kind).containsOnly(clip.kind());
  }

  @Test
  void aHigherAttemptEndsTheIncidentsOfTheOneBefore() {
    var run = new SimulatedRun(1, 0.2).steps(3, s -> s.dead("block1.weight")).restart(0).healthy(3);

    assertThat(run.alerts()).extracting(Alert::state).containsExactly(State.OPENED, State.EXPIRED);
    assertThat(run.alerts().get(1).timed()).isFalse();
    assertThat(run.incidents().incidents()).isEmpty();
    assertThat(run.incidents().attempt()).isEqualTo(2);
  }

  @Test
  void theIncidentsOfASilentRunExpire() {
    var run = new SimulatedRun(1, 0.2).steps(3, s -> s.dead("block1.weight"));

    List<Alert> expired = run.tracker().expire(run.incidents(), 99);

    assertThat(expired).hasSize(1);
    assertThat(expired.get(0).state()).isEqualTo(State.EXPIRED);
    assertThat(expired.get(0).timed()).isTrue();
    assertThat(expired.get(0).transition()).isEqualTo(1);
    assertThat(expired.get(0).detectedAt()).isEqualTo(99);
  }

  @Test
  void aReplayGivesTheSameAlerts() {
    assertThat(eventful().alerts())
        .hasSizeGreaterThan(5)
        .usingRecursiveComparison()
        .isEqualTo(eventful().alerts());
  }

  @Test
  void shadowFindingsOpenNothing() {
    Finding seen = dead("a");
    fold(
        step(
            100,
            new Finding(
                seen.kind(),
                true,
                seen.severity(),
                seen.layer(),
                seen.rank(),
                seen.onsetStep(),
                seen.score(),
                seen.observed(),
                seen.threshold(),
                seen.unit(),
                seen.tailSteps(),
                seen.tail(),
                seen.message(),
                null)));

    assertThat(alerts).isEmpty();
    assertThat(state.incidents()).isEmpty();
  }

  @Test
  void anImpossiblePolicyIsRefused() {
    assertThatThrownBy(() -> new IncidentPolicy(50, 500, 20, 0, 8, 4, Duration.ofHours(1)))
        .hasMessage("incident policy: expected updateSteps to be at least 1, got 0");
  }

  private static SimulatedRun eventful() {
    return new SimulatedRun(5, 0.3)
        .healthy(60)
        .steps(2, s -> s.raise("block2.weight", 7))
        .healthy(80)
        .steps(4, s -> s.missing(1))
        .steps(5, s -> s.dead("block6.weight"))
        .healthy(60)
        .steps(5, s -> s.nan(3, "block2.bias"))
        .healthy(100);
  }

  private void fold(StepFindings step) {
    var outcome = tracker.fold(state, step, 7);
    state = outcome.state();
    alerts.addAll(outcome.alerts());
  }

  private static StepFindings step(long step, Finding... findings) {
    var active = List.of(findings).stream().map(Finding::kind).distinct().toList();
    return step(step, 1, active, findings);
  }

  private static StepFindings step(
      long step, long manifestId, List<FindingKind> active, Finding... findings) {
    return new StepFindings(
        new StepId("run-1", 1, StepId.MAIN_STREAM, step),
        manifestId,
        3,
        List.of(findings),
        active,
        List.of());
  }

  private static Finding dead(String layer) {
    return finding(FindingKind.DEAD_LAYER, layer, 98, Severity.WARNING);
  }

  private static Finding finding(FindingKind kind, String layer, long onset, Severity severity) {
    return finding(kind, layer, onset, severity, 1);
  }

  private static Finding ofRank(FindingKind kind, Sign sign) {
    return new Finding(
        kind,
        false,
        Severity.WARNING,
        null,
        3,
        100,
        1,
        2,
        1,
        "octaves",
        new long[0],
        new double[0],
        "It happened.",
        null,
        sign,
        "node-2",
        "cuda:1");
  }

  private static Finding observed(double octaves) {
    return finding(FindingKind.EXPLODING_SPIKE, "b", 100, Severity.WARNING, octaves);
  }

  private static Finding finding(
      FindingKind kind, String layer, long onset, Severity severity, double octaves) {
    return new Finding(
        kind,
        false,
        severity,
        layer,
        null,
        onset,
        1,
        octaves,
        1,
        "octaves",
        new long[0],
        new double[0],
        "It happened.",
        null);
  }
}
