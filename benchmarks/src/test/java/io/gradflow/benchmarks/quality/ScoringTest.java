package io.gradflow.benchmarks.quality;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.training.zoo.Truth;
import io.gradflow.training.zoo.Truth.Cause;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class ScoringTest {
  private static Trace.About run(Truth truth) {
    return new Trace.About("family", 1, false, truth, null, 500, 5_000, 499, 0);
  }

  private static Truth truth(Truth.Episode... episodes) {
    return new Truth(List.of(episodes), null, false);
  }

  private static Truth.Episode episode(long onset, long end, boolean abrupt) {
    return new Truth.Episode(onset, end, abrupt, Cause.HARDWARE, List.of("a", "b"), 2);
  }

  private static Alarm.Reading reading(
      long at, Cause cause, List<String> layers, Integer... ranks) {
    return new Alarm.Reading(at, cause, layers, List.of(ranks), "text");
  }

  private static Alarm alarm(long opened, Cause cause) {
    return new Alarm(opened, opened, -1, List.of(reading(opened, cause, List.of())));
  }

  @Test
  void anAlarmWithinTheDeadlineFindsAnEpisode() {
    Truth truth = truth(episode(100, Long.MAX_VALUE, true));

    assertThat(RunScore.of(run(truth), List.of(alarm(160, Cause.HARDWARE)), true).found().get(0))
        .extracting(RunScore.Found::any, RunScore.Found::classed)
        .containsExactly(60L, 60L);
    RunScore late = RunScore.of(run(truth), List.of(alarm(161, Cause.HARDWARE)), true);
    assertThat(late.found().get(0).any()).isEqualTo(-1);
    // Late is not false.
    assertThat(late.falseAlarms()).isEmpty();
  }

  @Test
  void whatBuildsUpHasMoreTime() {
    Truth truth = truth(episode(100, Long.MAX_VALUE, false));

    assertThat(RunScore.of(run(truth), List.of(alarm(300, null)), false).found().get(0).any())
        .isEqualTo(200);
    assertThat(RunScore.of(run(truth), List.of(alarm(301, null)), false).found().get(0).any())
        .isEqualTo(-1);
  }

  @Test
  void anAlarmThatWasOpenBeforeIsFalseAndFindsNothing() {
    RunScore score =
        RunScore.of(
            run(truth(episode(100, Long.MAX_VALUE, true))),
            List.of(new Alarm(99, 400, -1, List.of(reading(99, null, List.of())))),
            false);

    assertThat(score.found().get(0).any()).isEqualTo(-1);
    assertThat(score.falseAlarms()).hasSize(1);
  }

  @Test
  void anAlarmLongAfterAFaultIsFalse() {
    Truth truth = truth(episode(100, 104, true));

    assertThat(RunScore.of(run(truth), List.of(alarm(404, null)), false).falseAlarms()).isEmpty();
    assertThat(RunScore.of(run(truth), List.of(alarm(405, null)), false).falseAlarms()).hasSize(1);
  }

  @Test
  void theCauseCountsThatStandsAtTheDeadline() {
    Truth truth = truth(episode(100, Long.MAX_VALUE, true));
    Alarm corrected =
        new Alarm(
            110,
            150,
            -1,
            List.of(
                reading(110, Cause.OPTIMISER, List.of("z")),
                reading(120, Cause.HARDWARE, List.of("z", "b"), 2),
                reading(170, Cause.OPTIMISER, List.of("z"))));
    RunScore.Found found = RunScore.of(run(truth), List.of(corrected), true).found().get(0);

    assertThat(found.classed()).isEqualTo(10);
    assertThat(found.layer()).isEqualTo(1);
    assertThat(found.rank()).isZero();

    RunScore.Found mistaken =
        RunScore.of(run(truth), List.of(alarm(110, Cause.DATA)), true).found().get(0);
    assertThat(mistaken.any()).isEqualTo(10);
    assertThat(mistaken.classed()).isEqualTo(-1);
    assertThat(mistaken.named()).isEqualTo(Cause.DATA);
  }

  @Test
  void oneAlarmFindsOneOfTwoEpisodes() {
    Truth truth = truth(episode(100, Long.MAX_VALUE, true), episode(130, Long.MAX_VALUE, true));
    RunScore one = RunScore.of(run(truth), List.of(alarm(140, null)), false);
    RunScore two = RunScore.of(run(truth), List.of(alarm(105, null), alarm(140, null)), false);

    assertThat(one.found()).extracting(RunScore.Found::any).containsExactly(40L, -1L);
    assertThat(two.found()).extracting(RunScore.Found::any).containsExactly(5L, 10L);
  }

  @Test
  void excludedRunsSayNothing() {
    Truth excluded = new Truth(List.of(episode(100, 200, true)), "no harm done", false);
    RunScore score = RunScore.of(run(excluded), List.of(alarm(10, null)), false);

    assertThat(score.found()).isEmpty();
    assertThat(score.falseAlarms()).isEmpty();
    assertThat(new Score(List.of(score), false).healthyRuns()).isZero();
  }

  @Test
  void ratesAreOfHealthyRunsAndPrecisionIsOfAll() {
    List<RunScore> runs = new ArrayList<>();
    for (int i = 0; i < 8; i++) {
      runs.add(RunScore.of(run(truth()), List.of(), false));
    }
    runs.add(RunScore.of(run(truth()), List.of(alarm(7, null), alarm(300, null)), false));
    runs.add(
        RunScore.of(
            run(truth(episode(100, Long.MAX_VALUE, true))),
            List.of(alarm(50, null), alarm(110, null)),
            false));
    Score score = new Score(runs, false);

    assertThat(score.recall()).isEqualTo(1);
    assertThat(score.precision()).isCloseTo(0.25, within(1e-12));
    assertThat(score.falseAlerts().value()).isCloseTo(2e4 / 45_000, within(1e-12));
    assertThat(score.falseIncidents(1_000).value()).isCloseTo(2e3 / 4_500, within(1e-12));
    // Both alarms are of one run, which may well not be drawn.
    assertThat(score.falseAlerts().low()).isZero();
    assertThat(score.falseAlerts().high()).isGreaterThan(score.falseAlerts().value());
    assertThat(score.precisionAtBaseRate()).isCloseTo(1 / (1 + 50_000 * 2 / 4_500.0), within(1e-9));
    assertThat(score.falsePages(100_000).value()).isZero();
    assertThat(score.falsePages(100_000).high()).isCloseTo(3e5 / 4_500, within(1e-9));
  }

  @Test
  void alertsCloseTogetherAreOneAlarmUnlessTheirCausesDiffer() {
    Alarms alarms = new Alarms();
    alarms.raise(reading(10, null, List.of()), false);
    alarms.raise(reading(59, null, List.of()), true);
    alarms.raise(reading(109, null, List.of()), false);
    assertThat(alarms.all()).extracting(Alarm::opened).containsExactly(10L, 109L);
    assertThat(alarms.all()).extracting(Alarm::paged).containsExactly(59L, -1L);

    Alarms classed = new Alarms();
    classed.raise(reading(10, Cause.DATA, List.of()), false);
    classed.raise(reading(11, Cause.HARDWARE, List.of()), false);
    classed.raise(reading(12, Cause.DATA, List.of()), false);
    assertThat(classed.all()).extracting(Alarm::opened).containsExactly(10L, 11L);
  }

  @Test
  void aRestartDoesNotTurnTheClockBack() {
    Clock clock = new Clock();
    io.gradflow.core.StepId first = new io.gradflow.core.StepId("run", 1, "main", 0);
    io.gradflow.core.StepId second = new io.gradflow.core.StepId("run", 2, "main", 0);

    assertThat(clock.at(first.at(99))).isEqualTo(99);
    assertThat(clock.at(first.at(97))).isEqualTo(99);
    assertThat(clock.at(second.at(50))).isEqualTo(100);
    assertThat(clock.at(second.at(60))).isEqualTo(110);
    assertThat(clock.at(first.at(120))).isEqualTo(110);
  }
}
