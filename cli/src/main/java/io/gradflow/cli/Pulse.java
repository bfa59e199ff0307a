package io.gradflow.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.function.Supplier;

/** Tells a person how far a long command is: a line every few seconds, none if it is short. */
final class Pulse {
  private static final Duration INTERVAL = Duration.ofSeconds(2);

  private final PrintWriter lines;
  private long next = System.nanoTime() + INTERVAL.toNanos();

  /**
   * @param lines where the lines go: standard error
   */
  Pulse(PrintWriter lines) {
    this.lines = lines;
  }

  /** Says where the command is, if it is time to. */
  void beat(Supplier<String> where) {
    long now = System.nanoTime();
    if (now >= next) {
      next = now + INTERVAL.toNanos();
      lines.println("  " + where.get());
      lines.flush();
    }
  }
}
