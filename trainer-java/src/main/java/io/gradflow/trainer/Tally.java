package io.gradflow.trainer;

import java.util.concurrent.atomic.AtomicLong;

/** Counts what was offered and what became of it; by several threads. */
final class Tally {
  private final AtomicLong offered = new AtomicLong();
  private final AtomicLong sent = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();

  void offered() {
    offered.incrementAndGet();
  }

  void sent() {
    sent.incrementAndGet();
  }

  void dropped(int count) {
    dropped.addAndGet(count);
  }

  /** What will never reach Kafka: carried in every later shard. */
  long dropped() {
    return dropped.get();
  }

  PublisherStats stats(String lastError) {
    // The ends before the beginning: what is offered meanwhile counts as waiting.
    long ended = sent.get() + dropped.get();
    return new PublisherStats(
        sent.get(), dropped.get(), Math.max(0, offered.get() - ended), lastError);
  }
}
