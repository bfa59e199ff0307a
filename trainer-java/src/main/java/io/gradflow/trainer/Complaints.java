package io.gradflow.trainer;

import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;

/**
 * Remembers what went wrong last, and logs it at most once a minute: a dead broker must not fill
 * the trainer's log.
 */
final class Complaints {
  private static final System.Logger LOG = System.getLogger(GradientPublisher.class.getName());
  private static final Duration SILENCE = Duration.ofMinutes(1);

  private final String who;
  private final InstantSource clock;
  private Instant silentUntil = Instant.MIN;
  private volatile String last;

  Complaints(String who, InstantSource clock) {
    this.who = who;
    this.clock = clock;
  }

  synchronized void about(String what, Throwable cause) {
    last = what + ": " + cause;
    Instant now = clock.instant();
    if (!now.isBefore(silentUntil)) {
      silentUntil = now.plus(SILENCE);
      LOG.log(
          System.Logger.Level.WARNING,
          who + ": " + last + " (training goes on; silent for a minute)");
    }
  }

  /** The most recent one; null if there was none. */
  String last() {
    return last;
  }
}
