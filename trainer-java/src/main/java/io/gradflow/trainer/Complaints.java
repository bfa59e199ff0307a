package io.gradflow.trainer;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/** Logs what went wrong, at most once a minute: a dead broker must not fill the trainer's log. */
final class Complaints {
  private static final System.Logger LOG = System.getLogger(GradientPublisher.class.getName());
  private static final Duration SILENCE = Duration.ofMinutes(1);

  private final String who;
  private final InstantSource clock;
  private Instant last = Instant.MIN;

  Complaints(String who, InstantSource clock) {
    this.who = who;
    this.clock = clock;
  }

  synchronized void about(String what, Object cause) {
    Instant now = clock.instant();
    if (now.isAfter(last.equals(Instant.MIN) ? last : last.plus(SILENCE))) {
      last = now;
      LOG.log(
          System.Logger.Level.WARNING,
          who
              + ": "
              + what
              + ": "
              + cause
              + " (training goes on; further ones unlogged for 1 min)");
    }
  }
}
