package io.gradflow.benchmarks.quality;

import io.gradflow.training.zoo.Truth;
import java.util.List;

/**
 * An episode of alerts of one system in one run. Times are on the run's clock, see {@link Clock}.
 *
 * @param opened when the system first spoke
 * @param last when it last had a reason to
 * @param paged when it woke somebody, -1: it did not
 * @param readings what it said, in order; a later one replaces those before it
 */
record Alarm(long opened, long last, long paged, List<Reading> readings) {
  /**
   * What a system says of a fault.
   *
   * @param at when
   * @param cause null: it names none
   * @param layers ranked, the most suspect first; empty: it names none
   * @param ranks likewise
   * @param text for people
   */
  record Reading(
      long at, Truth.Cause cause, List<String> layers, List<Integer> ranks, String text) {}

  /** What the system had said by then; what it said first if that was later. */
  Reading reading(long by) {
    Reading latest = readings.get(0);
    for (Reading reading : readings) {
      latest = reading.at() <= by ? reading : latest;
    }
    return latest;
  }
}
