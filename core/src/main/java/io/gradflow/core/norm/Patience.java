package io.gradflow.core.norm;

import io.gradflow.core.Uptime;
import java.time.Duration;
import java.util.HashSet;
import java.util.Set;

/**
 * Tells a missing rank from what only looks like one: an outage, a recovery, a backlog.
 *
 * <p>At a deadline, if the subtask heard nothing at all for half the timeout, the deadline is held;
 * when something comes again, it is put off to half a timeout later, so that what was delayed
 * together has the time to arrive together. A new subtask has heard nothing: deadlines restored
 * with its state are treated in the same way.
 *
 * <p>A backlog is read partition by partition, some far behind others. How far, the records
 * themselves tell: the broker wrote when it took them. While something is read that was written
 * before a step could have been complete, the step is held; what is unread is not missing. How far
 * the others had been read before a restart, their open steps tell.
 *
 * <p>One per subtask, never part of the state. Assumed: the brokers' clocks agree to a second.
 */
final class Patience {
  /** Brokers' clocks, and two partitions read side by side, differ by less. */
  private static final long CLOCKS_AGREE_MS = 1_000;

  /** How soon to look again at what is held until more has been read. */
  static final long LOOK_AGAIN_MS = 500;

  private static final long NEVER = Long.MIN_VALUE;
  private final long halfMs;
  private final Uptime uptime = new Uptime();
  private long heardAt = NEVER;
  private long resumedAt = NEVER;
  private long newestWrittenAt = NEVER;
  private long lookingSince = NEVER;

  /** The oldest of what was read far behind since then, and in the time before; else the end. */
  private long oldestBehind = Long.MAX_VALUE;

  private long oldestBehindBefore = Long.MAX_VALUE;
  private final Set<Object> met = new HashSet<>();

  Patience(Duration timeout) {
    halfMs = Math.max(1, timeout.toMillis() / 2);
  }

  /** Before this, not even a deadline that expects silence is up: the subtask has just started. */
  long readyAt(long nowMs) {
    uptime.at(nowMs);
    return uptime.since() + halfMs;
  }

  /**
   * When a key that was heard last at {@code lastInputMs} is forgotten.
   *
   * @param retention how long a silent key is remembered
   */
  long forgetsAt(long lastInputMs, Duration retention, long nowMs) {
    uptime.at(nowMs);
    return uptime.silentSince(lastInputMs) + retention.toMillis();
  }

  /** Something reached the subtask. */
  void heard(long nowMs) {
    uptime.at(nowMs);
    if (heardAt == NEVER || nowMs - heardAt > halfMs) {
      resumedAt = nowMs;
    }
    heardAt = Math.max(heardAt, nowMs);
  }

  /** True the first time: what the key's state says of the past is news to the subtask. */
  boolean meets(Object key) {
    return met.add(key);
  }

  /** The key has no state any more. */
  void forgets(Object key) {
    met.remove(key);
  }

  /** Before the subtask started, something was read that was written at {@code writtenAtMs}. */
  void knows(long writtenAtMs, long nowMs) {
    // A clock that is ahead must not make everybody else look late.
    newestWrittenAt = Math.max(newestWrittenAt, Math.min(writtenAtMs, nowMs));
  }

  /** Something reached the subtask that was written at {@code writtenAtMs}. */
  void read(long nowMs, long writtenAtMs) {
    heard(nowMs);
    turn(nowMs);
    knows(writtenAtMs, nowMs);
    if (newestWrittenAt - writtenAtMs > CLOCKS_AGREE_MS) {
      oldestBehind = Math.min(oldestBehind, writtenAtMs);
    }
  }

  /**
   * Whether something was read of late, far behind the rest, that was written before then: of that
   * time, more may come.
   */
  boolean isBehind(long writtenAtMs) {
    // In silence nothing is forgotten.
    return isBehind(writtenAtMs, heardAt);
  }

  /** The same for somebody to whom, at that time, what was read before it is of late or not. */
  private boolean isBehind(long writtenAtMs, long nowMs) {
    turn(heardAt);
    long ago = nowMs - lookingSince;
    long oldest = ago < halfMs ? Math.min(oldestBehind, oldestBehindBefore) : oldestBehind;
    return ago < 2 * halfMs && oldest < writtenAtMs;
  }

  private void turn(long nowMs) {
    if (lookingSince == NEVER || nowMs - lookingSince >= halfMs) {
      boolean adjoins = lookingSince != NEVER && nowMs - lookingSince < 2 * halfMs;
      oldestBehindBefore = adjoins ? oldestBehind : Long.MAX_VALUE;
      oldestBehind = Long.MAX_VALUE;
      lookingSince = nowMs;
    }
  }

  /** When to look at the deadline again; not after {@code nowMs} means that it is up. */
  long nextLook(long deadlineMs, long nowMs) {
    return nextLook(deadlineMs, halfMs, nowMs);
  }

  private long nextLook(long deadlineMs, long afterResumingMs, long nowMs) {
    uptime.at(nowMs);
    if (deadlineMs > nowMs) {
      return deadlineMs;
    }
    if (heardAt == NEVER || nowMs - heardAt > halfMs) {
      return nowMs + halfMs;
    }
    return Math.max(deadlineMs, resumedAt + afterResumingMs);
  }

  /**
   * The same for what waits since {@code sinceMs}, and can be complete when all that was written
   * within {@code waitMs} of {@code writtenAtMs} is read. A wait of less than half a timeout begins
   * again after an outage: how far apart partitions are read is not known before.
   */
  long nextLook(long sinceMs, long writtenAtMs, long waitMs, long nowMs) {
    long look = nextLook(sinceMs + waitMs, Math.min(waitMs, halfMs), nowMs);
    return look <= nowMs && isBehind(writtenAtMs + waitMs) ? nowMs + LOOK_AGAIN_MS : look;
  }

  /**
   * The same for what is open of a run that has ended and is silent since {@code silentSinceMs}:
   * there silence is expected and holds nothing, and in it time passes: what was far behind before
   * it is not waited for without end.
   */
  long nextLookAtEnd(long silentSinceMs, long writtenAtMs, long waitMs, long nowMs) {
    long look = Math.max(silentSinceMs + waitMs, readyAt(nowMs));
    return look <= nowMs && isBehind(writtenAtMs + waitMs, nowMs) ? nowMs + LOOK_AGAIN_MS : look;
  }
}
