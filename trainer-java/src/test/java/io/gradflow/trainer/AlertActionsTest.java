package io.gradflow.trainer;

import static io.gradflow.trainer.AlertActions.atLeast;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.example.FollowingExample;
import java.util.ArrayList;
import java.util.List;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class AlertActionsTest {
  // Held, for the JDK drops loggers that nobody holds, and what listens to them.
  private static final Logger LOG = Logger.getLogger(AlertActions.class.getName());

  private final List<String> done = new ArrayList<>();
  private final List<String> logged = new ArrayList<>();
  private final Handler listening =
      new Handler() {
        @Override
        public void publish(LogRecord record) {
          logged.add(record.getLevel() + " " + record.getMessage());
        }

        @Override
        public void flush() {}

        @Override
        public void close() {}
      };

  @BeforeEach
  void listen() {
    LOG.addHandler(listening);
  }

  @AfterEach
  void end() {
    LOG.removeHandler(listening);
  }

  private AlertActions noting() {
    return AlertActions.dryRun()
        .on(AlertAction.SAVE_CHECKPOINT, atLeast(Severity.WARNING), note("save"))
        .on(
            AlertAction.LOWER_RATE,
            atLeast(Severity.INFO, FindingKind.EXPLODING_TREND, FindingKind.OSCILLATION),
            note("lower"))
        .on(AlertAction.STOP, atLeast(Severity.CRITICAL), note("stop"));
  }

  private java.util.function.Consumer<Alert> note(String what) {
    return alert -> done.add(what + " " + alert.alertId());
  }

  @Test
  void anActionIsDoneOncePerIncidentWhenItsFilterMatches() {
    AlertActions actions = noting().live();
    actions.accept(alert("a", 0, Alert.State.OPENED, FindingKind.PLATEAU, Severity.INFO));
    actions.accept(alert("b", 0, Alert.State.OPENED, FindingKind.OSCILLATION, Severity.WARNING));
    actions.accept(alert("b", 1, Alert.State.UPDATED, FindingKind.OSCILLATION, Severity.WARNING));
    // What became worse calls for more.
    actions.accept(alert("b", 2, Alert.State.UPDATED, FindingKind.OSCILLATION, Severity.CRITICAL));
    actions.accept(alert("b", 3, Alert.State.RESOLVED, FindingKind.OSCILLATION, Severity.CRITICAL));
    actions.accept(alert("c", 0, Alert.State.EXPIRED, FindingKind.NON_FINITE, Severity.CRITICAL));
    actions.accept(alert("d", 0, Alert.State.OPENED, FindingKind.NON_FINITE, Severity.CRITICAL));
    assertThat(done).containsExactly("save b-0", "lower b-0", "stop b-2", "save d-0", "stop d-0");
    assertThat(logged)
        .hasSize(5)
        .element(2)
        .isEqualTo(
            "WARNING gradflow: stop for CRITICAL OSCILLATION at step 12, incident b:"
                + " The gradient of head.weight grew ×300 within a step.");
  }

  @Test
  void aDryRunSaysWhatItWouldDo() {
    AlertActions actions = noting();
    actions.accept(alert("d", 0, Alert.State.OPENED, FindingKind.NON_FINITE, Severity.CRITICAL));
    actions.accept(alert("d", 1, Alert.State.UPDATED, FindingKind.NON_FINITE, Severity.CRITICAL));
    assertThat(done).isEmpty();
    String what =
        " (a dry run) for CRITICAL NON_FINITE at step 12, incident d:"
            + " The gradient of head.weight grew ×300 within a step.";
    assertThat(logged)
        .containsExactly(
            "WARNING gradflow would save checkpoint" + what, "WARNING gradflow would stop" + what);
  }

  @Test
  void whatAnActionThrowsIsLoggedAndTheNextIsDone() {
    AlertActions actions =
        AlertActions.dryRun()
            .on(
                AlertAction.SKIP_STEP,
                alert -> {
                  throw new IllegalStateException("a filter of the user's");
                },
                note("never"))
            .on(
                AlertAction.SAVE_CHECKPOINT,
                alert -> true,
                alert -> {
                  throw new AssertionError("disk full");
                })
            .on(AlertAction.STOP, alert -> true, note("stop"))
            .live();
    actions.accept(alert("a", 0, Alert.State.OPENED, FindingKind.PLATEAU, Severity.INFO));
    actions.accept(alert("a", 1, Alert.State.UPDATED, FindingKind.PLATEAU, Severity.INFO));
    assertThat(done).containsExactly("stop a-0");
    assertThat(logged)
        .filteredOn(line -> line.contains("could not"))
        .extracting(line -> line.substring(0, line.indexOf(" for ")))
        .containsExactly(
            "WARNING gradflow could not skip step",
            "WARNING gradflow could not save checkpoint",
            "WARNING gradflow could not skip step");
  }

  @Test
  void theExampleSavesLowersAndStops() {
    List<String> steps = new ArrayList<>();
    FollowingExample.Trainer trainer =
        new FollowingExample.Trainer() {
          @Override
          public void train(long step) {
            steps.add("train " + step);
          }

          @Override
          public void save(long step) {
            steps.add("save " + step);
          }

          @Override
          public void scaleRate(double factor) {
            steps.add("rate " + factor);
          }
        };
    FollowingExample example = new FollowingExample(trainer);
    AlertActions actions = example.actions().live();
    actions.accept(
        alert("a", 0, Alert.State.OPENED, FindingKind.EXPLODING_TREND, Severity.WARNING));
    actions.accept(alert("b", 0, Alert.State.OPENED, FindingKind.NON_FINITE, Severity.WARNING));
    PublisherOptions off = PublisherOptions.of("unused:9092", "gpt", 0, 0).off();
    try (AlertFollower none = AlertFollower.follow(off)) {
      example.train(none, actions, 2);
      actions.accept(alert("b", 1, Alert.State.UPDATED, FindingKind.NON_FINITE, Severity.CRITICAL));
      example.train(none, actions, 2);
    }
    assertThat(steps).containsExactly("save 14", "rate 0.5", "save 14", "train 0", "train 1");
  }

  private static Alert alert(
      String incident, int transition, Alert.State state, FindingKind kind, Severity severity) {
    return AlertFollowerTest.alert(incident, transition, state, kind, severity, "gpt", 1, "main");
  }
}
