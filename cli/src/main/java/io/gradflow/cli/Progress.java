package io.gradflow.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.function.Function;
import java.util.function.Supplier;

/**
 * Tells a person, a line each, what has come up and how long it took, and remembers the times.
 *
 * <p>Safe to use from several threads: parts that start at once report as they finish.
 */
final class Progress {
  private final PrintWriter lines;
  private final Map<String, Duration> took = new LinkedHashMap<>();

  /**
   * Starts without any part.
   *
   * @param lines where the lines go: standard error
   */
  Progress(PrintWriter lines) {
    this.lines = lines;
  }

  /**
   * Starts a part, and says so when it is up.
   *
   * @param part its name, one word
   * @param where what a person wants to know of it, its address for example
   */
  <T> T start(String part, Supplier<T> starting, Function<T, String> where) {
    long began = System.nanoTime();
    T started = starting.get();
    report(part, where.apply(started), Duration.ofNanos(System.nanoTime() - began));
    return started;
  }

  /** Says how long something has taken. */
  synchronized void report(String part, String where, Duration duration) {
    took.put(part, duration);
    lines.printf(Locale.ROOT, "  %-13s %-32s %6.2f s%n", part, where, duration.toMillis() / 1e3);
    lines.flush();
  }

  /** How long each part took to start, in the order in which they were up. */
  synchronized Map<String, Duration> took() {
    return new LinkedHashMap<>(took);
  }
}
