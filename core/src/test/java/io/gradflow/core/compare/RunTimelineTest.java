package io.gradflow.core.compare;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

class RunTimelineTest {
  private final RunTimeline timeline = new RunTimeline();

  private void attempt(long attempt, long from, long to) {
    for (long step = from; step <= to; step++) {
      timeline.add(new StepId("run", attempt, StepId.MAIN_STREAM, step), 8);
    }
  }

  @Test
  void aRestartAbandonsWhatWasDoneBeyondItsCheckpoint() {
    attempt(2, 60, 90);
    attempt(1, 0, 80);
    attempt(3, 70, 75);

    SpanSteps all = timeline.all();
    assertThat(timeline.attempts()).containsExactly(1L, 2L, 3L);
    assertThat(all.attempts()).containsExactly(1L, 2L, 3L);
    assertThat(all.first()).isZero();
    assertThat(all.last()).isEqualTo(75);
    assertThat(all.size()).isEqualTo(76);
    assertThat(timeline.span(60, 69).attempts()).containsExactly(2L);
    assertThat(timeline.span(76, 90).isEmpty()).isTrue();
    assertThat(timeline.ofAttempt(1).all().last()).isEqualTo(80);
    assertThat(timeline.ofAttempt(4).all().isEmpty()).isTrue();
  }

  @Test
  void aStepCountsInItsHighestRevisionAlone() {
    var run = new TwoSpans(1, 0);
    run.steps(40, UnaryOperator.identity());
    var revised = new TwoSpans(1, 0).steps(40, draft -> draft.revision(9).raiseAll(3));
    run.timeline().add(revised.steps().get(7).id(), 9);

    SpanSteps span = run.timeline().all();

    assertThat(span.ordinal(run.steps().get(6))).isEqualTo(6);
    assertThat(span.ordinal(run.steps().get(7))).isEqualTo(-1);
    assertThat(span.ordinal(revised.steps().get(7))).isEqualTo(7);
    assertThat(span.ordinal(revised.steps().get(8))).isEqualTo(-1);
  }

  @Test
  void sampledStepsKeepTheirOrder() {
    for (long step : new long[] {900, 100, 500}) {
      timeline.add(new StepId("run", 1, StepId.MAIN_STREAM, step), 1);
    }
    SpanSteps span = timeline.span(100, 899);
    assertThat(span.size()).isEqualTo(2);
    assertThat(span.last()).isEqualTo(500);
  }
}
