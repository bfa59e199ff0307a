package io.gradflow.core.simulation;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/** An ordered log that lost records never reached. */
final class Partition {
  /**
   * A record.
   *
   * @param appendedAt when it could be read first, ms
   * @param value a {@link Sent}, a manifest or an event
   */
  record Entry(long appendedAt, Object value) {}

  /** What is to become a record. */
  interface Draft {
    /** The record in its place. */
    Object at(int partition, long offset, long appendedAt);
  }

  private record Planned(long at, Draft draft) {}

  private final List<Planned> planned = new ArrayList<>();
  final List<Entry> entries = new ArrayList<>();

  void plan(long at, Draft draft) {
    planned.add(new Planned(at, draft));
  }

  /** Puts what was planned in the order of its time. */
  void write(int number) {
    planned.sort(Comparator.comparingLong(Planned::at));
    for (Planned one : planned) {
      entries.add(new Entry(one.at, one.draft.at(number, entries.size(), one.at)));
    }
    planned.clear();
  }
}
