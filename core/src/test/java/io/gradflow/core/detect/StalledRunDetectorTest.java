package io.gradflow.core.detect;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RunEvent;
import java.util.List;
import java.util.Map;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

/** When a silence is a stall. */
class StalledRunDetectorTest {
  private static final long START = 1_700_000_000_000L;
  private static final StalledRunDetector.Settings SETTINGS = DetectionPolicy.DEFAULT.stalledRun();

  private final SimulatedRun run = new SimulatedRun(1, 0.2);
  private StalledRunDetector.State state = StalledRunDetector.State.FRESH;
  private long now = START;

  /** Steps that are written so many ms apart and come 2 s after that. */
  private StalledRunDetectorTest steps(int count, long ms) {
    for (int i = 0; i < count; i++) {
      now += ms;
      state = StalledRunDetector.step(state, written(now - 2_000), SETTINGS, now);
    }
    return this;
  }

  private Step written(long at) {
    return run.draft().ranked(0.1, 0.1, ranks -> ranks.writtenAt(at)).step();
  }

  private StalledRunDetectorTest event(RunEvent.Type type, long attempt) {
    long last = run.nextStep() - 1;
    state =
        StalledRunDetector.event(
            state,
            new RunEvent(
                SimulatedRun.RUN, attempt, StepId.MAIN_STREAM, last, type, ++now, Map.of()));
    return this;
  }

  /** Seconds from the last step until it is a stall; null if it will not be. */
  private Long due() {
    long due = StalledRunDetector.dueMs(state, SETTINGS, START);
    return due == Long.MAX_VALUE ? null : (due - state.heardMs()) / 1_000;
  }

  @Test
  void aRunIsWaitedForAMinuteOrTwentyStepsOrTwiceItsLongestPause() {
    assertThat(steps(9, 1_000).due()).isNull();
    assertThat(steps(1, 1_000).due()).isEqualTo(60);
    assertThat(steps(100, 10_000).due()).isEqualTo(199);
    assertThat(steps(1, 300_000).steps(20, 10_000).due()).isBetween(580L, 600L);
  }

  @Test
  void anEvaluationWidensTheWaitUntilTheNextStep() {
    steps(20, 1_000).event(RunEvent.Type.EVAL, 1);
    assertThat(due()).isEqualTo(600);
    assertThat(steps(1, 1_000).due()).isEqualTo(60);
    assertThat(event(RunEvent.Type.CHECKPOINT, 1).due()).isEqualTo(600);
  }

  @Test
  void whatHasEndedOrPausesIsNotStalled() {
    steps(20, 1_000);
    assertThat(event(RunEvent.Type.PAUSED, 1).due()).isNull();
    assertThat(event(RunEvent.Type.RESUMED, 1).due()).isEqualTo(60);
    assertThat(steps(1, 1_000).event(RunEvent.Type.PAUSED, 1).steps(1, 1_000).due()).isEqualTo(60);
    assertThat(event(RunEvent.Type.FINISHED, 1).due()).isNull();
  }

  @Test
  void anAttemptEndsTheOneBeforeAndIsLearntAnew() {
    steps(20, 1_000);
    assertThat(event(RunEvent.Type.STARTED, 2).due()).isNull();
    run.restart(5);
    assertThat(steps(9, 1_000).due()).isNull();
    assertThat(steps(1, 1_000).due()).isEqualTo(60);
  }

  @Test
  void anEventThatComesBeforeItsStepWaitsForIt() {
    steps(20, 1_000);
    Step last = written(now);
    event(RunEvent.Type.FINISHED, 1);
    assertThat(due()).isNull();
    state = StalledRunDetector.step(state, last, SETTINGS, now);
    assertThat(due()).isNull();
  }

  @Test
  void whatIsReadFromLongAgoIsNoStall() {
    for (int i = 0; i < 50; i++) {
      Step old = written(START - 86_400_000L + 1_000L * i);
      state = StalledRunDetector.step(state, old, SETTINGS, now);
    }
    assertThat(due()).isNull();
    assertThat(steps(1, 1_000).due()).isNotNull();
  }

  @Test
  void stepsThatDoNotSayWhenTheyWereWrittenAreNotJudged() {
    for (int i = 0; i < 50; i++) {
      state = StalledRunDetector.step(state, run.draft().step(), SETTINGS, now += 1_000);
    }
    assertThat(due()).isNull();
  }

  @Test
  void silenceBeginsWhenTheJobBeginsToListen() {
    steps(20, 1_000);
    long restarted = now + 3_600_000;
    assertThat(StalledRunDetector.dueMs(state, SETTINGS, restarted)).isEqualTo(restarted + 60_000);
  }

  @Test
  void aStallIsToldOnceAndEndsWithTheNextStep() {
    UnaryOperator<SimulatedRun.Draft> sick = step -> step.missing(2);
    run.healthy(30).steps(4, sick);
    steps(20, 1_000);
    String missing = run.alerts().get(0).incidentId();
    int before = run.alerts().size();

    StalledRunDetector.Stall stall =
        StalledRunDetector.stalled(state, DetectionPolicy.DEFAULT, 61_000);
    assertThat(StalledRunDetector.dueMs(stall.state(), SETTINGS, START)).isEqualTo(Long.MAX_VALUE);
    assertThat(stall.findings().timed()).isTrue();
    assertThat(stall.findings().findings().get(0).message())
        .isEqualTo("No step has come for 61.0 s after step 53, of a run that makes one in 1.0 s.");
    run.verdict(stall.findings()).step(sick.apply(run.draft()).step());

    var alerts = run.alerts().subList(before, run.alerts().size());
    assertThat(alerts).extracting(Alert::kind).containsOnly(FindingKind.STALLED_RUN);
    assertThat(alerts)
        .extracting(Alert::state)
        .containsExactly(Alert.State.OPENED, Alert.State.RESOLVED);
    assertThat(alerts).allMatch(Alert::timed).extracting(Alert::incidentId).doesNotContain(missing);
    assertThat(alerts.get(0).severity()).isEqualTo(Severity.CRITICAL);
    assertThat(alerts.get(0).openedStep()).isEqualTo(53);
  }

  @Test
  void otherIncidentsAreToldAsIfThereHadBeenNoStall() {
    var undisturbed = new SimulatedRun(3, 0.2);
    var disturbed = new SimulatedRun(3, 0.2);
    for (SimulatedRun each : List.of(undisturbed, disturbed)) {
      each.healthy(60).steps(3, step -> step.nan(1, "block3.weight"));
      if (each == disturbed) {
        var last = each.verdicts().get(each.verdicts().size() - 1);
        var lately =
            new StalledRunDetector.State(
                last.id(),
                last.manifestId(),
                now,
                now,
                99,
                1_000,
                1_000,
                true,
                false,
                1,
                -1,
                -1,
                -1,
                false,
                -1);
        each.verdict(
            StalledRunDetector.stalled(lately, DetectionPolicy.DEFAULT, 61_000).findings());
      }
      each.healthy(60).steps(3, step -> step.missing(1)).healthy(60);
    }

    assertThat(disturbed.alerts().stream().filter(alert -> !alert.timed()).toList())
        .usingRecursiveComparison()
        .isEqualTo(undisturbed.alerts());
    assertThat(disturbed.alerts()).hasSize(undisturbed.alerts().size() + 2);
  }
}
