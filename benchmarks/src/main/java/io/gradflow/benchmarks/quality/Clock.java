package io.gradflow.benchmarks.quality;

import io.gradflow.core.StepId;

/**
 * Counts the steps of one stream as somebody sees them who watches: a restart from a checkpoint
 * does not turn time back, and what comes late comes now.
 */
final class Clock {
  private long attempt = -1;
  private long offset;
  private long now = -1;

  /** The time at which that step comes: its number in a run that never goes back. */
  long at(StepId id) {
    if (attempt >= 0 && id.attempt() > attempt) {
      offset = Math.max(offset, now + 1 - id.step());
    }
    attempt = Math.max(attempt, id.attempt());
    if (id.attempt() == attempt) {
      now = Math.max(now, id.step() + offset);
    }
    return now;
  }
}
