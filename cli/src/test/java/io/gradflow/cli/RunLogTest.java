package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class RunLogTest {
  @Test
  void tellsEachStepAndEachTransitionOnce() {
    RunLog log = new RunLog();
    assertThat(log.next(SnapshotOf.aRun().atStep(7).now()))
        .containsExactly(
            "1:15 step 7/300, 38.3/s, loss 1.235, norm 3.500, complete 100.0 %, dropped 0");
    assertThat(log.next(SnapshotOf.aRun().atStep(7).now())).isEmpty();
    assertThat(
            log.next(
                SnapshotOf.aRun()
                    .atStep(7)
                    .opened("NON_FINITE", "critical", "a.b", 6, "NaN\nin a.b")
                    .now()))
        .containsExactly("opened    NON_FINITE at step 6 (critical): NaN?in a.b");
    assertThat(log.next(SnapshotOf.aRun().atStep(7).resolved("NON_FINITE", "a.b", 6, 7, "").now()))
        .containsExactly("resolved  NON_FINITE at step 6, at step 7");
    assertThat(
            log.next(
                SnapshotOf.aRun()
                    .atStep(7)
                    .advised("ADVICE_CLIP", "a.b", 6, "It clips.", "Clip less.")
                    .now()))
        .containsExactly("advice    ADVICE_CLIP at step 6 (info): It clips. Clip less.");
  }
}
