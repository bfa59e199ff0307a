package io.gradflow.operators.detect;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.State;
import io.gradflow.core.incident.IncidentPolicy;
import java.time.Duration;
import java.util.List;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.operators.KeyedProcessOperator;
import org.apache.flink.streaming.runtime.streamrecord.StreamRecord;
import org.apache.flink.streaming.util.KeyedOneInputStreamOperatorTestHarness;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TrackIncidentsTest {
  private static final long HOUR_MS = Duration.ofHours(1).toMillis();

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void anIncidentOpensOnceAndResolves(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      job.pass(7);
      step(job, sick(1, 10));
      step(job, sick(1, 11));
      step(job, quiet(1, 12));

      assertThat(job.output())
          .extracting(Alert::state)
          .containsExactly(State.OPENED, State.RESOLVED);
      assertThat(job.output()).extracting(Alert::detectedAt).containsOnly(7L);
      assertThat(job.output()).extracting(Alert::transition).containsExactly(0, 1);
      assertNothingIsRetained(job);
      assertThat(job.output()).hasSize(2);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theIncidentsOfASilentRunExpire(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      step(job, sick(1, 10));
      job.pass(HOUR_MS / 2);
      step(job, sick(1, 11));
      job.passWithoutRestart(HOUR_MS / 2);
      job.passWithoutRestart(HOUR_MS / 2 - 1);
      assertThat(job.output()).hasSize(1);

      assertNothingIsRetained(job);

      assertThat(job.output())
          .extracting(Alert::state)
          .containsExactly(State.OPENED, State.EXPIRED);
      assertThat(job.output().get(1).timed()).isTrue();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void theTimeOfAnOutageIsNoSilence(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      step(job, sick(1, 10));
      job.outage(5 * HOUR_MS);
      step(job, sick(1, 11));

      assertThat(job.output()).extracting(Alert::state).containsExactly(State.OPENED);
      assertNothingIsRetained(job);
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aHigherAttemptEndsTheIncidentsOfTheOneBefore(boolean restarts) throws Exception {
    try (var job = job(restarts)) {
      step(job, sick(1, 10));
      step(job, quiet(2, 5));
      step(job, sick(1, 11));

      assertThat(job.output())
          .extracting(Alert::state)
          .containsExactly(State.OPENED, State.EXPIRED);
      assertThat(job.output().get(1).timed()).isFalse();
      assertNothingIsRetained(job);
    }
  }

  private static void assertNothingIsRetained(Restarting<?, ?> job) throws Exception {
    job.passWithoutRestart(HOUR_MS);
    job.passWithoutRestart(HOUR_MS);
    assertThat(job.entries()).isZero();
    assertThat(job.timers()).isZero();
  }

  private static StepFindings quiet(long attempt, long step) {
    return findings(attempt, step, List.of(), List.of());
  }

  private static StepFindings sick(long attempt, long step) {
    var finding =
        new Finding(
            FindingKind.DEAD_LAYER,
            false,
            Severity.WARNING,
            "layer2",
            null,
            8,
            2,
            1,
            0.999,
            "share of zeros",
            new long[] {8, 9},
            new double[] {-3, -4},
            "The gradient of layer2 is zero since step 8: the layer no longer learns.",
            null);
    return findings(attempt, step, List.of(finding), List.of(FindingKind.DEAD_LAYER));
  }

  private static StepFindings findings(
      long attempt, long step, List<Finding> findings, List<FindingKind> active) {
    var id = new StepId(Samples.RUN, attempt, StepId.MAIN_STREAM, step);
    return new StepFindings(id, 1, 0, findings, active, List.of());
  }

  private static void step(
      Restarting<KeyedOneInputStreamOperatorTestHarness<String, StepFindings, Alert>, ?> job,
      StepFindings step)
      throws Exception {
    job.event(h -> h.processElement(new StreamRecord<>(step)));
  }

  private static Restarting<
          KeyedOneInputStreamOperatorTestHarness<String, StepFindings, Alert>, Alert>
      job(boolean restarts) throws Exception {
    return new Restarting<>(
        () ->
            new KeyedOneInputStreamOperatorTestHarness<>(
                new KeyedProcessOperator<>(
                    new TrackIncidents(IncidentPolicy.DEFAULT, Contact.ALWAYS)),
                step -> step.id().runId(),
                Types.STRING,
                1,
                1,
                0),
        null,
        restarts);
  }
}
