package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CONTRACT;
import static io.gradflow.core.detect.FindingKind.NON_FINITE;
import static io.gradflow.core.detect.FindingKind.RANK_DIVERGENCE;
import static io.gradflow.core.detect.FindingKind.REPLICA_MISMATCH;
import static io.gradflow.core.detect.FindingKind.STRAGGLER;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.MeshAxis;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is found of single ranks. */
class RankDetectorsTest {
  private static final int SEEDS = 10;

  /** A small batch: whole gradients of ranks differ by a factor of 2 to 3, layers a little more. */
  private static final double NOISE = 0.5;

  private static final double LAYER_NOISE = 0.3;

  private final Random random = new Random(77);

  private static SimulatedRun run(long seed, int ranks) {
    return run(seed, new MeshAxis("dp_replicate", ranks));
  }

  private static SimulatedRun run(long seed, MeshAxis... mesh) {
    return new SimulatedRun(seed, 0.2, SimulatedRun.manifest(UnaryOperator.identity(), mesh));
  }

  private static UnaryOperator<SimulatedRun.Draft> ranked(UnaryOperator<DrawnRanks> change) {
    return step -> step.ranked(NOISE, LAYER_NOISE, change);
  }

  private UnaryOperator<DrawnRanks> coherent(UnaryOperator<DrawnRanks> change) {
    return ranks -> change.apply(ranks.coherent(random, 0.4, 0.1));
  }

  private static List<Finding> of(SimulatedRun run, FindingKind kind) {
    return run.findings().stream().filter(finding -> finding.kind() == kind).toList();
  }

  /** Runs healthy steps, then sick ones until something is found; the first finding. */
  private static Finding found(
      SimulatedRun run,
      UnaryOperator<SimulatedRun.Draft> healthy,
      UnaryOperator<SimulatedRun.Draft> sick,
      int within) {
    run.steps(100, healthy);
    assertThat(run.findings()).isEmpty();
    for (int i = 0; i < within && run.findings().isEmpty(); i++) {
      run.steps(1, sick);
    }
    assertThat(run.findings()).as("within %d steps", within).isNotEmpty();
    return run.findings().get(0);
  }

  @ParameterizedTest
  @ValueSource(ints = {3, 4, 8, 16, 64})
  void ranksThatDifferByTheirBatchesFindNothing(int ranks) {
    int seeds = ranks == 64 ? 2 : SEEDS;
    for (long seed = 0; seed < seeds; seed++) {
      var run = run(seed, ranks).steps(1_000, ranked(coherent(UnaryOperator.identity())));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void ranksWhoseDataAreOfOtherKindsForGoodFindNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var kinds = new Random(seed);
      double[] kind = kinds.doubles(32).map(each -> kinds.nextGaussian() * 0.4).toArray();
      var run =
          run(seed, 32)
              .steps(
                  300,
                  ranked(
                      ranks -> {
                        for (int rank = 0; rank < kind.length; rank++) {
                          ranks.raise(rank, kind[rank]);
                        }
                        return ranks;
                      }));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void oneOddBatchOfAHealthyRankFindsNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, 8);
      for (int i = 0; i < 20; i++) {
        int rank = i % 8;
        run.steps(49, step -> step.ranked(0.2, 0.2, UnaryOperator.identity()))
            .steps(1, step -> step.ranked(0.2, 0.2, ranks -> ranks.raise(rank, 5)));
      }

      assertThat(of(run, RANK_DIVERGENCE)).isEmpty();
    }
  }

  @Test
  void ranksWithUnequalBatchesFindNothingIfTheirWeightsAreKnown() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          run(seed, 8)
              .steps(
                  500,
                  step ->
                      step.ranked(
                          0.2,
                          0.2,
                          ranks ->
                              ranks
                                  .raise(5, 1)
                                  .weights(32, 32, 32, 32, 32, 8, 32, 32)
                                  .coherent(random, 0.4, 0.05)
                                  .turned(5, -0.2)));

      assertThat(run.findings()).isEmpty();
    }
  }

  @ParameterizedTest
  @CsvSource({"3, 3", "8, 3", "8, 6", "64, 3"})
  void aRankThatIsFedLargerInputsIsNamed(int ranks, double octaves) {
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % ranks);
      Finding finding =
          found(
              run(seed, ranks),
              ranked(coherent(UnaryOperator.identity())),
              ranked(coherent(drawn -> drawn.raise(sick, octaves))),
              20);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isEqualTo(sick);
      assertThat(finding.layer()).isNull();
      assertThat(finding.sign()).isEqualTo(Sign.LARGER);
      assertThat(finding.severity()).isEqualTo(Severity.WARNING);
      assertThat(finding.onsetStep()).isBetween(100L, 112L);
    }
  }

  @Test
  void aRankThatIsALittleSmallerStepAfterStepIsNamed() {
    for (long seed = 0; seed < SEEDS; seed++) {
      Finding finding =
          found(
              run(seed, 8),
              step -> step.ranked(0.2, 0.2, UnaryOperator.identity()),
              step -> step.ranked(0.2, 0.2, ranks -> ranks.raise(6, -0.7)),
              30);

      assertThat(finding.rank()).isEqualTo(6);
      assertThat(finding.sign()).isEqualTo(Sign.SMALLER);
      assertThat(finding.message())
          .matches(
              "The gradient that rank 6 of 8 computes is 0\\.[5-9][0-9] times that of its peers"
                  + " since step 1[0-2][0-9]: look at the data it is fed\\.");
    }
  }

  @ParameterizedTest
  @CsvSource({"4, 20", "8, 6", "64, 60"})
  void flippedBitsInOneLayerNameRankAndLayer(int ranks, double octaves) {
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % ranks);
      var flips = new Random(seed);
      var run = run(seed, ranks);
      int layer = run.layer("block2.weight");
      Finding finding =
          found(
              run,
              ranked(UnaryOperator.identity()),
              ranked(drawn -> flips.nextDouble() < 0.4 ? drawn.raise(sick, layer, octaves) : drawn),
              20);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isEqualTo(sick);
      assertThat(finding.layer()).isEqualTo("block2.weight");
      assertThat(finding.sign()).isEqualTo(Sign.FEW_LAYERS);
    }
  }

  @Test
  void gradientsThatAreHugeNowAndThenAreNoMatterOfData() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, 8).steps(100, ranked(UnaryOperator.identity()));
      run.steps(1, ranked(ranks -> ranks.raise(3, 6)))
          .steps(5, ranked(UnaryOperator.identity()))
          .steps(1, ranked(ranks -> ranks.raise(3, 6)));

      assertThat(run.findings()).hasSize(1);
      assertThat(run.findings().get(0).rank()).isEqualTo(3);
      assertThat(run.findings().get(0).sign()).isEqualTo(Sign.LARGER_AT_TIMES);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "4, -0.9, AGAINST_THE_OTHERS",
    "8, -0.8, AGAINST_THE_OTHERS",
    "8, -0.4, APART_FROM_THE_OTHERS",
    "16, -0.45, APART_FROM_THE_OTHERS"
  })
  void aRankThatPointsElsewhereIsNamed(int ranks, double turn, Sign sign) {
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % ranks);
      var run = run(seed, ranks);
      Finding finding =
          found(
              run,
              ranked(coherent(UnaryOperator.identity())),
              ranked(coherent(drawn -> drawn.turned(sick, turn))),
              40);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isEqualTo(sick);
      assertThat(finding.layer()).isNull();
      assertThat(finding.sign()).isEqualTo(sign);
    }
  }

  @Test
  void ofThreeTheOneThatTurnsAgainstTheOthersIsNamed() {
    // A flipped sign takes their agreement from the other two as well.
    int bySelf = 0;
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % 3);
      Finding finding =
          found(
              run(seed, 3),
              ranked(ranks -> ranks.coherent(random, 0.3, 0.2)),
              ranked(ranks -> ranks.coherent(random, 0, 0.2).turned(sick, -0.28)),
              50);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isEqualTo(sick);
      assertThat(finding.sign()).isEqualTo(Sign.AGAINST_THE_OTHERS);
      assertThat(finding.onsetStep()).isBetween(95L, 125L);
      bySelf += finding.message().contains(" has turned against that of its peers since") ? 1 : 0;
    }
    assertThat(bySelf).isGreaterThan(SEEDS / 2);
  }

  @Test
  void threeRanksThatComeToPointAgainstEachOtherAsTheyLearnFindNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, 3);
      for (int i = 0; i < 600; i++) {
        double cosine = 0.3 - i / 1000.0;
        run.steps(1, ranked(ranks -> ranks.coherent(random, cosine, 0.2)));
      }

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void aStateThatKnowsNothingOfTurnsStartsAfresh() {
    var run =
        run(3, 3)
            .steps(100, ranked(ranks -> ranks.coherent(random, 0.3, 0.2)))
            .forgetRankTurns()
            .steps(100, ranked(ranks -> ranks.coherent(random, 0.3, 0.2)))
            .steps(50, ranked(ranks -> ranks.coherent(random, 0, 0.2).turned(1, -0.3)));

    assertThat(run.findings()).isNotEmpty().allMatch(finding -> finding.rank() == 1);
  }

  @Test
  void workersThatAllPointAgainstEachOtherFindNothing() {
    // Of a full batch at its minimum the gradients of the workers add up to nothing.
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, 4).steps(500, ranked(ranks -> ranks.coherent(random, -0.9, 0.05)));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void aRankOfAllZeroIsNamedInItsSecondStep() {
    var run =
        run(1, 8)
            .steps(3, ranked(UnaryOperator.identity()))
            .steps(1, ranked(ranks -> ranks.zero(2)))
            .steps(3, ranked(UnaryOperator.identity()))
            .steps(2, ranked(ranks -> ranks.zero(2)));

    assertThat(run.findings()).hasSize(1);
    Finding finding = run.findings().get(0);
    assertThat(finding.rank()).isEqualTo(2);
    assertThat(finding.sign()).isEqualTo(Sign.ALL_ZERO);
    assertThat(finding.onsetStep()).isEqualTo(7);
    assertThat(finding.message())
        .isEqualTo(
            "The gradient that rank 2 of 8 computes is exactly zero since step 7: it takes no part"
                + " in the training.");
  }

  @Test
  void twoRanksThatDifferByTheirBatchesFindNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          run(seed, 2)
              .steps(
                  1_000, ranked(ranks -> ranks.coherentAlike(0.1 + 0.3 * random.nextGaussian())));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void ofTwoRanksTheLargerOneIsNamed() {
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % 2);
      Finding finding =
          found(
              run(seed, 2),
              ranked(UnaryOperator.identity()),
              ranked(ranks -> ranks.raise(sick, 3)),
              25);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isEqualTo(sick);
      assertThat(finding.sign()).isEqualTo(Sign.LARGER);
      assertThat(finding.onsetStep()).isBetween(100L, 112L);
      assertThat(finding.message())
          .matches(
              "The gradient that rank [01] of 2 computes is [0-9.]+ times that of the other since"
                  + " step 1[01][0-9]: look at the data it is fed\\.");
    }
  }

  @Test
  void ofTwoRanksTheSmallerOneIsNamedIfItWasNotSoBefore() {
    for (long seed = 0; seed < SEEDS; seed++) {
      Finding finding =
          found(
              run(seed, 2),
              ranked(UnaryOperator.identity()),
              ranked(ranks -> ranks.raise(1, -3)),
              25);

      assertThat(finding.rank()).isEqualTo(1);
      assertThat(finding.sign()).isEqualTo(Sign.SMALLER);
    }
  }

  @Test
  void ofTwoRanksAFlippedBitIsNamedAtOnce() {
    for (long seed = 0; seed < SEEDS; seed++) {
      Finding finding =
          found(
              run(seed, 2),
              ranked(UnaryOperator.identity()),
              ranked(ranks -> ranks.raise(0, 60)),
              1);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isZero();
      assertThat(finding.onsetStep()).isEqualTo(100);
      assertThat(finding.sign()).isEqualTo(Sign.LARGER_AT_TIMES);
    }
  }

  @Test
  void ofTwoRanksOneOfAllZeroIsNamedInItsSecondStep() {
    var run =
        run(1, 2)
            .steps(3, ranked(UnaryOperator.identity()))
            .steps(2, ranked(ranks -> ranks.zero(1)));

    assertThat(run.findings()).hasSize(1);
    assertThat(run.findings().get(0).rank()).isEqualTo(1);
    assertThat(run.findings().get(0).sign()).isEqualTo(Sign.ALL_ZERO);
    assertThat(run.findings().get(0).onsetStep()).isEqualTo(3);
  }

  @Test
  void ofTwoRanksThatTurnAgainstEachOtherNeitherIsNamed() {
    for (long seed = 0; seed < SEEDS; seed++) {
      Finding finding =
          found(
              run(seed, 2),
              ranked(ranks -> ranks.coherentAlike(0.3 + 0.2 * random.nextGaussian())),
              ranked(ranks -> ranks.coherentAlike(-0.3 + 0.2 * random.nextGaussian())),
              60);

      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.rank()).isNull();
      assertThat(finding.sign()).isEqualTo(Sign.AGAINST_THE_OTHERS);
      assertThat(finding.onsetStep()).isBetween(85L, 125L);
    }
  }

  @Test
  void twoRanksThatComeToPointAgainstEachOtherAsTheyLearnFindNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, 2);
      for (int i = 0; i < 600; i++) {
        double cosine = 0.4 - i / 1000.0;
        run.steps(1, ranked(ranks -> ranks.coherentAlike(cosine + 0.2 * random.nextGaussian())));
      }

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void twoRanksOfUnequalBatchesFindNothingIfTheirWeightsAreKnown() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, 2).steps(500, ranked(ranks -> ranks.raise(1, 1.5).weights(32, 4)));

      assertThat(run.findings()).isEmpty();
    }
  }

  @Test
  void aDifferenceThatManyRanksShareIsNoneOfSingleRanks() {
    var run =
        run(1, 8)
            .steps(100, ranked(UnaryOperator.identity()))
            .steps(100, ranked(ranks -> ranks.raise(1, 3).raise(2, 3).raise(3, 3)));

    assertThat(of(run, RANK_DIVERGENCE)).isEmpty();
  }

  @Test
  void tensorParallelRanksAreComparedWithThoseOfTheSameSlice() {
    // Rank 2 i + 1 holds the larger half of every layer.
    UnaryOperator<DrawnRanks> halves =
        ranks -> {
          for (int rank = 1; rank < 8; rank += 2) {
            ranks.raise(rank, 3);
          }
          return ranks;
        };
    MeshAxis[] mesh = {new MeshAxis("dp_replicate", 4), new MeshAxis("tp", 2)};
    for (long seed = 0; seed < SEEDS; seed++) {
      var run = run(seed, mesh);
      Finding finding =
          found(run, ranked(halves), ranked(ranks -> halves.apply(ranks).raise(4, 3)), 20);

      assertThat(finding.rank()).isEqualTo(4);
      assertThat(finding.sign()).isEqualTo(Sign.LARGER);
    }
  }

  @Test
  void whatIsNoMeasurementLeavesLaterVerdictsAsTheyWere() {
    UnaryOperator<SimulatedRun.Draft> healthy = ranked(UnaryOperator.identity());
    for (long seed = 0; seed < SEEDS; seed++) {
      var run =
          run(seed, 8)
              .steps(60, healthy)
              .steps(3, step -> healthy.apply(step.skipped()))
              .steps(
                  2,
                  step -> ranked(ranks -> ranks.raise(3, 40)).apply(step.nan(3, "block1.weight")))
              .steps(2, step -> ranked(ranks -> ranks.absent(3)).apply(step))
              .steps(2, step -> ranked(ranks -> ranks.raise(3, -9)).apply(step.missing(3)))
              .steps(100, healthy);

      assertThat(run.findings()).extracting(Finding::kind).containsOnly(NON_FINITE);
      long before = run.nextStep();
      run.steps(8, ranked(ranks -> ranks.raise(3, 4)));
      assertThat(of(run, RANK_DIVERGENCE).get(0).rank()).isEqualTo(3);
      assertThat(of(run, RANK_DIVERGENCE).get(0).onsetStep()).isBetween(before, before + 7);
    }
  }

  @Test
  void aRankIsOverOnceItIsLikeTheOthersAgain() {
    var run =
        run(1, 8)
            .steps(100, ranked(UnaryOperator.identity()))
            .steps(30, ranked(ranks -> ranks.raise(3, 4)))
            .steps(120, ranked(UnaryOperator.identity()));

    assertThat(run.verdicts().get(130).active()).contains(RANK_DIVERGENCE);
    assertThat(run.verdicts().get(249).active()).isEmpty();
    assertThat(run.alerts()).extracting(alert -> alert.state().name()).endsWith("RESOLVED");
  }

  @Test
  void findingsSayWhereTheRankRunsOrRanLast() {
    var run =
        run(1, 16)
            .steps(50, ranked(DrawnRanks::placed))
            .steps(2, ranked(ranks -> ranks.placed().zero(11)))
            .steps(3, step -> ranked(ranks -> ranks.absent(9)).apply(step.missing(9)));

    assertThat(run.findings().get(0).host()).isEqualTo("node-1");
    assertThat(run.findings().get(0).device()).isEqualTo("cuda:3");
    Finding missing = run.findings().get(1);
    assertThat(missing.kind()).isEqualTo(FindingKind.MISSING_SHARDS);
    assertThat(missing.host()).isEqualTo("node-1");
    assertThat(missing.device()).isEqualTo("cuda:1");
  }

  @Test
  void aStateWithoutRanksStartsAfresh() {
    var run = run(1, 8).steps(100, ranked(UnaryOperator.identity()));
    LaneTrends lane = run.trends().lanes().get(0);
    assertThat(lane.ranks().ranks()).hasSize(8);

    run.forgetRanks()
        .steps(31, ranked(ranks -> ranks.raise(3, 4)))
        .steps(5, ranked(ranks -> ranks.raise(3, 4)));

    assertThat(run.findings()).isNotEmpty().allMatch(finding -> finding.rank() == 3);
  }

  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void copiesThatDifferAreFoundAtOnce(boolean byHash) {
    UnaryOperator<SimulatedRun.Draft> agree = ranked(DrawnRanks::replicated);
    var run = run(1, 4);
    int layer = run.layer("block5.bias");
    run.steps(3, agree)
        .steps(
            1,
            byHash
                ? step -> agree.apply(step).mismatched("block5.bias")
                : ranked(ranks -> ranks.mismatched(layer, 1e-4, 2)));

    assertThat(run.findings()).hasSize(1);
    Finding finding = run.findings().get(0);
    assertThat(finding.kind()).isEqualTo(REPLICA_MISMATCH);
    assertThat(finding.severity()).isEqualTo(Severity.CRITICAL);
    assertThat(finding.layer()).isEqualTo("block5.bias");
    assertThat(finding.rank()).isEqualTo(byHash ? null : 2);
    assertThat(finding.message())
        .isEqualTo(
            byHash
                ? "The copies of the reduced gradient of block5.bias differ although their norms"
                    + " agree at step 3: the ranks go on with different models."
                : "The copies of the reduced gradient of block5.bias differ by 0.010 % in norm at"
                    + " step 3: rank 2 holds another one than the rest.");
    run.steps(19, agree);
    assertThat(run.verdicts().get(22).active()).containsExactly(REPLICA_MISMATCH);
    run.steps(1, agree);
    assertThat(run.verdicts().get(23).active()).isEmpty();
  }

  @Test
  void copiesThatRanksComputeForThemselvesMayDifferByRounding() {
    MeshAxis[] mesh = {new MeshAxis("dp_replicate", 2), new MeshAxis("tp", 2)};
    var run = run(1, mesh);
    int layer = run.layer("block5.bias");
    run.steps(
        5,
        step ->
            ranked(ranks -> ranks.mismatched(layer, 1e-4, 2))
                .apply(step)
                .mismatched("block5.bias"));
    assertThat(run.findings()).isEmpty();

    run.steps(1, ranked(ranks -> ranks.mismatched(layer, 1e-2, 2)));

    assertThat(run.findings()).extracting(Finding::kind).containsExactly(REPLICA_MISMATCH);
  }

  @Test
  void roundingOfNormsAndLayersThatAreNotFiniteAreNoMismatch() {
    var run = run(1, 4);
    int layer = run.layer("block5.bias");
    run.steps(2, ranked(ranks -> ranks.mismatched(layer, 5e-7, 2)))
        .steps(
            1,
            step ->
                ranked(DrawnRanks::replicated)
                    .apply(step.nan(1, "block5.bias"))
                    .mismatched("block5.bias"));

    assertThat(of(run, REPLICA_MISMATCH)).isEmpty();
  }

  @Test
  void aRankThatIsAlwaysLateIsNamed() {
    for (long seed = 0; seed < SEEDS; seed++) {
      Finding finding =
          found(
              run(seed, 8),
              step -> timed(step, UnaryOperator.identity()),
              step -> timed(step, ranks -> ranks.late(5, 1_500)),
              40);

      assertThat(finding.kind()).isEqualTo(STRAGGLER);
      assertThat(finding.rank()).isEqualTo(5);
      assertThat(finding.severity()).isEqualTo(Severity.WARNING);
      assertThat(finding.onsetStep()).isBetween(101L, 115L);
      assertThat(finding.message())
          .matches(
              "The shards of rank 5 of 8 come [0-9]+ ms after those of most ranks since about step"
                  + " 1[01][0-9]\\.");
    }
  }

  /** Steps of 200 ms, with a hiccup now and then. */
  private SimulatedRun.Draft timed(SimulatedRun.Draft step, UnaryOperator<DrawnRanks> change) {
    long at = 1_700_000_000_000L + 200 * step.number();
    return ranked(
            ranks -> {
              ranks.writtenAt(at);
              if (random.nextInt(20) == 0) {
                ranks.late(random.nextInt(8), 20_000);
              }
              return change.apply(ranks);
            })
        .apply(step);
  }

  @Test
  void whatTrainersHeldBackInAnOutageIsNoStraggler() {
    long start = 1_700_000_000_000L;
    var run = run(1, 4);
    run.steps(
        100, step -> ranked(ranks -> ranks.writtenAt(start + 100 * step.number())).apply(step));
    // After half a minute all of it is written within moments; rank 2 connects a second later.
    long back = start + 100 * 100 + 30_000;
    run.steps(
        225,
        step ->
            ranked(ranks -> ranks.writtenAt(back + step.number() / 4).late(2, 1_000)).apply(step));
    long on = back + 3_000;
    run.steps(100, step -> ranked(ranks -> ranks.writtenAt(on + 100 * step.number())).apply(step));

    assertThat(run.findings()).isEmpty();
  }

  @Test
  void aTrainingThatHasBecomeFasterStillHasItsStragglers() {
    long start = 1_700_000_000_000L;
    var run = run(1, 4);
    run.steps(
        100, step -> ranked(ranks -> ranks.writtenAt(start + 800 * step.number())).apply(step));
    run.steps(
        600,
        step ->
            ranked(ranks -> ranks.writtenAt(start + 80_000 + 100 * step.number()).late(2, 1_000))
                .apply(step));

    assertThat(run.findings()).isNotEmpty().allMatch(finding -> finding.kind() == STRAGGLER);
    assertThat(run.findings()).extracting(Finding::rank).containsOnly(2);
  }

  @Test
  void aLagOfLessThanThreeStepsIsNone() {
    var run = run(1, 8);
    run.steps(
        300,
        step ->
            ranked(
                    ranks ->
                        ranks.writtenAt(1_700_000_000_000L + 5_000 * step.number()).late(5, 9_000))
                .apply(step));

    assertThat(run.findings()).isEmpty();
  }

  @Test
  void aRankThatClipsByAnotherCoefficientIsNamedInTheThirdStep() {
    double[] skips = {0.25, 0.25, 1, 0.25};
    double[] silent = {0.25, Double.NaN, 0.25, 0.25};
    double[] onlyOne = {0.25, Double.NaN, Double.NaN, Double.NaN};

    var run = run(1, 4).steps(3, clipped(skips));
    assertThat(run.findings()).hasSize(1);
    assertThat(run.findings().get(0).kind()).isEqualTo(CONTRACT);
    assertThat(run.findings().get(0).rank()).isEqualTo(2);
    assertThat(run.findings().get(0).message())
        .isEqualTo(
            "Rank 2 multiplies by 1 at step 2 where most ranks multiply the gradient by 0.2500 to clip"
                + " it: their weights drift apart. Clip all of them by one coefficient, from the norm"
                + " over all ranks.");
    assertThat(run(1, 4).steps(3, clipped(silent)).findings())
        .extracting(Finding::rank)
        .containsExactly(1);
    assertThat(run(1, 4).steps(9, clipped(onlyOne)).findings()).isEmpty();
    assertThat(
            run(1, 4)
                .steps(2, clipped(skips))
                .steps(1, clipped(null))
                .steps(2, clipped(skips))
                .findings())
        .isEmpty();
  }

  private static UnaryOperator<SimulatedRun.Draft> clipped(double[] coefficients) {
    return step ->
        ranked(ranks -> coefficients == null ? ranks : ranks.clipCoefs(coefficients))
            .apply(step)
            .clip(new Clip(Clip.GLOBAL_NORM, 1.0, 0.25));
  }

  @Test
  void sixteenThousandRanksTakeLittleState() {
    int ranks = 16_384;
    var run = run(1, ranks).steps(2, step -> step.ranked(0.5, 0.3, UnaryOperator.identity()));
    RankTrends trends = run.trends().lanes().get(0).ranks();

    var divergence = trends.divergence();
    long bytes = 4L * trends.ranks().length;
    for (Object column :
        Arrays.asList(
            divergence.values(),
            divergence.mean(),
            divergence.lately(),
            divergence.directions(),
            divergence.coherence(),
            divergence.coherentLately(),
            divergence.behind(),
            divergence.zeros(),
            divergence.lastFar(),
            trends.straggler().values(),
            trends.straggler().lag(),
            divergence.hold(),
            trends.straggler().hold())) {
      bytes += 4L * java.lang.reflect.Array.getLength(column);
    }
    bytes += 8L * (divergence.since().length + trends.straggler().since().length);
    assertThat(bytes / ranks).isEqualTo(72);
  }
}
