package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Rejection;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Blocks of raw values: slices of layers, several of a layer from one rank. */
class RawSlicesTest {
  private static final Reporting LOCAL = new Reporting(Stage.LOCAL, null, 1);
  private static final Reporting REDUCED = new Reporting(Stage.REDUCED, null, 1);

  private static TestRun sharded(int ranks, long elements) {
    return TestRun.of(
        List.of(new MeshAxis("dp_shard", ranks)),
        List.of(REDUCED),
        List.of(TestRun.layer("w", elements, Placement.SHARD)));
  }

  @Test
  void slicesOfOneRankAddUpToItsSliceAndThoseOfRanksToTheLayer() {
    TestRun run = sharded(2, 5);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(1).part(0, 2).block(0, 0, 12));
    merging.send(run.aShard().rank(0).part(1, 2).block(0, 1, 0, 4));
    merging.send(run.aShard().rank(1).part(1, 2).block(0, 1, 0));
    assertThat(merging.steps).isEmpty();
    merging.send(run.aShard().rank(0).part(0, 2).block(0, 0, -3));

    Step step = merging.last();
    assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
    assertThat(step.incompleteLayers()).isNull();
    assertThat(step.norms().l1()).containsExactly(19);
    assertThat(step.norms().l2()).containsExactly(13);
    assertThat(step.norms().linf()).containsExactly(12);
    assertThat(step.norms().rms()).containsExactly(Math.sqrt(169.0 / 5));
    assertThat(step.norms().zeros()).containsExactly(2);
  }

  @Test
  void copiesOfALayerInSlicesCountOnceAndAreCompared() {
    TestRun run = TestRun.replicas(3, 2);
    Merging merging = new Merging(run).manifested();
    for (int rank = 0; rank < 3; rank++) {
      float last = rank == 2 ? 4 : 1;
      merging.send(run.aShard().rank(rank).part(0, 3).block(0, 0, 1, 1, 1));
      merging.send(run.aShard().rank(rank).part(1, 3).block(0, 3, last));
      merging.send(run.aShard().rank(rank).part(2, 3).block(1, 0, 1, 1, 1, 1));
    }
    assertThat(merging.last().norms().l2()).containsExactly(2, 2);
    assertThat(merging.last().evidence().replicaSpread())
        .containsExactly((float) (Math.sqrt(19.0 / 4) - 1), 0);
  }

  @Test
  void nothingIsKeptOfReplicasThatAreComplete() {
    TestRun run = TestRun.replicas(3, 2);
    List<HeldShard> held = new ArrayList<>();
    for (int rank = 0; rank < 3; rank++) {
      held.add(new HeldShard(0, run.aShard().rank(rank).part(0, 3).block(0, 0, Float.NaN, 1)));
      held.add(new HeldShard(0, run.aShard().rank(rank).part(1, 3).block(0, 2, 1, 1)));
      held.add(new HeldShard(0, run.aShard().rank(rank).part(2, 3).block(1, 0, 1, 1, 1, 1)));
    }
    ReducedSums reduced = StepSums.of(Layout.of(run.manifest()), held, 0, 0).reduced();
    assertThat(reduced.copies()).containsExactly(3, 3);
    assertThat(reduced.partial()).isEmpty();
  }

  @Test
  void aLayerOfARankIsOneNormAmongRanksHoweverItIsCut() {
    int ranks = 12;
    TestRun run = TestRun.replicas(ranks, 1, LOCAL);
    Merging whole = new Merging(run).manifested();
    Merging cut = new Merging(run).manifested();
    List<Shard> blocks = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      float value = rank == 7 ? 64 : rank == 3 ? 0 : 1 + rank % 4;
      var shard = run.aShard().rank(rank).stage(Stage.LOCAL);
      whole.send(shard.filledWith(value).build());
      blocks.add(shard.part(0, 3).block(0, 0, value));
      blocks.add(shard.part(1, 3).block(0, 1));
      blocks.add(shard.part(2, 3).block(0, 1, value, value, value));
    }
    Collections.shuffle(blocks, new Random(3));
    blocks.forEach(cut::send);

    assertThat(cut.last().evidence().outlierRanks()).startsWith(3, 7);
    assertThat(cut.last().evidence().localRanks()).containsExactly(ranks);
    assertThat(cut.last().evidence()).usingRecursiveComparison().isEqualTo(whole.last().evidence());
  }

  @Test
  void aRankIsNotComparedByHalfALayer() {
    TestRun run = TestRun.replicas(3, 2, LOCAL);
    Merging merging = new Merging(run).manifested();
    for (int rank = 0; rank < 2; rank++) {
      merging.send(run.aShard().rank(rank).stage(Stage.LOCAL).build());
    }
    var last = run.aShard().rank(2).stage(Stage.LOCAL);
    merging.send(last.part(0, 3).block(0, 0, 8, 8, 8, 8));
    merging.send(last.part(1, 3).block(1, 0, Float.NaN, 8));
    merging.passBusily(11_000);

    RankEvidence half = merging.last().evidence();
    assertThat(merging.last().missingRanks()).containsExactly(2);
    assertThat(half.localRanks()).containsExactly(3, 2);
    assertThat(half.localSquares()).containsExactly(4 + 4 + 256, 4 + 4);
    merging.send(last.part(2, 3).block(1, 2, 8, 8));
    RankEvidence revised = merging.last().evidence();
    assertThat(merging.last().missingRanks()).isEmpty();
    assertThat(revised.localRanks()).containsExactly(3, 2);
    assertThat(revised.histogramCounts()).isEqualTo(half.histogramCounts());
    assertThat(revised.localNorm()[2]).isEqualTo(Math.sqrt(256 + 64 + 128));
  }

  @Test
  void aLateSliceCompletesTheNormInARevision() {
    TestRun run = sharded(2, 4);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(0).part(0, 2).block(0, 0, 3));
    merging.send(run.aShard().rank(1).block(0, 0, 0, 0));
    merging.passBusily(11_000);
    assertThat(merging.last().incompleteCompleteness()).containsExactly(0.75);
    assertThat(merging.last().norms().l2()).containsExactly(3);

    merging.send(run.aShard().rank(0).part(1, 2).block(0, 1, 4));
    assertThat(merging.last().revision()).isEqualTo(3);
    assertThat(merging.last().incompleteLayers()).isNull();
    assertThat(merging.last().norms().l2()).containsExactly(5);
  }

  @Test
  void theSameSliceAgainIsADuplicateAndAnotherUnderItsIdentityAConflict() {
    TestRun run = sharded(1, 8);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().part(0, 2).block(0, 0, 1, 2));
    merging.send(run.aShard().part(0, 2).block(0, 0, 1, 2));
    merging.send(run.aShard().part(0, 2).block(0, 2, 1, 2));
    merging.send(run.aShard().part(0, 2).block(0, 0, 1, Math.nextUp(2f)));
    merging.send(run.aShard().part(1, 2).block(0, 2, 2, 4, 4, 4, 4, 4));

    assertThat(merging.fate(ShardFate.DUPLICATE)).isEqualTo(1);
    assertThat(merging.fate(ShardFate.CONFLICT)).isEqualTo(2);
    assertThat(merging.last().conflictingRanks()).containsExactly(0);
    assertThat(merging.last().norms().l2()).containsExactly(Math.sqrt(1 + 4 + 4 + 5 * 16));
  }

  @Test
  void aSliceBeyondItsLayerIsRefused() {
    TestRun run = sharded(1, 4);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().part(0, 2).block(0, 3, 1, 1));
    merging.send(run.aShard().part(0, 2).block(0, Long.MAX_VALUE, 1));
    merging.send(run.aShard().part(0, 2).block(1, 0, 1));
    assertThat(merging.rejections).extracting(Rejection::reason).containsOnly("bad-shard");
    assertThat(merging.rejections)
        .extracting(Rejection::detail)
        .satisfiesExactly(
            detail ->
                assertThat(detail)
                    .contains("expected a slice within the 4 elements of layer 0, got 2 from 3 on"),
            detail -> assertThat(detail).contains("got 1 from 9223372036854775807 on"),
            detail -> assertThat(detail).contains("expected layers below 1, got 1 and 1 more"));
  }

  @Test
  void lossScalesAreDividedOutInFullPrecision() {
    TestRun run = sharded(1, 2);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().lossScale(3).block(0, 0, 1, 1));
    assertThat(merging.last().norms().l2()[0])
        .isCloseTo(Math.sqrt(2) / 3, org.assertj.core.data.Offset.offset(1e-16));
  }
}
