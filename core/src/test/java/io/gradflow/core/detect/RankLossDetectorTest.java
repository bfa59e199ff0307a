package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.RANK_DIVERGENCE;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.MeshAxis;
import java.util.Arrays;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What is found of single ranks by the loss of their own batches. */
class RankLossDetectorTest {
  private static final int SEEDS = 20;

  /** Of the loss of a small batch. */
  private static final double NOISE = 0.1;

  /** What a rank's loss is beside that of all and its noise. */
  private interface Extra {
    double of(long step, int rank);
  }

  /** Steps of ranks that learn: from 3 down to 1, as their batches fall out. */
  private static UnaryOperator<SimulatedRun.Draft> learning(Random random, int ranks, Extra extra) {
    return step -> {
      double common = 1 + 2 * Math.exp(-step.number() / 150.0) + 0.02 * random.nextGaussian();
      double[] losses = new double[ranks];
      for (int rank = 0; rank < ranks; rank++) {
        losses[rank] = common + NOISE * random.nextGaussian() + extra.of(step.number(), rank);
      }
      return step.ranked(0.5, 0.3, drawn -> drawn.losses(losses));
    };
  }

  private static SimulatedRun run(long seed, MeshAxis... mesh) {
    return new SimulatedRun(seed, 0.2, SimulatedRun.manifest(UnaryOperator.identity(), mesh));
  }

  private static SimulatedRun run(long seed, int ranks) {
    return run(seed, new MeshAxis("dp_replicate", ranks));
  }

  private static void assertSilent(SimulatedRun run) {
    assertThat(run.findings()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({"2, 0.2", "3, 0.15", "4, 0.15", "8, 0.15", "16, 0.15"})
  void aRankWhoseLossRisesAboveThatOfTheOthersIsNamed(int ranks, double rise) {
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % ranks);
      var run =
          run(seed, ranks)
              .steps(
                  200,
                  learning(
                      new Random(seed),
                      ranks,
                      (step, rank) -> rank == sick && step >= 100 ? rise : 0));

      Finding finding = run.findings().get(0);
      assertThat(finding.kind()).isEqualTo(RANK_DIVERGENCE);
      assertThat(finding.sign()).isEqualTo(Sign.LOSS_ABOVE_THE_OTHERS);
      assertThat(finding.severity()).isEqualTo(Severity.WARNING);
      assertThat(finding.layer()).isNull();
      assertThat(finding.unit()).isEqualTo("of the others' loss");
      assertThat(finding.onsetStep()).isBetween(95L, 160L);
      assertThat(finding.observed()).isBetween(0.03, 0.2);
      assertThat(finding.score()).isGreaterThan(1);
      if (ranks > 2) {
        assertThat(finding.rank()).isEqualTo(sick);
        assertThat(finding.message())
            .matches(
                "The loss of rank %d of %d has risen by 0\\.[0-9]+ \\([0-9.]+ %%\\) against that of its peers since about step 1?[0-9]{2}: look at the data it is fed, labels first\\."
                    .formatted(sick, ranks));
      }
    }
  }

  /** Offsets within the noise are told from chance only in time. */
  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void ranksWhoseDataAreHarderByNatureFindNothing(int ranks) {
    int runs = 0;
    int found = 0;
    for (double spread : new double[] {0.2, 0.5, 1, 2, 5}) {
      for (long seed = 0; seed < SEEDS; seed++) {
        var nature = new Random(seed + 1_000);
        double[] harder = new double[ranks];
        Arrays.setAll(harder, rank -> spread * NOISE * nature.nextGaussian());
        var run =
            run(seed, ranks)
                .steps(400, learning(new Random(seed), ranks, (step, rank) -> harder[rank]));
        runs++;
        found += run.findings().isEmpty() ? 0 : 1;
      }
    }
    assertThat(found).isLessThanOrEqualTo(runs / 50);
  }

  @Test
  void ranksOfSmallBatchesAreNoisier() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var noise = new Random(seed + 1_000);

      assertSilent(
          run(seed, 4)
              .steps(
                  600,
                  learning(
                      new Random(seed),
                      4,
                      (step, rank) -> rank == 2 ? 0.3 * noise.nextGaussian() : 0)));
    }
  }

  @Test
  void ranksWhoseDataComeInStretchesWander() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var stretches = new Random(seed + 1_000);
      double[] at = new double[8];

      // By half the noise of a batch, which is 2 % of the loss, for some 30 steps.
      assertSilent(
          run(seed, 8)
              .steps(
                  1_000,
                  learning(
                      new Random(seed),
                      8,
                      (step, rank) -> {
                        at[rank] = 0.967 * at[rank] + 0.125 * NOISE * stretches.nextGaussian();
                        return 4 + at[rank];
                      })));
    }
  }

  @Test
  void lossesThatFallByOrdersOfMagnitudeFindNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);

      assertSilent(
          run(seed, 4)
              .steps(
                  600,
                  step -> {
                    double level = Math.exp(-step.number() / 40.0);
                    double[] losses = random.doubles(4).map(each -> level * (0.5 + each)).toArray();
                    return step.ranked(0.5, 0.3, ranks -> ranks.losses(losses));
                  }));
    }
  }

  @Test
  void lossesThatDifferByTheirRoundingFindNothing() {
    var random = new Random(7);

    assertSilent(
        run(1, 4)
            .steps(
                300,
                step ->
                    step.ranked(
                        0.5, 0.3, ranks -> ranks.losses(2, 2, 2 + 1e-12 * random.nextInt(3), 2))));
  }

  @Test
  void whatManyRanksShareIsNoneOfSingleRanks() {
    for (long seed = 0; seed < SEEDS; seed++) {
      assertSilent(
          run(seed, 8)
              .steps(
                  400,
                  learning(
                      new Random(seed), 8, (step, rank) -> rank < 3 && step >= 100 ? 0.3 : 0)));
    }
  }

  @Test
  void aCosineThatFallsWithItBearsWitness() {
    int[] found = new int[2];
    for (long seed = 0; seed < SEEDS; seed++) {
      for (int turned = 0; turned < 2; turned++) {
        var random = new Random(seed);
        double turn = turned == 0 ? 0 : -0.08;
        UnaryOperator<SimulatedRun.Draft> losses =
            learning(new Random(seed), 8, (step, rank) -> rank == 5 && step >= 100 ? 0.07 : 0);
        var run =
            run(seed, 8)
                .steps(
                    160,
                    step ->
                        losses
                            .apply(step)
                            .ranks(
                                ranks ->
                                    ranks
                                        .coherent(random, 0.4, 0.1)
                                        .turned(5, step.number() >= 100 ? turn : 0)));
        found[turned] += run.findings().isEmpty() ? 0 : 1;
        assertThat(run.findings())
            .allMatch(finding -> finding.rank() == 5)
            .allMatch(finding -> finding.sign() == Sign.LOSS_ABOVE_THE_OTHERS);
      }
    }
    assertThat(found[0]).isLessThan(SEEDS / 2);
    assertThat(found[1]).isGreaterThan(SEEDS / 2 + found[0]);
  }

  @Test
  void ofTwoTheOneThatHasRisenIsNamedAndOfOneThatHasFallenNeither() {
    for (long seed = 0; seed < SEEDS; seed++) {
      int sick = (int) (seed % 2);
      Finding risen =
          run(seed, 2)
              .steps(400, flat(seed, (step, rank) -> rank == sick && step >= 300 ? 0.3 : 0))
              .findings()
              .get(0);
      Finding fallen =
          run(seed, 2)
              .steps(400, flat(seed, (step, rank) -> rank == sick && step >= 300 ? -0.3 : 0))
              .findings()
              .get(0);

      assertThat(risen.rank()).isEqualTo(sick);
      assertThat(risen.message())
          .contains("against that of rank %d since".formatted(1 - sick))
          .endsWith("look at the data it is fed, labels first.");
      assertThat(fallen.rank()).isNull();
      assertThat(fallen.sign()).isEqualTo(Sign.LOSS_ABOVE_THE_OTHERS);
      assertThat(fallen.message())
          .startsWith("The loss of rank %d of 2 has risen by".formatted(1 - sick))
          .endsWith("look at the data both are fed, labels first.");
    }
  }

  private static UnaryOperator<SimulatedRun.Draft> flat(long seed, Extra extra) {
    var random = new Random(seed);
    return step -> {
      double[] losses = new double[2];
      Arrays.setAll(
          losses, rank -> 2 + NOISE * random.nextGaussian() + extra.of(step.number(), rank));
      return step.ranked(0.5, 0.3, ranks -> ranks.losses(losses));
    };
  }

  @Test
  void batchesOfAnotherWeightAreSaid() {
    var losses = learning(new Random(3), 4, (step, rank) -> rank == 2 && step >= 100 ? 0.4 : 0);
    var run =
        run(3, 4)
            .steps(160, step -> losses.apply(step).ranks(ranks -> ranks.weights(32, 32, 8, 32)));

    assertThat(run.findings().get(0).rank()).isEqualTo(2);
    assertThat(run.findings().get(0).message())
        .contains(", in batches of 0.25 times the weight: look at");
  }

  @Test
  void tensorParallelRanksAreComparedWithThoseOfOtherBatches() {
    // Ranks 2 i and 2 i + 1 train on one batch and say one loss.
    MeshAxis[] mesh = {new MeshAxis("dp_replicate", 4), new MeshAxis("tp", 2)};
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var run =
          run(seed, mesh)
              .steps(
                  170,
                  step -> {
                    double[] losses = new double[8];
                    for (int rank = 0; rank < 8; rank++) {
                      double sick = rank / 2 == 3 && step.number() >= 100 ? 0.15 : 0;
                      losses[rank] =
                          rank % 2 == 1
                              ? losses[rank - 1]
                              : 2 + NOISE * random.nextGaussian() + sick;
                    }
                    return step.ranked(0.5, 0.3, ranks -> ranks.losses(losses));
                  });

      assertThat(run.findings()).isNotEmpty().allMatch(finding -> finding.rank() / 2 == 3);
    }
  }

  @Test
  void stepsThatAreNoMeasurementAndRanksThatSayNothingChangeNothing() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var sick = learning(new Random(seed), 4, (step, rank) -> rank == 1 && step >= 100 ? 0.3 : 0);
      double[] wild = {1, 50, Double.NaN, 2};
      var run =
          run(seed, 4)
              .steps(60, sick)
              .steps(3, step -> sick.apply(step).ranks(ranks -> ranks.losses(wild)).skipped())
              .steps(2, step -> sick.apply(step).ranks(ranks -> ranks.losses(wild)).missing(1))
              .steps(3, step -> step.ranked(0.5, 0.3, UnaryOperator.identity()))
              .steps(2, step -> sick.apply(step).ranks(ranks -> ranks.losses(1, Double.NaN, 1, 2)))
              .steps(
                  2,
                  step ->
                      sick.apply(step)
                          .ranks(ranks -> ranks.losses(1, 1, 1, Double.POSITIVE_INFINITY)))
              .steps(28, sick);
      assertSilent(run);

      run.steps(40, sick);
      assertThat(run.findings().get(0).rank()).isEqualTo(1);
      assertThat(run.findings().get(0).onsetStep()).isBetween(95L, 115L);
    }
  }

  @Test
  void itIsOverOnceTheLossIsLikeTheOthersAgain() {
    var run =
        run(1, 4)
            .steps(
                500,
                learning(
                    new Random(1),
                    4,
                    (step, rank) -> rank == 3 && step >= 100 && step < 150 ? 0.3 : 0));

    assertThat(run.verdicts().get(150).active()).contains(RANK_DIVERGENCE);
    assertThat(run.verdicts().get(499).active()).isEmpty();
    assertThat(run.alerts()).extracting(alert -> alert.state().name()).endsWith("RESOLVED");
  }

  @Test
  void aStateThatKnowsNoLossesStartsAfresh() {
    var sick = learning(new Random(2), 4, (step, rank) -> rank == 3 && step >= 160 ? 0.3 : 0);
    var run = run(2, 4).steps(100, sick);
    assertThat(run.trends().lanes().get(0).ranks().losses().level()).hasSize(4);

    run.forgetRankLosses().steps(100, sick);

    assertThat(run.findings()).isNotEmpty().allMatch(finding -> finding.rank() == 3);
  }

  @Test
  void aRankThatComesLaterHasRowsOfItsOwn() {
    var losses = learning(new Random(2), 4, (step, rank) -> rank == 0 && step >= 100 ? 0.3 : 0);
    var run =
        run(2, 4)
            .steps(50, step -> losses.apply(step).ranks(ranks -> ranks.absent(0)).missing(0))
            .steps(100, losses);

    assertThat(run.findings())
        .filteredOn(finding -> finding.kind() == RANK_DIVERGENCE)
        .isNotEmpty()
        .allMatch(finding -> finding.rank() == 0);
  }

  @Test
  void withoutLossesOfRanksNothingIsRemembered() {
    var run = run(1, 4).steps(50, step -> step.ranked(0.5, 0.3, UnaryOperator.identity()));

    assertThat(run.trends().lanes().get(0).ranks().losses()).isNull();
  }
}
