package io.gradflow.core.detect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import io.gradflow.core.norm.Merging;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.TestRun;
import io.gradflow.core.norm.TestRun.ShardBuilder;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.List;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What a trainer declares against what its shards yield, through combining and assembling. */
class ContractDetectorTest {
  private static final double NORM = Math.sqrt(8);

  /** Four replicas of two layers of four elements; REDUCED gradients of ones unless said else. */
  private final TestRun replicas = TestRun.replicas(4, 2);

  private TestRun run = replicas;
  private Merging merging = new Merging(replicas).manifested();
  private RunTrends trends;
  private long next;

  private ContractDetectorTest of(TestRun other) {
    run = other;
    merging = new Merging(other).manifested();
    return this;
  }

  /** All ranks send a shard of each stage, changed; what is found of the step. */
  private List<Finding> step(UnaryOperator<ShardBuilder> change) {
    for (Reporting reporting : run.manifest().reporting()) {
      for (int rank = 0; rank < run.manifest().worldSize(); rank++) {
        ShardBuilder shard = run.aShard().step(next).rank(rank).stage(reporting.stage());
        merging.send(change.apply(shard).build());
      }
    }
    next++;
    var judgement =
        RunDetector.judge(
            DetectionPolicy.DEFAULT, LayerTable.of(run.manifest()), trends, merging.last());
    trends = judgement.state();
    return judgement.findings().orElseThrow().findings().stream()
        .filter(finding -> finding.kind() == FindingKind.CONTRACT)
        .toList();
  }

  private Finding third(UnaryOperator<ShardBuilder> change) {
    assertThat(step(change)).isEmpty();
    assertThat(step(change)).isEmpty();
    List<Finding> found = step(change);
    assertThat(found).hasSize(1);
    return found.get(0);
  }

  @Test
  void aWrongNormIsSaidInTheThirdStepInARow() {
    UnaryOperator<ShardBuilder> wrong = shard -> shard.lossScale(1024).reported(NORM);
    assertThat(step(wrong)).isEmpty();
    assertThat(step(shard -> shard.reported(NORM * (1 + 9e-4)))).isEmpty();
    assertThat(step(wrong)).isEmpty();
    assertThat(step(wrong)).isEmpty();
    assertThat(step(shard -> shard.filledWith(Float.NaN).reported(7.0))).isEmpty();
    assertThat(step(shard -> shard)).isEmpty();

    Finding finding = step(wrong).get(0);
    assertThat(finding.severity()).isEqualTo(Severity.WARNING);
    assertThat(finding.onsetStep()).isEqualTo(2);
    assertThat(finding.rank()).isNull();
    assertThat(finding.observed()).isEqualTo(NORM);
    assertThat(finding.threshold()).isEqualTo(NORM / 1024);
    assertThat(finding.message())
        .isEqualTo(
            "The trainer reports a global gradient norm of 2.828 at step 6 where its shards yield"
                + " 0.002762: it is still multiplied by the loss scale of 1024. Take it after"
                + " unscaling.");
    assertThat(step(shard -> shard.reported(NORM))).isEmpty();
    assertThat(trends.lanes().get(0).contract().norm()).isNull();
  }

  @Test
  void theRankThatAloneIsWrongIsNamed() {
    int[] sent = new int[1];
    Finding finding = third(shard -> shard.reported(sent[0]++ % 4 == 2 ? NORM / 3 : NORM));
    assertThat(finding.rank()).isEqualTo(2);
    assertThat(finding.message())
        .isEqualTo(
            "Rank 2 reports a global gradient norm of 0.9428 at step 2 where its shards yield"
                + " 2.828: it is 1/3 of that, as if 3 micro-batches were averaged twice. Divide by"
                + " the number of micro-batches once.");
  }

  @Test
  void ranksThatDifferAreSaidEvenWithoutANormToCompare() {
    of(
        TestRun.of(
            List.of(new MeshAxis("dp_shard", 2), new MeshAxis("tp", 2)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            List.of(TestRun.layer("w", 4, Placement.SHARD, Placement.PARTIAL))));
    int[] sent = new int[1];
    Finding finding =
        third(shard -> shard.values(new float[] {1, 1}).reported(1.0 + sent[0]++ % 4));
    assertThat(finding.rank()).isEqualTo(3);
    assertThat(finding.message())
        .isEqualTo(
            "Ranks report different global gradient norms at step 2, from 1 to 4 by rank 3:"
                + " no known mistake fits. Check over which parameters, ranks and micro-batches it"
                + " is taken.");
    assertThat(step(shard -> shard.values(new float[] {1, 1}).reported(1.0))).isEmpty();
  }

  /** Of layers (6, 8) and (12, 0, 5), with norms 10 and 13, on two workers that hold the same. */
  static List<Arguments> mistakes() {
    double norm = Math.sqrt(100 + 169);
    return List.of(
        arguments(23.0, "it is the sum of the layers' norms"),
        arguments(31.0, "it is the L1 norm"),
        arguments(12.0, "it is the largest magnitude"),
        arguments(269.0, "it is the square of the norm"),
        arguments(norm * 2, "it is that of the sum over the 2 data-parallel workers"),
        arguments(norm / 2, "it is divided by the 2 data-parallel workers once too often"),
        arguments(norm * Math.sqrt(2), "its squares are added up over dp_replicate, where layers"),
        arguments(norm * 5, "as if 5 micro-batches were added up and not averaged"),
        arguments(norm / 65_536, "a loss scale of 65536 that no shard declares"),
        arguments(16.375, "rounded to the 8 significant bits of a bfloat16"),
        arguments(12.5, "no more bits than a bfloat16"),
        arguments(Double.POSITIVE_INFINITY, "its squares have overflowed. Take"),
        arguments(0.0, "its squares have vanished"),
        arguments(15.1234, "no known mistake fits"));
  }

  @ParameterizedTest
  @MethodSource("mistakes")
  void theMistakeIsNamed(double reported, String words) {
    Layer first = TestRun.layer("first", 2, Placement.REPLICATE);
    Layer second = TestRun.layer("second", 3, Placement.REPLICATE);
    of(
        TestRun.of(
            List.of(new MeshAxis("dp_replicate", 2)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            List.of(first, second)));
    Finding finding =
        third(
            shard -> shard.values(new float[] {6, -8}, new float[] {12, 0, 5}).reported(reported));
    assertThat(finding.message()).contains("yield 16.40: ").contains(words);
  }

  @Test
  void anOverflowInHalfPrecisionIsToldByItsSize() {
    Finding finding = third(shard -> shard.filledWith(100).reported(Double.POSITIVE_INFINITY));
    assertThat(finding.message()).contains("overflowed, as they do in float16.");
  }

  @Test
  void aGradientAboveItsClipIsSaid() {
    Clip clip = new Clip(Clip.GLOBAL_NORM, 1.0, 0.5);
    Finding finding = third(shard -> shard.clip(clip));
    assertThat(finding.observed()).isEqualTo(NORM / 2);
    assertThat(finding.threshold()).isEqualTo(1);
    assertThat(finding.message())
        .isEqualTo(
            "The gradient still has a norm of 1.414 after it was clipped to 1 at step 2: the"
                + " clip is computed from another norm or applied to other parameters. Clip all of"
                + " them by one coefficient, from the norm over all ranks.");
    Clip right = new Clip(Clip.GLOBAL_NORM, 1.0, 1 / (NORM + 1e-6));
    assertThat(step(shard -> shard.clip(right))).isEmpty();
    assertThat(trends.lanes().get(0).contract().clip()).isNull();
  }

  @Test
  void clippedValuesAreJudgedAsTheyWereBeforeClipping() {
    Clip applied = new Clip(Clip.GLOBAL_NORM, NORM, 0.25, true);
    for (int i = 0; i < 4; i++) {
      assertThat(step(shard -> shard.clip(applied).reported(4 * NORM))).isEmpty();
    }
    Clip hiding = new Clip("value", 0.5, null, true);
    for (int i = 0; i < 4; i++) {
      assertThat(step(shard -> shard.clip(hiding).reported(4 * NORM))).isEmpty();
    }
  }

  @Test
  void aLayerThatIsNotUpdatedIsNamed() {
    LayerColumns columns =
        Measurement.of(new float[] {1, 1, 1, 1}, new float[] {1, 1, 1, 1})
            .with(
                new SignalColumns(
                    null,
                    null,
                    null,
                    null,
                    new float[] {0.5f, 0},
                    null,
                    null,
                    null,
                    null,
                    null,
                    null,
                    null));
    for (int i = 0; i < 4; i++) {
      assertThat(step(shard -> shard.columns(columns).learningRates(0.1, 0))).isEmpty();
    }
    Finding finding = third(shard -> shard.columns(columns).learningRates(0.1, 0.2));
    assertThat(finding.layer()).isEqualTo("layer1");
    assertThat(finding.message())
        .startsWith("The optimiser leaves layer1 as they are at step 6 although they have");
  }

  @Test
  void aReducedGradientLargerThanEveryWorkersIsNoMean() {
    of(
        TestRun.replicas(
            4, 2, new Reporting(Stage.REDUCED, null, 1), new Reporting(Stage.LOCAL, null, 1)));
    int[] sent = new int[1];
    Finding finding = third(shard -> shard.filledWith(sent[0]++ % 8 < 4 ? 2 : 0.5f));
    assertThat(finding.observed()).isEqualTo(2 * NORM);
    assertThat(finding.threshold()).isEqualTo(NORM / 2);
    assertThat(finding.message())
        .startsWith(
            "The reduced gradient has a norm of 5.657 at step 2 where no worker's exceeds 1.414:");
    assertThat(step(shard -> shard)).isEmpty();
  }

  @Test
  void aPipelineIsJudgedOnceAllItsStagesAreIn() {
    List<MeshAxis> mesh = List.of(new MeshAxis("pp", 2));
    List<TestRun> stages =
        List.of(
            TestRun.of(
                mesh,
                List.of(new Reporting(Stage.REDUCED, new int[] {0}, 1)),
                List.of(TestRun.layer("first", 1, Placement.REPLICATE))),
            TestRun.of(
                mesh,
                List.of(new Reporting(Stage.REDUCED, new int[] {1}, 1)),
                List.of(TestRun.layer("last", 1, Placement.REPLICATE))));
    Merging both = new Merging(stages.get(0)).manifested().manifested(stages.get(1).manifest());
    List<String> said = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      double reported = i < 4 ? 5 : i == 4 ? 3 : 4;
      for (int stage = 0; stage < 2; stage++) {
        both.send(
            stages
                .get(stage)
                .aShard()
                .step(i)
                .rank(stage)
                .values(new float[] {3 + stage})
                .reported(reported)
                .build());
        Step step = both.last();
        var judgement =
            RunDetector.judge(
                DetectionPolicy.DEFAULT, LayerTable.of(stages.get(stage).manifest()), trends, step);
        trends = judgement.state();
        judgement.findings().orElseThrow().findings().forEach(f -> said.add(f.message()));
      }
    }
    assertThat(said)
        .containsExactly(
            "The trainer reports a global gradient norm of 4 at step 6 where its shards yield"
                + " 5: it is that of one pipeline stage alone. Reduce it over pp.",
            "The trainer reports a global gradient norm of 4 at step 7 where its shards yield"
                + " 5: it is that of one pipeline stage alone. Reduce it over pp.");
  }
}
