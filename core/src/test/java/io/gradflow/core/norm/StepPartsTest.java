package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import java.util.List;
import org.junit.jupiter.api.Test;

class StepPartsTest {

  @Test
  void partsBecomeWholeInAnyOrder() {
    StepParts.Addition first = StepParts.NONE.add(part(7, 1, 2, 3));
    StepParts.Addition second = first.state().add(part(7, 1, 0, 3));
    StepParts.Addition third = second.state().add(part(7, 1, 1, 3));

    assertThat(first.whole()).isEmpty();
    assertThat(second.whole()).isEmpty();
    assertThat(third.whole()).extracting(Step::part).containsExactly(0, 1, 2);
    assertThat(third.state().parts()).isEmpty();
  }

  @Test
  void aStepInOnePartIsWhole() {
    assertThat(StepParts.NONE.add(part(7, 1, 0, 1)).whole()).hasSize(1);
  }

  @Test
  void partsOfDifferentRevisionsAndStepsAreKeptApart() {
    StepParts state = StepParts.NONE.add(part(7, 1, 0, 2)).state();
    state = state.add(part(7, 2, 1, 2)).state();
    StepParts.Addition other = state.add(part(8, 1, 1, 2));

    assertThat(other.whole()).isEmpty();
    assertThat(other.state().parts()).hasSize(3);
    assertThat(other.state().add(part(7, 2, 0, 2)).whole())
        .extracting(Step::revision)
        .containsExactly(2L, 2L);
  }

  @Test
  void aRepeatedPartCountsOnce() {
    StepParts.Addition twice = StepParts.NONE.add(part(7, 1, 0, 2)).state().add(part(7, 1, 0, 2));

    assertThat(twice.whole()).isEmpty();
    assertThat(twice.state().parts()).hasSize(1);
  }

  @Test
  void theOldestPartsMakeRoom() {
    StepParts state = StepParts.NONE;
    for (int step = 0; step < StepParts.MOST; step++) {
      state = state.add(part(step, 1, 0, 2)).state();
    }

    StepParts.Addition more = state.add(part(StepParts.MOST, 1, 0, 2));

    assertThat(more.forgotten()).extracting(step -> step.id().step()).containsExactly(0L);
    assertThat(more.state().parts()).hasSize(StepParts.MOST);
  }

  private static Step part(long step, long revision, int part, int parts) {
    return new Step(
        new StepId("run-1", 1, StepId.MAIN_STREAM, step),
        5,
        part,
        parts,
        part,
        revision,
        ClosedBy.COMPLETE,
        false,
        1,
        1,
        new int[0],
        new int[0],
        null,
        null,
        1,
        new NormColumns(
            null,
            new double[1],
            new double[1],
            new double[1],
            new double[1],
            null,
            null,
            null,
            null),
        null,
        new StepScalars(null, null, null, null, false, null, null, 1),
        List.of(),
        null);
  }
}
