package io.gradflow.core.window;

import java.time.Duration;

/**
 * How steps become windows.
 *
 * @param length of a window in step numbers, 1 or more
 * @param republish an open window that has changed is published again after so long
 * @param endWait silence after a run's end before its last window closes
 * @param waitingSteps steps of a run that may wait for their manifest
 * @param finishedRetention state of a finished run is dropped after so long without input: twice as
 *     long as in assembling, or the last steps of a silent run find nobody
 * @param idleRetention state of any other run likewise
 */
public record WindowPolicy(
    int length,
    Duration republish,
    Duration endWait,
    int waitingSteps,
    Duration finishedRetention,
    Duration idleRetention)
    implements java.io.Serializable {

  public WindowPolicy {
    if (length < 1) {
      throw new IllegalArgumentException("length: expected 1 or more, got " + length);
    }
    if (waitingSteps < 0) {
      throw new IllegalArgumentException("waitingSteps: expected 0 or more, got " + waitingSteps);
    }
    for (Duration wait : new Duration[] {republish, endWait, finishedRetention, idleRetention}) {
      if (wait.isNegative() || wait.isZero()) {
        throw new IllegalArgumentException("waits: expected more than 0 s each, got " + wait);
      }
    }
  }

  /** The rated settings. */
  public static WindowPolicy defaults() {
    return new WindowPolicy(
        100,
        Duration.ofSeconds(10),
        Duration.ofSeconds(30),
        256,
        Duration.ofHours(4),
        Duration.ofHours(96));
  }
}
