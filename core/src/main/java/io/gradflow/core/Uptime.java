package io.gradflow.core;

/**
 * Since when a subtask has been at work.
 *
 * <p>Time in which it was not, an outage or the age of a savepoint, is no silence: nobody could
 * have been heard. One per subtask, never part of the state, so that a restored one begins anew.
 */
public final class Uptime {
  private static final long NOT_YET = Long.MIN_VALUE;
  private long since = NOT_YET;

  /** The subtask is at work at {@code nowMs}; the first such moment is its beginning. */
  public void at(long nowMs) {
    since = since == NOT_YET ? nowMs : since;
  }

  /** The subtask could have heard nobody at {@code ms}: it begins anew there. */
  public void deafAt(long ms) {
    since = Math.max(since, ms);
  }

  /** When the subtask began, in ms; known after {@link #at}. */
  public long since() {
    return since;
  }

  /** Since when what was heard last at {@code lastMs} has been silent, in ms. */
  public long silentSince(long lastMs) {
    return Math.max(lastMs, since);
  }
}
