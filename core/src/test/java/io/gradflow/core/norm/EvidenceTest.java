package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** What a step says of its single ranks. */
class EvidenceTest {
  private static final Reporting LOCAL = new Reporting(Stage.LOCAL, null, 1);
  private static final Reporting REDUCED = new Reporting(Stage.REDUCED, null, 1);

  @Test
  void namesTheRankThatIsFarFromTheOthers() {
    TestRun run = TestRun.replicas(4, 1, LOCAL);
    Merging merging = new Merging(run).manifested();
    for (int rank = 0; rank < 4; rank++) {
      float value = rank == 2 ? 64 : 1;
      merging.send(run.aShard().rank(rank).stage(Stage.LOCAL).filledWith(value).build());
    }
    RankEvidence evidence = merging.last().evidence();
    assertThat(evidence.outliersPerLayer()).isEqualTo(8);
    assertThat(evidence.outlierRanks()).containsExactly(2, 0, 1, 3, -1, -1, -1, -1);
    assertThat(evidence.outlierLog2Rms()).startsWith(6, 0, 0, 0).endsWith(Float.NaN);
    assertThat(evidence.histogramOffsets()).containsExactly(0, 2);
    assertThat(evidence.histogramBins()).containsExactly(0, 96);
    assertThat(evidence.histogramCounts()).containsExactly(3, 1);
    assertThat(evidence.ranks()).containsExactly(0, 1, 2, 3);
  }

  @Test
  void namesTheFirstRankWithANonFiniteGradient() {
    TestRun run = TestRun.replicas(4, 2, LOCAL, REDUCED);
    Merging merging = new Merging(run).manifested();
    float[] bad = {Float.NaN, 1, 2, Float.POSITIVE_INFINITY};
    for (int rank = 3; rank >= 0; rank--) {
      merging.send(
          run.aShard()
              .rank(rank)
              .stage(Stage.LOCAL)
              .values(new float[4], rank >= 2 ? bad : new float[4])
              .build());
      merging.send(run.aShard().rank(rank).values(new float[4], bad).build());
    }
    NormColumns norms = merging.last().norms();
    assertThat(norms.l2()).containsExactly(0, Double.NaN);
    assertThat(norms.finiteL2()[1]).isEqualTo((double) (float) Math.sqrt(5));
    assertThat(norms.nonFinite().layers()).containsExactly(1);
    assertThat(norms.nonFinite().nans()).containsExactly(1);
    assertThat(norms.nonFinite().posInfs()).containsExactly(1);
    assertThat(norms.firstNonFiniteRank()).containsExactly(2);
    assertThat(merging.last().globalNorm()).isNaN();
  }

  @Test
  void anAllZeroRankIsAnOutlierAndAllZeroRanksAreNot() {
    TestRun run = TestRun.replicas(3, 2, LOCAL);
    Merging merging = new Merging(run).manifested();
    for (int rank = 0; rank < 3; rank++) {
      float[] layer = rank == 1 ? new float[4] : new float[] {1, 1, 1, 1};
      merging.send(run.aShard().rank(rank).stage(Stage.LOCAL).values(layer, new float[4]).build());
    }
    RankEvidence evidence = merging.last().evidence();
    assertThat(evidence.outlierRanks()).startsWith(1, 0, 2, -1);
    assertThat(evidence.outlierLog2Rms()[0]).isEqualTo(Float.NEGATIVE_INFINITY);
    assertThat(evidence.histogramBins()).containsExactly(Integer.MIN_VALUE, 0, Integer.MIN_VALUE);
  }

  @Test
  void lagCountsFromTheFirstShard() {
    TestRun run = TestRun.replicas(2, 1);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(1).build());
    merging.pass(700);
    merging.send(run.aShard().rank(0).build());
    assertThat(merging.last().evidence().arrivalLagMs()).containsExactly(700, 0);
    assertThat(merging.last().evidence().localNorm()).containsExactly(Double.NaN, Double.NaN);
  }

  @Test
  void placesOfRanksAreKnownByNameInWhateverOrderTheyCome() {
    TestRun run = TestRun.replicas(130, 1);
    List<Integer> ranks = new ArrayList<>(IntStream.range(0, 130).boxed().toList());
    for (int round = 0; round < 5; round++) {
      Merging merging = new Merging(run).manifested();
      for (int rank : ranks) {
        String host = rank == 77 ? null : "node-" + rank / 8;
        merging.send(run.aShard().rank(rank).at(host, "cuda:" + rank % 8).build());
      }
      RankEvidence evidence = merging.last().evidence();
      RankPlaces places = evidence.places();
      assertThat(places.hosts()).hasSize(17).startsWith("node-0", "node-1");
      assertThat(places.devices()).hasSize(8).startsWith("cuda:0", "cuda:1");
      assertThat(places.host(129)).isEqualTo("node-16");
      assertThat(places.device(77)).isEqualTo("cuda:5");
      assertThat(places.host(77)).isNull();
      assertThat(evidence.writtenAt()).isEqualTo(merging.now);
      Collections.shuffle(ranks, new Random(round));
    }
  }

  @Test
  void placesThatNobodyTellsAndThoseThatFitNoStepAreLeftOut() {
    TestRun run = TestRun.replicas(2, 1);
    Merging silent = new Merging(run).manifested();
    silent.send(run.aShard().rank(0).build());
    silent.send(run.aShard().rank(1).build());
    assertThat(silent.last().evidence().places()).isNull();

    int many = 2_000;
    TestRun wide = TestRun.replicas(many, 1);
    Merging merging = new Merging(wide).manifested();
    for (int rank = 0; rank < many; rank++) {
      String device = "device-".repeat(20) + rank;
      String serial = rank + "-" + "0123456789".repeat(9);
      merging.send(wide.aShard().rank(rank).at(device, serial).build());
    }
    RankPlaces places = merging.last().evidence().places();
    assertThat(places.hosts()).as("cut to 64 characters").hasSize(1);
    assertThat(places.host(1_999)).hasSize(64);
    assertThat(places.devices()).as("128 kB of names").isNull();
  }

  @Test
  void weightsAndClipCoefficientsAreToldWhereRanksDiffer() {
    TestRun run = TestRun.replicas(3, 1);
    Merging same = new Merging(run).manifested();
    Merging different = new Merging(run).manifested();
    for (int rank = 0; rank < 3; rank++) {
      Clip clip = new Clip(Clip.GLOBAL_NORM, 1.0, 0.5);
      same.send(run.aShard().rank(rank).weight(8).clip(clip).build());
      different.send(
          run.aShard().rank(rank).weight(8 + rank).clip(rank == 2 ? null : clip).build());
    }
    RankComparison alike = same.last().evidence().comparison();
    assertThat(alike.weight()).isNull();
    assertThat(alike.clipCoef()).isNull();
    RankComparison apart = different.last().evidence().comparison();
    assertThat(apart.weight()).containsExactly(8, 9, 10);
    assertThat(apart.clipCoef()).containsExactly(0.5, 0.5, Double.NaN);
  }

  @Test
  void lossesOfRanksAreToldWhereTheyDiffer() {
    TestRun run = TestRun.replicas(3, 1, LOCAL, REDUCED);
    for (List<Integer> order : List.of(List.of(0, 1, 2), List.of(2, 0, 1), List.of(1, 2, 0))) {
      Merging same = new Merging(run).manifested();
      Merging different = new Merging(run).manifested();
      for (int rank : order) {
        for (Stage stage : Stage.values()) {
          same.send(run.aShard().rank(rank).stage(stage).loss(2).build());
          TestRun.ShardBuilder shard = run.aShard().rank(rank).stage(stage);
          // Rank 1 says it in one stage alone, rank 2 says none that is a number.
          boolean says = rank == 0 || (rank == 1 && stage == Stage.REDUCED);
          different.send(
              (rank == 2 ? shard.loss(Double.NaN) : says ? shard.loss(3 + rank) : shard).build());
        }
      }
      RankComparison alike = same.last().evidence().comparison();
      assertThat(alike.loss()).isNull();
      assertThat(different.last().evidence().comparison().loss()).containsExactly(3, 4, Double.NaN);
    }
  }

  @Test
  void lossesOfLateRanksAreToldInTheRevision() {
    TestRun run = TestRun.replicas(3, 1);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(0).loss(1).build());
    merging.send(run.aShard().rank(1).loss(2).build());
    merging.passBusily(16_000);
    assertThat(merging.last().evidence().comparison().loss()).containsExactly(1, 2);

    merging.send(run.aShard().rank(2).loss(5).build());

    assertThat(merging.last().evidence().comparison().loss()).containsExactly(1, 2, 5);
  }

  @Test
  void partsOfRanksMergeToWhatAllRanksWouldHaveSaid() {
    int ranks = 60;
    TestRun run = TestRun.replicas(ranks, 3, LOCAL);
    Layout layout = Layout.of(run.manifest());
    Random random = new Random(11);
    List<Shard> all = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      float value = (float) Math.exp(random.nextGaussian());
      all.add(run.aShard().rank(rank).stage(Stage.LOCAL).filledWith(value).build());
    }
    LocalSums whole = LocalSums.of(layout, all);
    for (int round = 0; round < 20; round++) {
      List<List<Shard>> pieces = List.of(new ArrayList<>(), new ArrayList<>(), new ArrayList<>());
      all.forEach(shard -> pieces.get(random.nextInt(3)).add(shard));
      List<List<Shard>> order = new ArrayList<>(pieces);
      Collections.shuffle(order, random);
      LocalSums merged = null;
      for (List<Shard> piece : order) {
        merged = LocalSums.merged(merged, LocalSums.of(layout, piece));
      }
      assertThat(merged.extremeRanks()).isEqualTo(whole.extremeRanks());
      assertThat(merged.extremeLog2Rms()).isEqualTo(whole.extremeLog2Rms());
      assertThat(merged.histogramOffsets()).isEqualTo(whole.histogramOffsets());
      assertThat(merged.histogramBins()).isEqualTo(whole.histogramBins());
      assertThat(merged.histogramCounts()).isEqualTo(whole.histogramCounts());
      assertThat(merged.ranks()).isEqualTo(whole.ranks());
    }
  }
}
