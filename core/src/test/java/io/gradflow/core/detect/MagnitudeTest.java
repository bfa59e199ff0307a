package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CLIP_SATURATION;
import static io.gradflow.core.detect.FindingKind.DEAD_LAYER;
import static io.gradflow.core.detect.FindingKind.EXPLODING_ABSOLUTE;
import static io.gradflow.core.detect.FindingKind.EXPLODING_DEPTH;
import static io.gradflow.core.detect.FindingKind.EXPLODING_SHIFT;
import static io.gradflow.core.detect.FindingKind.EXPLODING_SPIKE;
import static io.gradflow.core.detect.FindingKind.EXPLODING_TREND;
import static io.gradflow.core.detect.FindingKind.EXPLODING_UPDATE;
import static io.gradflow.core.detect.FindingKind.EXPLODING_WEIGHTS;
import static io.gradflow.core.detect.FindingKind.OSCILLATION;
import static io.gradflow.core.detect.FindingKind.PLATEAU;
import static io.gradflow.core.detect.FindingKind.UNDERFLOW;
import static io.gradflow.core.detect.FindingKind.VANISHING_ABSOLUTE;
import static io.gradflow.core.detect.FindingKind.VANISHING_TREND;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Planted faults of size and direction: found, by whom, how late; and not without the fault. */
class MagnitudeTest {
  private static final int SEEDS = 6;

  /** A loss that falls slowly, but for noise. */
  private static SimulatedRun.Draft learning(SimulatedRun.Draft draft, Random random) {
    return draft.loss(
        4 - 2 * draft.number() / (draft.number() + 2_000.0) + 0.05 * random.nextGaussian());
  }

  @ParameterizedTest
  @CsvSource({"0.001, 1, 4200", "0.003, 1, 1400", "0.003, 10, 1600"})
  void aSlowFallOfOneLayerIsFound(double slope, int every, int within) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var run = new SimulatedRun(seed, 0.2).publishEvery(every);
      run.steps(1_000 / every, s -> learning(s, random));
      while (run.nextStep() < 6_000 && run.findings().isEmpty()) {
        run.shift("block3.weight", -slope * every).steps(1, s -> learning(s, random));
      }

      assertThat(run.findings()).isNotEmpty();
      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(VANISHING_TREND);
      assertThat(first.layer()).isEqualTo("block3.weight");
      assertThat(first.severity()).isEqualTo(Severity.WARNING);
      assertThat(run.nextStep() - 1_000).isLessThanOrEqualTo(within);
      assertThat(first.onsetStep()).isBetween(500L, 2_200L);
    }
  }

  @Test
  void aSlowFallFromTheFirstStepOnIsFoundWithinFiveOctaves() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var run = new SimulatedRun(seed, 0.2);
      for (int i = 0; i < 5_000; i++) {
        run.shift("block3.weight", -0.001).steps(1, s -> learning(s, random));
      }

      assertThat(run.findings())
          .isNotEmpty()
          .allMatch(f -> f.kind() == VANISHING_TREND && "block3.weight".equals(f.layer()));
    }
  }

  @ParameterizedTest
  @CsvSource({"0.001, 3000", "0.004, 800"})
  void slowGrowthOfOneLayerIsFound(double slope, int within) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var run = new SimulatedRun(seed, 0.2).steps(1_000, s -> learning(s, random));
      while (run.nextStep() < 6_000 && run.findings().isEmpty()) {
        run.shift("block3.weight", slope).steps(1, s -> learning(s, random));
      }

      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(EXPLODING_TREND);
      assertThat(first.layer()).isEqualTo("block3.weight");
      assertThat(run.nextStep() - 1_000).isLessThanOrEqualTo(within);
      assertThat(first.message()).contains("has grown slowly to ").contains(", twofold in ");
    }
  }

  @Test
  void slowGrowthOfAllLayersIsAFaultOnlyIfTheLossRises() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var learning = new SimulatedRun(seed, 0.2).steps(500, s -> learning(s, random));
      var failing = new SimulatedRun(seed, 0.2).steps(500, s -> learning(s, random));
      for (int i = 0; i < 1_500; i++) {
        double worse = i / 500.0;
        learning.shiftAll(0.003).steps(1, s -> learning(s, random));
        failing.shiftAll(0.003).steps(1, s -> s.loss(4 + worse + 0.05 * random.nextGaussian()));
      }

      assertThat(learning.findings()).isEmpty();
      assertThat(failing.findings()).extracting(Finding::kind).contains(EXPLODING_TREND);
    }
  }

  @Test
  void aSpikeOnTheWayEndsNoSlowLineButAStepUpIsNone() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var spiking = new SimulatedRun(seed, 0.2).healthy(500);
      for (int i = 0; i < 5_000; i++) {
        boolean wild = i % 400 == 399;
        spiking
            .shift("block3.weight", -0.001)
            .steps(1, s -> wild ? s.raise("block3.weight", 6) : s);
      }
      var stepping = new SimulatedRun(seed, 0.2).healthy(500);
      stepping.shift("block3.weight", 5).healthy(2_000);

      assertThat(spiking.findings()).extracting(Finding::kind).contains(VANISHING_TREND);
      assertThat(stepping.findings()).extracting(Finding::kind).doesNotContain(EXPLODING_TREND);
    }
  }

  @Test
  void aRiseBetweenSpikeAndTrendIsAShift() {
    for (long seed = 0; seed < SEEDS; seed++) {
      // Stairs: none high enough for a spike, the whole too short for a line.
      var run = new SimulatedRun(seed, 0.3).healthy(200);
      for (int i = 0; i < 4; i++) {
        run.shift("block3.weight", 1.3).healthy(12);
      }
      run.healthy(60);

      Finding first =
          run.findings().stream().filter(f -> f.kind() == EXPLODING_SHIFT).findFirst().get();
      assertThat(first.layer()).isEqualTo("block3.weight");
      assertThat(first.onsetStep()).isBetween(195L, 215L);
      assertThat(first.observed()).isGreaterThan(4);
    }
  }

  @Test
  void allLayersShiftingWhileTheLossIsAtItsBestIsLearning() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var learning = new SimulatedRun(seed, 0.3).steps(200, s -> learning(s, random));
      var failing = new SimulatedRun(seed, 0.3).steps(200, s -> learning(s, random));
      for (int i = 0; i < 200; i++) {
        double rise = i < 48 && i % 12 == 0 ? 1.3 : 0;
        learning.shiftAll(rise).steps(1, s -> learning(s, random));
        failing.shiftAll(rise).steps(1, s -> s.loss(5.0));
      }

      assertThat(learning.findings()).extracting(Finding::kind).doesNotContain(EXPLODING_SHIFT);
      assertThat(failing.findings()).extracting(Finding::kind).contains(EXPLODING_SHIFT);
    }
  }

  @Test
  void growthOverDepthIsFoundAfterFiveStepsWithItsCure() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.2).steps(6, s -> s.slope(-8)).healthy(30);
      var less = new SimulatedRun(seed, 0.2).steps(60, s -> s.slope(-5));

      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(EXPLODING_DEPTH);
      assertThat(first.layer()).isNull();
      assertThat(first.onsetStep()).isZero();
      assertThat(run.verdicts().get(3).findings()).isEmpty();
      assertThat(run.verdicts().get(4).findings()).containsExactly(first);
      assertThat(first.message()).contains("from block7.weight to block0.weight since step 0");
      assertThat(first.advice()).contains("initialise the weights 2.");
      assertThat(run.verdicts().get(15).active()).containsExactly(EXPLODING_DEPTH);
      assertThat(run.verdicts().get(30).active()).isEmpty();
      assertThat(less.findings()).isEmpty();
    }
  }

  @Test
  void gradientsLargerThanTheWeightsAreAdvisedOn() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2)
              .steps(40, s -> s.updates())
              .shiftAll(12.5)
              .restart(0)
              .steps(60, s -> s.updates());

      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(EXPLODING_ABSOLUTE);
      assertThat(first.severity()).isEqualTo(Severity.INFO);
      assertThat(first.onsetStep()).isEqualTo(30);
      assertThat(run.alerts().get(0).openedStep()).isEqualTo(34);
      assertThat(new SimulatedRun(seed, 0.2).shiftAll(10).steps(60, s -> s.updates()).findings())
          .isEmpty();
    }
  }

  @Test
  void aLayerThatHardlyMovesIsAdvisedOn() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2).steps(100, s -> s.updates().update("block2.weight", -18));

      assertThat(run.findings())
          .isNotEmpty()
          .allMatch(f -> f.kind() == VANISHING_ABSOLUTE && f.layer().equals("block2.weight"));
      assertThat(run.findings().get(0).onsetStep()).isEqualTo(30);
      assertThat(run.alerts().get(0).openedStep()).isEqualTo(79);
      assertThat(run.alerts().get(0).severity()).isEqualTo(Severity.INFO);
      var warmingUp =
          new SimulatedRun(seed, 0.2)
              .steps(100, s -> s.updates().update("block2.weight", -18).rates(1.0 + s.number()));
      assertThat(warmingUp.findings()).isEmpty();
    }
  }

  @Test
  void aGradientThatDrownsInAdamsEpsIsAdvisedOn() {
    Manifest adam = SimulatedRun.adam(SimulatedRun.manifest(UnaryOperator.identity()), 1e-8);
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.2, adam).shift("block2.weight", -17).healthy(100);
      var sgd = new SimulatedRun(seed, 0.2).shift("block2.weight", -17).healthy(100);

      assertThat(kindsAfter(run, 10)).contains(VANISHING_ABSOLUTE);
      assertThat(kindsAfter(sgd, 10)).doesNotContain(VANISHING_ABSOLUTE);
      assertThat(
              run.findings().stream().filter(f -> f.kind() == VANISHING_ABSOLUTE).findFirst().get())
          .satisfies(f -> assertThat(f.layer()).isEqualTo("block2.weight"))
          .satisfies(f -> assertThat(f.advice()).startsWith("Set Adam's eps well below"));
    }
  }

  @Test
  void aLossThatNoLongerImprovesIsAdvisedOn() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var stuck =
          new SimulatedRun(seed, 0.2)
              .steps(500, s -> s.loss(3 - s.number() / 500.0 + 0.1 * random.nextGaussian()))
              .steps(9_000, s -> s.loss(2 + 0.1 * random.nextGaussian()));
      var improving =
          new SimulatedRun(seed, 0.2)
              .steps(9_500, s -> s.loss(3 - s.number() * 4e-5 + 0.1 * random.nextGaussian()));

      assertThat(stuck.findings()).isNotEmpty().allMatch(f -> f.kind() == PLATEAU);
      assertThat(stuck.alerts().get(0).severity()).isEqualTo(Severity.INFO);
      assertThat(stuck.alerts().get(0).openedStep()).isBetween(2_500L, 5_500L);
      assertThat(improving.findings()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(strings = {"float16", "float8_e4m3fn", "float8_e5m2"})
  void zerosThatMultiplyInANarrowFormatAreUnderflow(String dtype) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = underflowing(seed, l -> SimulatedRun.dtype(l, dtype), 0.2);

      assertThat(run.findings())
          .isNotEmpty()
          .allMatch(f -> f.kind() == UNDERFLOW && f.layer().equals("block2.weight"));
      assertThat(run.findings().get(0).onsetStep()).isEqualTo(100);
      assertThat(run.verdicts().get(104).findings()).hasSize(1);
      assertThat(run.verdicts().get(199).active())
          .as("the baseline does not learn from an episode")
          .containsExactly(UNDERFLOW);
    }
  }

  @Test
  void zerosElsewhereAreNoUnderflow() {
    List<UnaryOperator<Layer>> others =
        List.of(
            l -> SimulatedRun.dtype(l, "bfloat16"),
            l -> SimulatedRun.kind(SimulatedRun.dtype(l, "float16"), l.kind(), true));
    for (long seed = 0; seed < SEEDS; seed++) {
      for (UnaryOperator<Layer> other : others) {
        assertThat(underflowing(seed, other, 0.2).findings()).isEmpty();
      }
      UnaryOperator<Layer> half = l -> SimulatedRun.dtype(l, "float16");
      assertThat(underflowing(seed, half, 0).findings()).as("units that die").isEmpty();
    }
  }

  private static SimulatedRun underflowing(
      long seed, UnaryOperator<Layer> change, double subnormals) {
    return new SimulatedRun(seed, 0.2, SimulatedRun.manifest(change))
        .steps(100, s -> s.zeros("block2.weight", 0.3).subnormals("block2.weight", subnormals))
        .steps(100, s -> s.zeros("block2.weight", 0.45).subnormals("block2.weight", subnormals));
  }

  @Test
  void aGradientThatTurnsBackOnItselfOscillates() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2)
              .steps(110, s -> s.cosine(0.1))
              .steps(40, s -> s.cosine(-0.9))
              .steps(60, s -> s.cosine(0.1));
      var layer = new SimulatedRun(seed, 0.2).steps(160, s -> s.cosine("block4.weight", -0.8));
      var noisy = new Random(seed);
      var healthy =
          new SimulatedRun(seed, 0.2).steps(500, s -> s.cosine(-0.2 + 0.3 * noisy.nextGaussian()));

      assertThat(run.findings()).allMatch(f -> f.kind() == OSCILLATION && f.layer() == null);
      assertThat(run.findings().get(0).onsetStep()).isBetween(122L, 128L);
      assertThat(run.alerts().get(0).openedStep()).isLessThanOrEqualTo(132L);
      assertThat(run.verdicts().get(209).active()).isEmpty();
      assertThat(layer.findings())
          .isNotEmpty()
          .allMatch(f -> f.kind() == OSCILLATION && "block4.weight".equals(f.layer()));
      assertThat(healthy.findings()).isEmpty();
    }
  }

  @Test
  void aClipThatDecidesOnEveryStepIsFoundButNotAtAStart() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2)
              .steps(100, s -> s.clipped(1, 0.5, 1.2).coefficient(0.5))
              .steps(60, s -> s.clipped(1, 0.94, 1.2).coefficient(0.05));
      var start =
          new SimulatedRun(seed, 0.2)
              .steps(40, s -> s.clipped(1, 0.94, 1.2).coefficient(0.05))
              .steps(150, s -> s.clipped(1, 0.6, 1.2).coefficient(0.4));

      assertThat(run.findings()).isNotEmpty().allMatch(f -> f.kind() == CLIP_SATURATION);
      long found = 160L - run.findings().size();
      assertThat(found).isBetween(130L, 146L);
      assertThat(run.findings().get(0).onsetStep()).isBetween(110L, 127L);
      assertThat(run.findings().get(0).severity()).isEqualTo(Severity.WARNING);
      assertThat(start.findings()).isEmpty();
    }
  }

  @ParameterizedTest
  @CsvSource({"0.004, 2", "0.01, 2", "0.5, 0"})
  void weightsThatGrowByMoreThanTheirUpdatesAreFoundAtOnce(double growth, int delay) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = new SimulatedRun(seed, 0.2).steps(40, SimulatedRun.Draft::updates);
      for (int i = 1; run.findings().isEmpty() && i < 20; i++) {
        double octaves = growth * i;
        run.steps(1, s -> s.updates().weights("block3.weight", octaves));
      }

      Finding first = run.findings().get(0);
      assertThat(first.kind()).isEqualTo(EXPLODING_WEIGHTS);
      assertThat(first.layer()).isEqualTo("block3.weight");
      assertThat(first.onsetStep()).isEqualTo(40);
      assertThat(run.nextStep() - 1).isEqualTo(40 + delay);
      assertThat(first.message()).contains("something else writes to them");
    }
  }

  @Test
  void weightsThatTheirUpdatesExplainAreNotSuspect() {
    for (long seed = 0; seed < SEEDS; seed++) {
      // As much growth as updates allow; and as much as sampling hides.
      var explained = new SimulatedRun(seed, 0);
      var sampled = new SimulatedRun(seed, 0).publishEvery(2);
      for (int i = 0; i < 100; i++) {
        double octaves = Math.log1p(0.99 * Math.pow(2, -10)) / Math.log(2) * i;
        explained.steps(1, s -> s.updates().weights("block3.weight", octaves));
        double twice = 0.01 * i;
        sampled.steps(1, s -> s.updates().weights("block3.weight", twice));
      }

      assertThat(explained.findings()).isEmpty();
      assertThat(sampled.findings()).noneMatch(f -> f.kind() == EXPLODING_WEIGHTS);
    }
  }

  @Test
  void anUpdateManyTimesTheUsualIsFoundOnce() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2)
              .steps(100, SimulatedRun.Draft::updates)
              .steps(2, s -> allMove(s.updates(), 6))
              .steps(60, SimulatedRun.Draft::updates);

      assertThat(run.findings()).extracting(Finding::kind).containsOnly(EXPLODING_UPDATE);
      assertThat(run.findings()).hasSize(2);
      assertThat(run.findings().get(0).onsetStep()).isEqualTo(100);
      assertThat(run.findings().get(0).layer()).isNull();
    }
  }

  @Test
  void aScheduleMayReturnToTheRateItHadBefore() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2)
              .steps(100, SimulatedRun.Draft::updates)
              .steps(200, s -> allMove(s.updates(), -5))
              .steps(50, SimulatedRun.Draft::updates);

      assertThat(run.findings()).noneMatch(f -> f.kind() == EXPLODING_UPDATE);
    }
  }

  private static SimulatedRun.Draft allMove(SimulatedRun.Draft draft, double octaves) {
    for (int block = 0; block < 8; block++) {
      draft.update("block" + block + ".weight", octaves);
      draft.update("block" + block + ".bias", octaves);
    }
    return draft;
  }

  @Test
  void growthWhileTheLossImprovesMustBeTwiceAsLarge() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var learning = new SimulatedRun(seed, 0.2);
      var standing = new SimulatedRun(seed, 0.2);
      for (int i = 0; i < 200; i++) {
        double loss = 4 * Math.exp(-i / 200.0);
        double octaves = i < 150 || i >= 186 ? 0 : 0.08;
        learning.shift("block3.weight", octaves).steps(1, s -> s.loss(loss));
        standing.shift("block3.weight", octaves).steps(1, s -> s.loss(2.0));
      }

      assertThat(learning.findings()).isEmpty();
      assertThat(standing.findings()).extracting(Finding::kind).contains(EXPLODING_TREND);
    }
  }

  /** The weights of blocks 1 to 6 are experts behind a router, the weight of block 0. */
  private static Manifest experts() {
    return SimulatedRun.manifest(
        l ->
            l.name().equals("block0.weight")
                ? SimulatedRun.kind(l, LayerKind.ROUTER, false)
                : l.name().matches("block[1-6].weight")
                    ? SimulatedRun.kind(l, LayerKind.EXPERT, false)
                    : l);
  }

  @Test
  void aRouterThatLosesHalfItsExpertsHasCollapsed() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2, experts())
              .healthy(100)
              .steps(25, s -> s.dead("block1.weight", "block2.weight", "block3.weight"));

      assertThat(run.findings())
          .hasSize(6)
          .allMatch(f -> f.kind() == DEAD_LAYER && f.layer().equals("block0.weight"));
      assertThat(run.findings().get(0).onsetStep()).isEqualTo(100);
      assertThat(run.findings().get(0).message())
          .isEqualTo(
              "3 of 6 expert layers behind the router block0.weight have had no gradient since step"
                  + " 100 or before: the router has collapsed onto the others.");
    }
  }

  @Test
  void expertsWithoutTokensNowAndThenAreNoCollapse() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      String[] names = {"block1.weight", "block2.weight", "block3.weight", "block4.weight"};
      var rare =
          new SimulatedRun(seed, 0.2, experts())
              .steps(
                  1_000,
                  s -> {
                    for (String name : names) {
                      if (random.nextInt(20) > 0) {
                        s.dead(name);
                      }
                    }
                    return s;
                  });
      var few =
          new SimulatedRun(seed, 0.2, experts())
              .healthy(100)
              .steps(100, s -> s.dead("block1.weight", "block2.weight"));

      assertThat(rare.findings()).isEmpty();
      assertThat(few.findings()).as("2 of 6").isEmpty();
    }
  }

  @Test
  void aConfirmedExplosionIsCriticalUnlessTheLossFalls() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var falling =
          new SimulatedRun(seed, 0.2)
              .steps(100, s -> s.loss(4 - 0.01 * s.number()))
              .steps(4, s -> s.loss(4 - 0.01 * s.number()).raise("block2.weight", 6));
      var rising =
          new SimulatedRun(seed, 0.2)
              .steps(100, s -> s.loss(4 - 0.01 * s.number()))
              .steps(4, s -> s.loss(6.0).raise("block2.weight", 6));
      var unknown =
          new SimulatedRun(seed, 0.2)
              .steps(100, s -> s.loss(null))
              .steps(4, s -> s.loss(null).raise("block2.weight", 6));

      assertThat(severities(falling)).doesNotContain(Severity.CRITICAL).hasSize(4);
      assertThat(severities(rising)).contains(Severity.CRITICAL);
      assertThat(severities(unknown)).contains(Severity.CRITICAL);
    }
  }

  @Test
  void whatSpikesByNatureIsReportedOnceItLastsOrTheLossIsRaised() {
    Manifest embedded =
        SimulatedRun.manifest(
            l ->
                l.name().equals("block0.weight")
                    ? SimulatedRun.kind(l, LayerKind.EMBEDDING, true)
                    : l);
    for (long seed = 0; seed < SEEDS; seed++) {
      var lasting =
          new SimulatedRun(seed, 0.2, embedded)
              .healthy(100)
              .steps(3, s -> s.raise("block0.weight", 6));
      var harmful =
          new SimulatedRun(seed, 0.2, embedded)
              .healthy(100)
              .steps(1, s -> s.raise("block0.weight", 6).loss(1.5));

      assertThat(lasting.findings()).extracting(Finding::onsetStep).containsExactly(102L);
      assertThat(harmful.findings()).extracting(Finding::kind).containsExactly(EXPLODING_SPIKE);
    }
  }

  @Test
  void anExplosionAfterAChangeIsStillFound() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2)
              .steps(100, s -> s.rates(0.01))
              .steps(4, s -> s.rates(0.6).raiseAll(5).loss(9.0));

      assertThat(run.findings()).isNotEmpty().allMatch(f -> f.kind() == EXPLODING_SPIKE);
      assertThat(run.findings().get(0).onsetStep()).isEqualTo(100);
      assertThat(severities(run)).contains(Severity.CRITICAL);
    }
  }

  @Test
  void trendsAreFoundAgainAfterAChange() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          new SimulatedRun(seed, 0.2).healthy(150).steps(1, s -> s.event(RunEvent.Type.CHANGED));
      for (int i = 0; i < 140; i++) {
        run.shift("block3.weight", 0.03).healthy(1);
      }

      assertThat(run.findings())
          .isNotEmpty()
          .allMatch(f -> f.kind() == EXPLODING_TREND && "block3.weight".equals(f.layer()));
    }
  }

  @Test
  void aStateThatKnowsNoneOfThisGoesOn() {
    var table = LayerTable.of(SimulatedRun.manifest(UnaryOperator.identity()));
    var run = new SimulatedRun(1, 0.2).healthy(100);
    RunTrends released = new RunTrends(1, List.of(released(run.trends().lanes().get(0))));
    var findings = new ArrayList<Finding>();

    for (int i = 0; i < 300; i++) {
      var judgement =
          RunDetector.judge(DetectionPolicy.DEFAULT, table, released, run.draft().step());
      released = judgement.state();
      findings.addAll(judgement.findings().get().findings());
    }

    assertThat(findings).isEmpty();
    assertThat(released.lanes().get(0).magnitude().slow().seen()[0]).isEqualTo(300);
  }

  private static List<Severity> severities(SimulatedRun run) {
    return run.findings().stream().map(Finding::severity).toList();
  }

  private static List<FindingKind> kindsAfter(SimulatedRun run, long step) {
    return run.verdicts().stream()
        .filter(v -> v.id().step() > step)
        .flatMap(v -> v.findings().stream())
        .map(Finding::kind)
        .distinct()
        .toList();
  }

  private static LaneTrends released(LaneTrends lane) {
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
}
