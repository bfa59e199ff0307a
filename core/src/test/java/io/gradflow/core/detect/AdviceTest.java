package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.ADVICE_BATCH_SIZE;
import static io.gradflow.core.detect.FindingKind.ADVICE_CLIP;
import static io.gradflow.core.detect.FindingKind.ADVICE_DEPTH;
import static io.gradflow.core.detect.FindingKind.ADVICE_INITIALISATION;
import static io.gradflow.core.detect.FindingKind.ADVICE_LEARNING_RATE;
import static io.gradflow.core.detect.FindingKind.ADVICE_LOSS_SCALE;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.incident.Alert;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Advice: given on planted evidence, and not on the same run without it. */
class AdviceTest {
  private static final int SEEDS = 10;

  @Test
  void aRunThatHasNothingToImproveIsLeftAlone() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.3)
              .steps(
                  1_000,
                  s ->
                      s.updates()
                          .clipped(3.5, 0.08, 3)
                          .scaled(1 << 14, 2.4, 0.01, 1 << 14)
                          .noiseScale(60));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void theBoundaryAtWhichTheGradientBreaksIsNamed() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.3).shift("block2.weight", -6);
      run.shift("block1.weight", -6).shift("block0.weight", -6).healthy(300);

      Alert alert = only(run, ADVICE_DEPTH);
      assertThat(alert.openedStep()).isBetween(120L, 150L);
      assertThat(alert.rootLayer()).isEqualTo("block2.weight");
      assertThat(alert.evidence().observed()).isBetween(4.5, 7.5);
      assertThat(alert.evidence().unit()).isEqualTo("octaves");
      assertThat(alert.evidence().tail()).hasSize(16);
      assertThat(alert.message())
          .startsWith("On its way to the input the gradient falls to 1/")
          .contains("between block3 (block3.weight) and block2 (block2.weight), by ");
      assertThat(alert.advice())
          .startsWith("Lead a skip connection past this boundary, or normalise the activations");
    }
  }

  @Test
  void aGradientThatVanishesOverDepthComesWithItsCure() {
    var broken =
        new SimulatedRun(1, 0.1)
            .steps(
                6,
                s ->
                    s.raise("block0.weight", -14)
                        .raise("block1.weight", -14)
                        .raise("block2.weight", -14)
                        .raise("block3.weight", -14));
    var sloping = new SimulatedRun(1, 0.1).steps(6, s -> s.slope(14));

    assertThat(broken.alerts().get(0).kind()).isEqualTo(FindingKind.VANISHING_DEPTH);
    assertThat(broken.alerts().get(0).advice())
        .isEqualTo(
            "Lead a skip connection past the boundary between block4 (block4.weight) and block3"
                + " (block3.weight), or normalise the activations at it.");
    assertThat(sloping.alerts().get(0).advice())
        .matches("Lead skip connections past .* initialise the weights [34]\\.\\d times larger\\.");
  }

  @Test
  void oneLayerOutOfLineIsNoBoundary() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.3).restart(500).shift("block4.weight", -6).healthy(300);

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void aSlopeFromTheFirstStepOnIsTheInitialisations() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.2).steps(100, s -> s.slope(7.5));

      Alert alert = only(run, ADVICE_INITIALISATION);
      assertThat(alert.openedStep()).isEqualTo(9);
      assertThat(alert.onsetStep()).isZero();
      assertThat(alert.rootLayer()).isNull();
      assertThat(alert.message())
          .containsPattern("shrinks [0-9]+ times .* times 0\\.[45]\\d? per layer");
      assertThat(alert.advice()).containsPattern("(1\\.9|2\\.\\d) times larger");
    }
  }

  @Test
  void growthOverDepthIsAFaultThatBringsItsOwnAdvice() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.2).steps(100, s -> s.slope(-7.5));

      assertThat(run.alerts())
          .extracting(Alert::kind)
          .containsOnly(FindingKind.EXPLODING_DEPTH)
          .isNotEmpty();
      assertThat(run.alerts().get(0).advice())
          .containsPattern("initialise the weights (1\\.9|2\\.\\d) times smaller");
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {-6, 6})
  void aLayerOutOfLineFromTheFirstStepOnIsInitialisedBadly(double octaves) {
    UnaryOperator<SimulatedRun.Draft> bad = s -> s.raise("block5.weight", octaves);
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.2).steps(20, bad);
      var agreeing =
          new SimulatedRun(seed, 0.2)
              .steps(20, s -> bad.apply(s).updates().weights("block5.weight", -octaves));
      var contradicting = new SimulatedRun(seed, 0.2).steps(20, s -> bad.apply(s).updates());

      Alert alert = only(run, ADVICE_INITIALISATION);
      assertThat(alert.rootLayer()).isEqualTo("block5.weight");
      assertThat(alert.message()).contains("the gradient of block5.weight is ");
      assertThat(alert.advice())
          .contains("Initialise block5.weight ", octaves < 0 ? " times smaller" : " times larger");
      assertThat(only(agreeing, ADVICE_INITIALISATION).rootLayer()).isEqualTo("block5.weight");
      assertThat(contradicting.findings()).isEmpty();
    }
  }

  @Test
  void aRunThatResumesIsNotInitialised() {
    var resumed = new SimulatedRun(1, 0.2).restart(500).steps(20, s -> s.slope(7.5));
    var late = new SimulatedRun(1, 0.2).healthy(2).steps(20, s -> s.slope(7.5));
    var brief = new SimulatedRun(1, 0.2).steps(9, s -> s.slope(7.5)).healthy(20);

    assertThat(resumed.findings()).isEmpty();
    assertThat(late.findings()).isEmpty();
    assertThat(brief.findings()).isEmpty();
  }

  @ParameterizedTest
  @ValueSource(doubles = {-5, 5})
  void aLayerThatMovesUnlikeTheOthersIsGivenItsOwnRate(double octaves) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.4)
              .steps(300, s -> s.updates().update("block6.weight", octaves))
              .steps(100, SimulatedRun.Draft::updates);

      assertThat(run.alerts())
          .extracting(Alert::state)
          .containsExactly(Alert.State.OPENED, Alert.State.RESOLVED);
      Alert alert = run.alerts().get(0);
      assertThat(alert.kind()).isEqualTo(ADVICE_LEARNING_RATE);
      assertThat(alert.openedStep()).isBetween(229L, 232L);
      assertThat(alert.rootLayer()).isEqualTo("block6.weight");
      assertThat(alert.evidence().observed()).isCloseTo(5, within(0.7));
      assertThat(alert.message())
          .startsWith("Measured by its weights, block6.weight moves ")
          .contains(octaves < 0 ? " times less per step" : " times more per step");
      assertThat(alert.advice()).startsWith("Multiply the learning rate of block6.weight by ");
    }
  }

  @Test
  void aLayerThatMovesWellIsLeftAloneHoweverTheOthersDo() {
    for (double octaves : new double[] {-2.8, 2.8}) {
      var run =
          new SimulatedRun(1, 0.3).steps(500, s -> s.updates().update("block6.weight", octaves));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void whatHoldsOfASecondLayerIsSaidOnce() {
    var run =
        new SimulatedRun(1, 0.2)
            .steps(300, s -> s.updates().update("block6.weight", 5))
            .steps(400, s -> s.updates().update("block6.weight", 5).update("block1.weight", -5));

    assertThat(run.alerts())
        .extracting(Alert::state)
        .containsExactly(Alert.State.OPENED, Alert.State.UPDATED);
    assertThat(run.alerts().get(1).suspects())
        .extracting(Alert.Suspect::layer)
        .containsExactly("block6.weight", "block1.weight");
  }

  @ParameterizedTest
  @CsvSource({"1, 0.7, 3, octaves", "9, 0, 3, octaves", "2.6, 0.99, 3, share of steps"})
  void aClipThatIsOffTheNormsIsToBeMoved(
      double norm, double fraction, double advised, String unit) {
    var run = new SimulatedRun(1, 0.2).steps(1_000, s -> s.clipped(norm, fraction, advised));

    Alert alert = only(run, ADVICE_CLIP);
    assertThat(alert.openedStep()).isEqualTo(329);
    assertThat(alert.evidence().unit()).isEqualTo(unit);
    assertThat(alert.message()).contains("while 9 of 10 norms lie below 3.0");
    assertThat(alert.advice())
        .isEqualTo(
            "Clip to 3.0, so that outliers alone are clipped. At step 329 AutoClip would have"
                + " clipped to 2.5, ZClip would have clipped to 4.5, AdaGC would have clipped 3 of"
                + " 16 layers and left a norm of 3.5.");
  }

  @ParameterizedTest
  @CsvSource({"262144, 0.3, 0.001, 2048", "1, 17, 0.3, 65536"})
  void aLossScaleThatLosesDigitsIsToBeChanged(
      double scale, double headroom, double underflow, double advised) {
    var run =
        new SimulatedRun(1, 0.2).steps(300, s -> s.scaled(scale, headroom, underflow, advised));

    Alert alert = only(run, ADVICE_LOSS_SCALE);
    assertThat(alert.openedStep()).isEqualTo(129);
    assertThat(alert.advice())
        .isEqualTo(
            "Set the loss scale to %.0f, which leaves two octaves of headroom.".formatted(advised));
  }

  @Test
  void aDynamicLossScalerIsLeftAlone() {
    var run = new SimulatedRun(1, 0.2);
    for (int cycle = 0; cycle < 20; cycle++) {
      for (int octave = 3; octave >= 0; octave--) {
        double headroom = octave + 0.2;
        run.steps(
            50,
            s ->
                s.scaled(Math.pow(2, 14 - headroom), headroom, 0.2, 1 << 12)
                    .loss(2 - s.number() / 10_000.0));
      }
    }

    assertThat(run.findings()).isEmpty();
  }

  @Test
  void aBatchFarFromTheNoiseScaleIsWorthChanging() {
    var small = new SimulatedRun(1, 0.2).steps(1_000, s -> s.noiseScale(320));
    var large = new SimulatedRun(1, 0.2).steps(1_000, s -> s.noiseScale(3.2));

    Alert alert = only(small, ADVICE_BATCH_SIZE);
    assertThat(alert.openedStep()).isEqualTo(329);
    assertThat(alert.evidence().observed()).isCloseTo(3.32, within(0.01));
    assertThat(alert.message())
        .isEqualTo(
            "The batch of 32 is about 1/10 of the gradient noise scale, 320, since step 30 or"
                + " before: a step is mostly noise.");
    assertThat(alert.advice())
        .isEqualTo(
            "A batch of 320, with a learning rate to match, makes the same progress in 1/5.5 of the"
                + " steps with 1.8 times the samples; a lower learning rate averages noise, too.");
    assertThat(only(large, ADVICE_BATCH_SIZE).advice())
        .isEqualTo(
            "A batch of 3.2 makes the same progress with 1/5.5 of the samples in 1.8 times the"
                + " steps.");
  }

  @Test
  void aNoiseScaleThatIsNotResolvedIsNoEvidence() {
    var run = new SimulatedRun(1, 0.2);
    for (int i = 0; i < 250; i++) {
      run.steps(1, s -> s.noiseScale(320)).steps(3, s -> s.noiseScale(Double.NaN));
    }

    assertThat(run.findings()).isEmpty();
  }

  @Test
  void evidenceBeginsAnewAfterAFault() {
    UnaryOperator<SimulatedRun.Draft> noisy = s -> s.noiseScale(320);
    var run =
        new SimulatedRun(1, 0.2)
            .steps(300, noisy)
            .steps(5, s -> noisy.apply(s).dead("block3.weight"))
            .steps(600, noisy);

    List<Alert> alerts = run.alerts();
    assertThat(alerts)
        .extracting(Alert::kind)
        .containsExactly(FindingKind.DEAD_LAYER, FindingKind.DEAD_LAYER, ADVICE_BATCH_SIZE);
    assertThat(alerts.get(1).state()).isEqualTo(Alert.State.RESOLVED);
    assertThat(alerts.get(2).openedStep()).isEqualTo(alerts.get(1).resolvedStep() + 299);
  }

  @Test
  void adviceNeverTouchesTheIncidentsOfFaults() {
    for (long seed = 0; seed < SEEDS; seed++) {
      List<Alert> advised = troubled(seed, DetectionPolicy.DEFAULT).alerts();
      List<Alert> alone = troubled(seed, withoutAdvice()).alerts();

      assertThat(advised).extracting(Alert::kind).contains(ADVICE_BATCH_SIZE, ADVICE_CLIP);
      assertThat(advised.stream().filter(alert -> alert.kind().isAdvice()))
          .allMatch(alert -> alert.severity() == Severity.INFO && alert.chain().size() == 1);
      assertThat(advised.stream().filter(alert -> !alert.kind().isAdvice()).toList())
          .hasSizeGreaterThan(3)
          .usingRecursiveComparison()
          .ignoringFields("policyVersion")
          .isEqualTo(alone);
    }
  }

  @Test
  void aReplayGivesTheSameAdvice() {
    assertThat(troubled(1, DetectionPolicy.DEFAULT).alerts())
        .usingRecursiveComparison()
        .isEqualTo(troubled(1, DetectionPolicy.DEFAULT).alerts());
  }

  @Test
  void aStateThatKnowsNoAdviceGoesOn() {
    var table = LayerTable.of(SimulatedRun.manifest(UnaryOperator.identity()));
    var run = new SimulatedRun(1, 0.2).steps(100, s -> s.noiseScale(320));
    LaneTrends lane = run.trends().lanes().get(0);
    RunTrends released = new RunTrends(1, List.of(withoutAdvice(lane)));

    for (int i = 0; i < 310; i++) {
      var draft = run.draft().noiseScale(320);
      released = RunDetector.judge(DetectionPolicy.DEFAULT, table, released, draft.step()).state();
    }

    assertThat(released.lanes().get(0).advice().batchSize().steps()).isEqualTo(310);
  }

  private static SimulatedRun troubled(long seed, DetectionPolicy policy) {
    UnaryOperator<SimulatedRun.Draft> signals = s -> s.noiseScale(320).clipped(1, 0.7, 3).updates();
    return new SimulatedRun(seed, 0.3)
        .policy(policy)
        .steps(400, signals)
        .steps(2, s -> signals.apply(s).raise("block2.weight", 9))
        .steps(40, signals)
        .steps(5, s -> signals.apply(s).dead("block6.weight").missing(1))
        .steps(400, signals)
        .steps(5, s -> signals.apply(s).nan(3, "block2.bias"))
        .steps(100, signals);
  }

  /** The policy with all advice turned off. */
  private static DetectionPolicy withoutAdvice() {
    return DetectionPolicy.DEFAULT.with(
        Arrays.stream(FindingKind.values())
            .filter(FindingKind::isAdvice)
            .map(kind -> new Rule(DetectionPolicy.EVERY_RUN, kind, 1, Rule.Mode.OFF, Map.of()))
            .toList(),
        SimulatedRun.RUN);
  }

  private static LaneTrends withoutAdvice(LaneTrends lane) {
    return new LaneTrends(
        lane.stream(),
        lane.manifestId(),
        lane.lastStep(),
        lane.published(),
        lane.lastTrended(),
        lane.trended(),
        lane.seen(),
        lane.series(),
        lane.baselines(),
        lane.nonFinite(),
        lane.explodingSpike(),
        lane.explodingTrend(),
        lane.vanishingTrend(),
        lane.vanishingDepth(),
        lane.deadLayer(),
        lane.missingShards(),
        lane.contract(),
        null,
        null,
        lane.ranks());
  }

  /** The opening of the run's one incident. */
  private static Alert only(SimulatedRun run, FindingKind kind) {
    Alert opened = run.alerts().get(0);
    assertThat(run.alerts()).extracting(Alert::incidentId).containsOnly(opened.incidentId());
    assertThat(run.alerts().stream().filter(alert -> alert.state() == Alert.State.OPENED))
        .hasSize(1);
    assertThat(opened.kind()).isEqualTo(kind);
    assertThat(opened.severity()).isEqualTo(Severity.INFO);
    return opened;
  }
}
