package io.gradflow.dashboard.live;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import java.util.List;
import org.junit.jupiter.api.Test;

/** Stages of a pipeline, each with a manifest and steps of its own, are one model. */
class StagesTest {
  private static final short FIVE = 5 * 128;
  private static final short SIX = 6 * 128;
  private static final short NONE = Cells.NOT_RECEIVED;

  private final LiveRuns live = new LiveRuns(1 << 20);
  private long next;

  StagesTest() {
    live.begin(TestSteps.read(1, 0, -1));
  }

  private void read(Runnable what) {
    live.read(what, TestSteps.read(1, 0, next));
  }

  private void manifest(Manifest manifest) {
    read(() -> live.manifest(manifest, TestSteps.at(next++)));
  }

  private void step(Step step) {
    read(() -> live.step(step, TestSteps.at(next++)));
  }

  private StepRow row(long step) {
    return live.look(TestSteps.RUN, stream -> stream.window().at(step)).orElse(null);
  }

  private Stages stages() {
    return live.look(TestSteps.RUN, LiveStream::stages).orElseThrow();
  }

  @Test
  void layersAreInTheOrderOfTheLowestRankWhoeverComesFirst() {
    manifest(TestSteps.manifest(1, 1));
    manifest(TestSteps.manifest(0, 1));
    step(TestSteps.ofStage(1, 1, 0, 6));
    assertThat(row(0).cells()).containsExactly(NONE, NONE, SIX, SIX);
    assertThat(row(0).globalNorm()).as("a stage is missing").isNaN();
    Position before = live.current(TestSteps.RUN);
    step(TestSteps.ofStage(0, 1, 0, 5));
    assertThat(row(0).cells()).containsExactly(FIVE, FIVE, SIX, SIX);
    assertThat(row(0).globalNorm()).isEqualTo(Math.sqrt(2));
    assertThat(live.since(TestSteps.RUN, before, 9).changes())
        .extracting(Change.Told::change)
        .containsExactly(new Change.Stepped(row(0)));
  }

  @Test
  void eachStageHasItsOwnRevisions() {
    for (int stage = 0; stage < 4; stage++) {
      manifest(TestSteps.manifest(stage, 1));
    }
    for (int stage = 0; stage < 4; stage++) {
      step(TestSteps.ofStage(stage, 1, 0, 5));
    }
    step(TestSteps.ofStage(2, 1, 0, 6));
    step(TestSteps.ofStage(3, 1, 0, 5));
    step(TestSteps.ofStage(2, 1, 0, 5));
    assertThat(row(0).cells()).containsExactly(FIVE, FIVE, FIVE, FIVE, SIX, SIX, FIVE, FIVE);
    assertThat(row(0).apart()).extracting(StepRow.Stage::firstLayer).containsExactly(0, 2, 4, 6);
    assertThat(row(0).apart().get(2).row().revision()).isEqualTo(6);
  }

  @Test
  void aStageThatAppearsLaterGetsItsPlaceAmongWhatIsKept() {
    manifest(TestSteps.manifest(1, 1));
    step(TestSteps.ofStage(1, 1, 0, 6));
    assertThat(row(0).cells()).containsExactly(SIX, SIX);
    assertThat(row(0).apart()).extracting(StepRow.Stage::row).containsExactly(row(0));
    Position before = live.current(TestSteps.RUN);
    manifest(TestSteps.manifest(0, 1));
    assertThat(row(0).cells()).containsExactly(NONE, NONE, SIX, SIX);
    step(TestSteps.ofStage(0, 1, 0, 5));
    assertThat(live.since(TestSteps.RUN, before, 9).changes())
        .extracting(Change.Told::change)
        .containsExactly(new Change.Described(stages().id()), new Change.Stepped(row(0)));
    assertThat(live.bytes())
        .isEqualTo(live.look(TestSteps.RUN, stream -> stream.window().bytes()).orElseThrow());
  }

  @Test
  void aNewAttemptOfTheSameStagesGoesOnBeforeAllHavePublishedAgain() {
    manifest(TestSteps.manifest(0, 1));
    manifest(TestSteps.manifest(1, 1));
    step(TestSteps.ofStage(0, 1, 0, 5));
    step(TestSteps.ofStage(1, 1, 0, 5));
    step(TestSteps.ofStage(0, 1, 1, 5));
    long id = stages().id();
    manifest(TestSteps.manifest(1, 2));
    step(TestSteps.ofStage(1, 2, 1, 6));
    step(TestSteps.ofStage(0, 1, 2, 5));
    assertThat(stages().id()).isEqualTo(id);
    assertThat(row(1).cells()).containsExactly(NONE, NONE, SIX, SIX);
    assertThat(row(2)).as("of an attempt that is void from there on").isNull();
  }

  @Test
  void aManifestIsWhereItWasPublishedLast() {
    step(TestSteps.ofStage(0, 1, 0, 5));
    assertThat(stages().places()).as("not read yet").isEmpty();
    manifest(TestSteps.manifest(0, 1));
    manifest(TestSteps.manifest(1, 1));
    manifest(TestSteps.manifest(0, 2));
    assertThat(stages().places()).extracting(place -> place.offsets()[0]).containsExactly(3L, 2L);
    assertThat(row(0).cells()).containsExactly(FIVE, FIVE, NONE, NONE);
  }

  @Test
  void aModelThatIsCutOtherwiseBeginsAgain() {
    manifest(TestSteps.manifest(0, 1));
    manifest(TestSteps.manifest(1, 1));
    step(TestSteps.ofStage(0, 1, 0, 5));
    step(TestSteps.ofStage(1, 1, 0, 5));
    Position before = live.current(TestSteps.RUN);
    manifest(TestSteps.manifest(102, 2, "whole", 0, 1, 2, 3));
    step(TestSteps.ofStage(2, 2, 1, 6));
    assertThat(row(0)).isNull();
    assertThat(row(1).cells()).containsExactly(SIX, SIX);
    assertThat(live.since(TestSteps.RUN, before, 9).changes())
        .extracting(Change.Told::change)
        .containsExactly(new Change.Reset());
    assertThat(stages().places()).hasSize(1);
  }

  @Test
  void manifestsThatShareRanksOrDoNotSayThemAreModelsOfTheirOwn() {
    manifest(TestSteps.manifest(100, 1, "one"));
    manifest(TestSteps.manifest(101, 1, "other", 2, 3));
    manifest(TestSteps.manifest(102, 1, "third", 3, 4));
    step(TestSteps.ofStage(1, 1, 0, 6));
    assertThat(row(0).cells()).containsExactly(SIX, SIX);
    step(TestSteps.ofStage(0, 1, 1, 5));
    assertThat(row(1)).as("of an older manifest").isNull();
  }

  @Test
  void aStageWhoseManifestHasNotBeenReadDisturbsNobody() {
    manifest(TestSteps.manifest(0, 1));
    manifest(TestSteps.manifest(1, 1));
    step(TestSteps.ofStage(0, 1, 0, 5));
    step(TestSteps.ofStage(2, 1, 0, 6));
    assertThat(row(0).cells()).containsExactly(FIVE, FIVE, NONE, NONE);
  }

  @Test
  void theManifestHasTheLayersOfAllStagesOneDeeperThanTheOther() {
    manifest(TestSteps.manifest(0, 1));
    manifest(TestSteps.manifest(1, 1));
    Manifest whole = stages().joined(List.of(TestSteps.manifest(0, 1), TestSteps.manifest(1, 1)));
    assertThat(whole.layers())
        .extracting(Layer::name)
        .containsExactly("stage0.0", "stage0.1", "stage1.0", "stage1.1");
    assertThat(whole.layers()).extracting(Layer::depth).containsExactly(0, 1, 2, 3);
    assertThat(whole.layerCount()).isEqualTo(4);
    assertThat(whole.manifestId()).isEqualTo(stages().id()).isNotIn(100L, 101L);
  }
}
