package io.gradflow.trainer;

import java.util.concurrent.atomic.AtomicLong;

/** Counts what was handed over and what became of it; by several threads. */
final class Tally {
  private final AtomicLong handedOver = new AtomicLong();
  private final AtomicLong sent = new AtomicLong();
  private final AtomicLong dropped = new AtomicLong();
  private final AtomicLong failed = new AtomicLong();

  void handedOver() {
    handedOver.incrementAndGet();
  }

  void sent() {
    sent.incrementAndGet();
  }

  void dropped(int count) {
    dropped.addAndGet(count);
  }

  void failed() {
    failed.incrementAndGet();
  }

  /** What will never reach Kafka: carried in every record as {@code dropped}. */
  long lost() {
    return dropped.get() + failed.get();
  }

  PublisherStats stats() {
    // The ends before the beginning: what is handed over meanwhile counts as pending.
    long ended = sent.get() + dropped.get() + failed.get();
    long pending = Math.max(0, handedOver.get() - ended);
    return new PublisherStats(sent.get(), dropped.get(), failed.get(), pending);
  }
}
