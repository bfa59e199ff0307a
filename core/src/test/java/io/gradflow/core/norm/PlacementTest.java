package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.math.BigDecimal;
import java.math.MathContext;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Norms over splits, placements and orders, against float64 over the whole tensor. */
class PlacementTest {
  private static final Placement R = Placement.REPLICATE;
  private static final Placement S = Placement.SHARD;
  private static final Placement P = Placement.PARTIAL;
  private static final int[] SIZES = {1_003, 17, 64, 4_096};

  record Case(String name, List<MeshAxis> mesh, Placement... placement) {
    @Override
    public String toString() {
      return name;
    }
  }

  static List<Case> cases() {
    return List.of(
        new Case("alone", List.of()),
        new Case("DDP", mesh("dp_replicate", 8), R),
        new Case("FSDP", mesh("dp_shard", 8), S),
        new Case("HSDP", mesh("dp_replicate", 3, "dp_shard", 4), R, S),
        new Case("TP under DDP", mesh("dp_replicate", 2, "tp", 4), R, S),
        new Case("TP duplicates under FSDP", mesh("dp_shard", 2, "tp", 4), S, R),
        new Case("TP under FSDP", mesh("dp_shard", 4, "tp", 3), S, S),
        new Case("FSDP over three groups", mesh("dp_shard", 130), S),
        new Case("HSDP over two groups", mesh("dp_replicate", 3, "dp_shard", 30), R, S));
  }

  private static List<MeshAxis> mesh(Object... namesAndSizes) {
    List<MeshAxis> mesh = new ArrayList<>();
    for (int i = 0; i < namesAndSizes.length; i += 2) {
      mesh.add(new MeshAxis((String) namesAndSizes[i], (Integer) namesAndSizes[i + 1]));
    }
    return mesh;
  }

  private static TestRun run(List<MeshAxis> mesh, Placement... placement) {
    List<Layer> layers = new ArrayList<>();
    for (int size : SIZES) {
      layers.add(TestRun.layer("layer" + layers.size(), size, placement));
    }
    return TestRun.of(mesh, List.of(new Reporting(Stage.REDUCED, null, 1)), layers);
  }

  /** The tensors cut as the placement says: pieces as equal as they can be. */
  private static List<Shard> shards(
      TestRun run, float[][] tensors, boolean withElements, Placement... placement) {
    List<Shard> shards = new ArrayList<>();
    for (int rank = 0; rank < run.manifest().worldSize(); rank++) {
      int pieces = 1;
      int piece = 0;
      int[] coords = run.coords(rank);
      for (int axis = 0; axis < placement.length; axis++) {
        if (placement[axis] == S) {
          int size = run.manifest().mesh().get(axis).size();
          pieces *= size;
          piece = piece * size + coords[axis];
        }
      }
      float[][] slices = new float[tensors.length][];
      for (int layer = 0; layer < tensors.length; layer++) {
        int whole = tensors[layer].length;
        int size = whole / pieces;
        int longer = whole % pieces;
        int from = piece * size + Math.min(piece, longer);
        slices[layer] =
            Arrays.copyOfRange(tensors[layer], from, from + size + (piece < longer ? 1 : 0));
      }
      LayerColumns columns = Measurement.of(slices);
      if (!withElements) {
        columns =
            new LayerColumns(
                0,
                null,
                null,
                columns.norm(),
                columns.maxAbs(),
                columns.sumAbs(),
                columns.zeros(),
                columns.nonFinite());
      }
      shards.add(run.aShard().rank(rank).columns(columns).build());
    }
    return shards;
  }

  private static float[][] tensors(Random random) {
    float[][] tensors = new float[SIZES.length][];
    for (int layer = 0; layer < tensors.length; layer++) {
      tensors[layer] = new float[SIZES[layer]];
      double size = Math.exp(random.nextGaussian() * 8);
      for (int i = 0; i < tensors[layer].length; i++) {
        tensors[layer][i] = random.nextInt(5) == 0 ? 0 : (float) (random.nextGaussian() * size);
      }
    }
    return tensors;
  }

  @ParameterizedTest
  @MethodSource("cases")
  void anySplitInAnyOrderEqualsTheFloat64Reference(Case split) {
    Random random = new Random(split.name().length());
    TestRun run = run(split.mesh, split.placement);
    float[][] tensors = tensors(random);
    List<Shard> shards = shards(run, tensors, split.name().length() % 2 == 0, split.placement);
    Step first = null;
    for (int order = 0; order < 20; order++) {
      Collections.shuffle(shards, random);
      Merging merging = new Merging(run).manifested();
      shards.forEach(merging::send);
      assertThat(merging.steps).hasSize(1);
      Step step = merging.last();
      assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
      assertThat(step.completeness()).isEqualTo(1);
      assertThat(step.incompleteLayers()).isNull();
      double global = 0;
      for (int layer = 0; layer < tensors.length; layer++) {
        double squares = 0;
        double sum = 0;
        double max = 0;
        long zeros = 0;
        for (float value : tensors[layer]) {
          squares += (double) value * value;
          sum += Math.abs((double) value);
          max = Math.max(max, Math.abs((double) value));
          zeros += value == 0 ? 1 : 0;
        }
        global += squares;
        close(step.norms().l1()[layer], sum, 1e-6);
        close(step.norms().l2()[layer], Math.sqrt(squares), 1e-6);
        close(step.norms().linf()[layer], max, 1e-6);
        close(step.norms().rms()[layer], Math.sqrt(squares / tensors[layer].length), 1e-6);
        assertThat(step.norms().zeros()[layer]).isEqualTo(zeros);
        if (first != null) {
          close(step.norms().l1()[layer], first.norms().l1()[layer], 1e-15);
          close(step.norms().l2()[layer], first.norms().l2()[layer], 1e-15);
          assertThat(step.norms().linf()[layer]).isEqualTo(first.norms().linf()[layer]);
        }
      }
      close(step.globalNorm(), Math.sqrt(global), 1e-6);
      first = step;
    }
  }

  @Test
  void mergingAddsLessThanTheColumnsCarry() {
    Random random = new Random(3);
    int ranks = 1_000;
    TestRun run =
        TestRun.of(
            List.of(new MeshAxis("dp_shard", ranks)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            List.of(TestRun.layer("wide", ranks, S)));
    Merging merging = new Merging(run).manifested();
    BigDecimal squares = BigDecimal.ZERO;
    BigDecimal sum = BigDecimal.ZERO;
    for (int rank = 0; rank < ranks; rank++) {
      float value = (float) Math.exp(random.nextGaussian() * 6);
      BigDecimal exact = new BigDecimal(value);
      squares = squares.add(exact.multiply(exact));
      sum = sum.add(exact);
      merging.send(run.aShard().rank(rank).values(new float[] {value}).build());
    }
    close(merging.last().norms().l2()[0], squares.sqrt(MathContext.DECIMAL64).doubleValue(), 1e-12);
    close(merging.last().norms().l1()[0], sum.doubleValue(), 1e-12);
  }

  @Test
  void partialYieldsNoNorm() {
    TestRun run =
        TestRun.of(
            List.of(new MeshAxis("dp_shard", 2), new MeshAxis("tp", 2)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            List.of(TestRun.layer("norm", 4, R, P), TestRun.layer("weight", 4, S, S)));
    Merging merging = new Merging(run).manifested();
    for (int rank = 0; rank < 4; rank++) {
      merging.send(
          run.aShard().rank(rank).values(new float[] {1, 1, 1, 1}, new float[] {2}).build());
    }
    assertThat(merging.last().norms().l2()).containsExactly(Double.NaN, 4);
    assertThat(merging.last().norms().finiteL2()[0]).isNaN();
    assertThat(merging.last().incompleteLayers()).isNull();
    assertThat(merging.last().globalNorm()).isNaN();
    assertThat(merging.last().completeness()).isEqualTo(1);
  }

  @Test
  void aTiedLayerCountsOnceInTheGlobalNorm() {
    Layer owner = TestRun.layer("embedding", 4, R);
    Layer tied =
        new Layer(
            "head",
            null,
            null,
            owner.kind(),
            4,
            "float32",
            true,
            false,
            false,
            "embedding",
            List.of(R));
    TestRun run =
        TestRun.of(
            List.of(new MeshAxis("dp_replicate", 2)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            List.of(owner, tied));
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(0).filledWith(3).build());
    merging.send(run.aShard().rank(1).filledWith(3).build());
    assertThat(merging.last().norms().l2()).containsExactly(6, 6);
    assertThat(merging.last().globalNorm()).isEqualTo(6);
  }

  @Test
  void localNormsAreNeverSummedIntoANorm() {
    TestRun run = TestRun.replicas(8, 2, new Reporting(Stage.LOCAL, null, 1));
    Merging merging = new Merging(run).manifested();
    for (int rank = 0; rank < 8; rank++) {
      merging.send(run.aShard().rank(rank).stage(Stage.LOCAL).filledWith(0.5f).build());
    }
    Step step = merging.last();
    assertThat(step.norms().l2()).containsExactly(Double.NaN, Double.NaN);
    assertThat(step.norms().finiteL2()).containsExactly(Double.NaN, Double.NaN);
    assertThat(step.norms().l1()).isNull();
    assertThat(step.globalNorm()).isNaN();
    assertThat(step.incompleteLayers()).isNull();
    assertThat(step.evidence().localSquares()).containsExactly(8, 8);
    assertThat(step.evidence().localRanks()).containsExactly(8, 8);
    assertThat(step.evidence().localNorm()).hasSize(8).containsOnly(Math.sqrt(2));
  }

  @Test
  void anIncompleteReplicaIsALowerBoundAndAnotherStandsIn() {
    TestRun run =
        TestRun.of(
            List.of(new MeshAxis("dp_replicate", 2), new MeshAxis("dp_shard", 2)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            List.of(TestRun.layer("weight", 4, R, S)));
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(0).values(new float[] {3, 4}).build());
    merging.pass(500);
    merging.send(run.aShard().rank(2).values(new float[] {3, 4}).build());
    merging.passBusily(20_000);
    Step bound = merging.last();
    assertThat(bound.closedBy()).isEqualTo(ClosedBy.TIMEOUT);
    assertThat(bound.norms().l2()[0]).isEqualTo(5);
    assertThat(bound.incompleteLayers()).containsExactly(0);
    assertThat(bound.incompleteCompleteness()).containsExactly(0.5);
    assertThat(bound.completeness()).isEqualTo(0.5);
    assertThat(bound.missingRanks()).containsExactly(1, 3);

    merging.send(run.aShard().rank(3).values(new float[] {0, 12}).build());
    Step whole = merging.last();
    assertThat(whole.revision()).isEqualTo(3);
    assertThat(whole.norms().l2()[0]).isCloseTo(13, within(1e-12));
    assertThat(whole.incompleteLayers()).isNull();
    assertThat(whole.missingRanks()).containsExactly(1);
  }

  @Test
  void replicasThatDifferAreMeasured() {
    TestRun run = TestRun.replicas(3, 2);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().rank(2).values(new float[4], new float[] {1, 0, 0, 0}).build());
    merging.send(run.aShard().rank(0).values(new float[4], new float[] {1.5f, 0, 0, 0}).build());
    merging.send(run.aShard().rank(1).values(new float[4], new float[] {1, 0, 0, 0}).build());
    assertThat(merging.last().norms().l2()[1]).isEqualTo(1.5);
    assertThat(merging.last().evidence().replicaSpread()).containsExactly(0, 0.5f);
  }

  @Test
  void lossScaleIsDividedOut() {
    TestRun run = TestRun.replicas(1, 1);
    Merging merging = new Merging(run).manifested();
    merging.send(run.aShard().lossScale(1024).filledWith(2048).build());
    assertThat(merging.last().norms().l2()[0]).isEqualTo(4);
    assertThat(merging.last().norms().l1()[0]).isEqualTo(8);
    assertThat(merging.last().norms().linf()[0]).isEqualTo(2);
    assertThat(merging.last().scalars().lossScale()).isEqualTo(1024);
  }

  private static void close(double actual, double expected, double relative) {
    assertThat(actual).isCloseTo(expected, within(relative * Math.abs(expected)));
  }
}
