package io.gradflow.example;

import static io.gradflow.trainer.AlertActions.atLeast;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.trainer.AlertAction;
import io.gradflow.trainer.AlertActions;
import io.gradflow.trainer.AlertFollower;
import io.gradflow.trainer.PublisherOptions;

/** A training that answers what is found in it. */
public final class FollowingExample {
  private final Trainer trainer;
  private boolean stopped;

  /** What your framework does. */
  public interface Trainer {
    /** Forward and backward pass, and update. */
    void train(long step);

    /** Writes a checkpoint. */
    void save(long step);

    /** Multiplies the learning rate. */
    void scaleRate(double factor);
  }

  public FollowingExample(Trainer trainer) {
    this.trainer = trainer;
  }

  /** Trains until something is found that must stop it. */
  public void train(long steps) {
    PublisherOptions options = PublisherOptions.fromEnvironment(System.getenv());
    try (AlertFollower alerts = AlertFollower.follow(options)) {
      train(alerts, actions().live(), steps); // without live() the log says what would be done
    }
  }

  public void train(AlertFollower alerts, AlertActions actions, long steps) {
    for (long step = 0; step < steps && !stopped; step++) {
      trainer.train(step);
      alerts.pending().forEach(actions); // here nothing else touches the model
    }
  }

  /** Each is done once per incident. */
  public AlertActions actions() {
    return AlertActions.dryRun()
        .on(AlertAction.SAVE_CHECKPOINT, atLeast(Severity.WARNING), this::save)
        .on(
            AlertAction.LOWER_RATE,
            atLeast(Severity.WARNING, FindingKind.EXPLODING_TREND, FindingKind.OSCILLATION),
            alert -> trainer.scaleRate(0.5))
        .on(AlertAction.STOP, atLeast(Severity.CRITICAL), alert -> stopped = true);
  }

  private void save(Alert alert) {
    trainer.save(alert.lastStep());
  }
}
