package io.gradflow.trainer;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What waits for Kafka, in order. Putting never waits: a shard that finds no room takes the place
 * of the oldest waiting one, so that what is sent after an outage is the latest unbroken stretch of
 * the run. Announcements and events are few and are kept, up to a bound of their own.
 *
 * <p>Waking another thread takes longer than all else that putting does, on a virtual machine tens
 * of microseconds. So whoever takes looks by itself, every {@value #LOOK_MILLIS} ms, and has to be
 * woken only when it has found nothing for a second.
 *
 * @param <S> shards
 * @param <N> notices: announcements and events
 */
final class Outbox<S, N> {
  private static final int MAX_NOTICES = 1_000;
  private static final int LOOK_MILLIS = 5;
  private static final int LOOKS = 200;

  private final int capacity;
  private final ArrayDeque<Entry<S, N>> waiting = new ArrayDeque<>();
  private final ReentrantLock lock = new ReentrantLock();
  private final Condition changed = lock.newCondition();
  private int used;
  private int notices;
  private boolean asleep;
  private boolean closed;

  /** One of the two is null; {@code room} is what a shard takes of the capacity. */
  record Entry<S, N>(S shard, int room, N notice) {}

  /**
   * @param capacity the room for shards. One that needs more than that is taken if no other waits
   */
  Outbox(int capacity) {
    this.capacity = capacity;
  }

  /** Adds a shard and returns how many were dropped for it, or 1 if it is refused. */
  int putShard(S shard, int room) {
    lock.lock();
    try {
      if (closed) {
        return 1;
      }
      int dropped = 0;
      while (used > 0 && used + room > capacity) {
        dropOldestShard();
        dropped++;
      }
      waiting.add(new Entry<>(shard, room, null));
      used += room;
      wake();
      return dropped;
    } finally {
      lock.unlock();
    }
  }

  /** Adds a notice and returns how many are refused: 0 or 1. */
  int putNotice(N notice) {
    lock.lock();
    try {
      if (closed || notices == MAX_NOTICES) {
        return 1;
      }
      waiting.add(new Entry<>(null, 0, notice));
      notices++;
      wake();
      return 0;
    } finally {
      lock.unlock();
    }
  }

  /** The oldest entry, waiting for one until there is; null once closed and empty. */
  Entry<S, N> take() throws InterruptedException {
    lock.lockInterruptibly();
    try {
      for (int looks = 0; waiting.isEmpty() && !closed; looks++) {
        if (looks < LOOKS) {
          long unused = changed.awaitNanos(TimeUnit.MILLISECONDS.toNanos(LOOK_MILLIS));
        } else {
          asleep = true;
          changed.await();
        }
      }
      Entry<S, N> entry = waiting.poll();
      if (entry != null) {
        count(entry, -1);
      }
      return entry;
    } finally {
      lock.unlock();
    }
  }

  /** Waits for the outbox to be closed; false if it is still open after that time. */
  boolean awaitClosed(Duration atMost) throws InterruptedException {
    lock.lockInterruptibly();
    try {
      long nanos = atMost.toNanos();
      while (!closed && nanos > 0) {
        nanos = changed.awaitNanos(nanos);
      }
      return closed;
    } finally {
      lock.unlock();
    }
  }

  /** Takes nothing more; what waits can still be taken. */
  void close() {
    lock.lock();
    try {
      closed = true;
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }

  /** Throws away what waits and returns how much that was. */
  int discard() {
    lock.lock();
    try {
      int discarded = waiting.size();
      waiting.clear();
      used = 0;
      notices = 0;
      return discarded;
    } finally {
      lock.unlock();
    }
  }

  private void wake() {
    if (asleep) {
      asleep = false;
      changed.signal();
    }
  }

  private void dropOldestShard() {
    for (Iterator<Entry<S, N>> each = waiting.iterator(); each.hasNext(); ) {
      Entry<S, N> entry = each.next();
      if (entry.shard() != null) {
        each.remove();
        count(entry, -1);
        return;
      }
    }
  }

  private void count(Entry<S, N> entry, int change) {
    if (entry.shard() != null) {
      used += change * entry.room();
    } else {
      notices += change;
    }
  }
}
