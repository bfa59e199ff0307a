package io.gradflow.training;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What each fault does to a training, against the healthy training of the same seed. */
class FaultTest {

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "HEALTHY")
  void faultActsFromItsStepOnAndNotBefore(Scenario scenario) throws Exception {
    var policy = TrainingPolicy.ofSeed(11).withSteps(60);
    Fault fault = scenario.fault(policy).orElseThrow();
    var healthy = Recording.of(policy, Optional.empty());
    var faulty = Recording.of(policy, Optional.of(fault));

    int struck = (int) fault.step();
    for (int step = 0; step < struck; step++) {
      assertThat(faulty.localSquares[step]).isDeepEqualTo(healthy.localSquares[step]);
      assertThat(faulty.reducedSquares[step]).isDeepEqualTo(healthy.reducedSquares[step]);
      assertThat(faulty.result.losses()[step]).isEqualTo(healthy.result.losses()[step]);
    }
    // A rate acts through the update, which the gradients of the next step are the first to see.
    int seen = scenario == Scenario.SPIKE ? struck + 1 : struck;
    assertThat(Arrays.deepEquals(faulty.localSquares[seen], healthy.localSquares[seen])).isFalse();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void vanishingLayerFallsAndNoOther(long seed) throws Exception {
    var struck = Struck.of(Scenario.VANISHING, seed, 200);

    assertThat(struck.change(80, struck.layer)).isLessThan(-3);
    assertThat(struck.changesOfOthers(80)).allMatch(change -> Math.abs(change) < 1.5);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void explodingLayerGrowsFirst(long seed) throws Exception {
    var struck = Struck.of(Scenario.EXPLODING, seed, 150);

    assertThat(struck.change(40, struck.layer)).isGreaterThan(2);
    assertThat(struck.changesOfOthers(40)).allMatch(change -> Math.abs(change) < 1.5);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3, 4, 5})
  void spikeIsLargestInItsLayer(long seed) throws Exception {
    var struck = Struck.of(Scenario.SPIKE, seed, 150);

    double own = struck.change(2, struck.layer);
    assertThat(own).isGreaterThan(2);
    assertThat(struck.changesOfOthers(2)).allMatch(change -> change < own - 0.5);
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void nanStartsOnOneRankWithFiniteLossAndFiniteLayersNearerToIt(long seed) throws Exception {
    var struck = Struck.of(Scenario.NAN, seed, 60);
    int step = (int) struck.fault.step();

    assertThat(struck.recording.result.losses()[step]).isFinite();
    for (int rank = 0; rank < 4; rank++) {
      double[] local = struck.recording.localSquares[step][rank];
      double[] reduced = struck.recording.reducedSquares[step][rank];
      for (int layer = 0; layer < local.length; layer++) {
        assertThat(Double.isNaN(local[layer]))
            .isEqualTo(rank == struck.fault.rank() && layer <= struck.layer);
        assertThat(Double.isNaN(reduced[layer])).isEqualTo(layer <= struck.layer);
      }
    }
    assertThat(struck.recording.result.lastLoss()).isNaN();
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void deadLayerAloneHasZeroGradients(long seed) throws Exception {
    var struck = Struck.of(Scenario.DEAD_LAYER, seed, 60);

    for (int step = (int) struck.fault.step(); step < 60; step++) {
      double[] squares = struck.recording.reducedSquares[step][0];
      for (int layer = 0; layer < squares.length; layer++) {
        assertThat(squares[layer] == 0).isEqualTo(layer == struck.layer);
      }
    }
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void missingRankIsNotHeardOfAndTheTrainingGoesOnUnchanged(long seed) throws Exception {
    var policy = TrainingPolicy.ofSeed(seed).withSteps(60);
    var struck = Struck.of(Scenario.MISSING_RANK, seed, 60);

    assertThat(struck.recording.result.losses())
        .isEqualTo(Recording.of(policy, Optional.empty()).result.losses());
    for (int step = 0; step < 60; step++) {
      for (int rank = 0; rank < 4; rank++) {
        boolean missing = rank == struck.fault.rank() && step >= struck.fault.step();
        assertThat(struck.recording.localSquares[step][rank] == null).isEqualTo(missing);
      }
    }
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "HEALTHY")
  void aStrikeActsAsTheSameFaultThatWasKnownBefore(Scenario scenario) throws Exception {
    var policy = TrainingPolicy.ofSeed(11).withSteps(60);
    Fault fault = scenario.fault(policy).orElseThrow();
    var known = Recording.of(policy, Optional.of(fault));
    var struck =
        Recording.of(
            policy,
            Optional.empty(),
            training -> strikeAt(training, fault.step(), Optional.of(fault.atStep(0))));

    assertThat(struck.localSquares).isDeepEqualTo(known.localSquares);
    assertThat(struck.weightSquares).isDeepEqualTo(known.weightSquares);
    assertThat(struck.result.losses()).isEqualTo(known.result.losses());
  }

  @Test
  void aMissingRankThatIsTakenBackIsHeardOfAgain() throws Exception {
    var policy = TrainingPolicy.ofSeed(11).withSteps(60);
    Fault fault = Scenario.MISSING_RANK.fault(policy).orElseThrow().atStep(10);
    var recording =
        Recording.of(
            policy, Optional.of(fault), training -> strikeAt(training, 30, Optional.empty()));

    for (int step = 0; step < 60; step++) {
      assertThat(recording.localSquares[step][fault.rank()] == null)
          .isEqualTo(step >= 10 && step < 30);
    }
  }

  @Test
  void whatAFaultHasDoneToTheWeightsStaysWhenItIsTakenBack() throws Exception {
    var policy = TrainingPolicy.ofSeed(11).withSteps(90);
    Fault fault = Scenario.EXPLODING.fault(policy).orElseThrow().atStep(10);
    var recording =
        Recording.of(
            policy, Optional.of(fault), training -> strikeAt(training, 40, Optional.empty()));

    int layer = recording.layer(fault.layer());
    double before = recording.weightSquares[10][0][layer];
    double grown = recording.weightSquares[39][0][layer];
    assertThat(grown).isGreaterThan(10 * before);
    assertThat(recording.weightSquares[89][0][layer]).isBetween(grown / 2, grown * 1.5);
  }

  @Test
  void aStrikeIsOfLayerAndRankAsFarAsItsScenarioHasThem() {
    Fault nan = new Fault(Scenario.NAN, 3, "block1.weight", 0);
    assertThat(nan.onLayer("block2.weight").onRank(2))
        .isEqualTo(new Fault(Scenario.NAN, 3, "block2.weight", 2));
    Fault missing = new Fault(Scenario.MISSING_RANK, 3, null, 0);
    assertThat(missing.onLayer("block2.weight")).isEqualTo(missing);
    Fault exploding = new Fault(Scenario.EXPLODING, 3, "block1.weight", null);
    assertThat(exploding.onRank(2)).isEqualTo(exploding);
  }

  /** Strikes during the step before, when all ranks have begun it. */
  private static StepObserver strikeAt(
      DataParallelTraining training, long step, Optional<Fault> fault) {
    return seen -> {
      if (seen.rank() == 0 && seen.step() == step - 2) {
        assertThat(training.strike(fault)).isEqualTo(step);
        assertThat(training.fault()).isEqualTo(fault.map(f -> f.atStep(step)));
      }
    };
  }

  private record Struck(Recording recording, Fault fault, int layer) {

    static Struck of(Scenario scenario, long seed, int steps) throws InterruptedException {
      var policy = TrainingPolicy.ofSeed(seed).withSteps(steps);
      Fault fault = scenario.fault(policy).orElseThrow();
      var recording = Recording.of(policy, Optional.of(fault));
      return new Struck(recording, fault, recording.layer(fault.layer()));
    }

    /** Octaves against the mean of the 20 steps before the fault. */
    double change(int stepsAfter, int ofLayer) {
      double before = 0;
      for (long step = fault.step() - 20; step < fault.step(); step++) {
        before += recording.octaves(step, ofLayer) / 20;
      }
      return recording.octaves(fault.step() + stepsAfter, ofLayer) - before;
    }

    List<Double> changesOfOthers(int stepsAfter) {
      return IntStream.range(0, recording.layers.size())
          .filter(l -> l != layer)
          .mapToObj(l -> change(stepsAfter, l))
          .toList();
    }
  }
}
