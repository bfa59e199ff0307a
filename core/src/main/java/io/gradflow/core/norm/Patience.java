package io.gradflow.core.norm;

import java.time.Duration;

/**
 * Tells a missing rank from an outage: a timeout is up only if others were heard meanwhile.
 *
 * <p>At a deadline, if the subtask heard nothing at all for half the timeout, the deadline is held;
 * when something comes again, it is put off to half a timeout later, so that what was delayed
 * together has the time to arrive together. A new subtask has heard nothing: deadlines restored
 * with its state are treated in the same way. One per subtask, never part of the state.
 */
public final class Patience {
  private static final long NEVER = Long.MIN_VALUE;
  private final long halfMs;
  private final long readyAt;
  private long heardAt = NEVER;
  private long resumedAt = NEVER;

  /** Of a subtask that starts now. */
  public Patience(Duration timeout, long nowMs) {
    halfMs = Math.max(1, timeout.toMillis() / 2);
    readyAt = nowMs + halfMs;
  }

  /** Before this, not even a deadline that expects silence is up: the subtask has just started. */
  public long readyAt() {
    return readyAt;
  }

  /** Something reached the subtask. */
  public void heard(long nowMs) {
    if (heardAt == NEVER || nowMs - heardAt > halfMs) {
      resumedAt = nowMs;
    }
    heardAt = Math.max(heardAt, nowMs);
  }

  /** When to look at the deadline again; not after {@code nowMs} means that it is up. */
  public long nextLook(long deadlineMs, long nowMs) {
    if (deadlineMs > nowMs) {
      return deadlineMs;
    }
    if (heardAt == NEVER || nowMs - heardAt > halfMs) {
      return nowMs + halfMs;
    }
    return Math.max(deadlineMs, resumedAt + halfMs);
  }
}
