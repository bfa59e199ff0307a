package io.gradflow.dashboard.forward;

import java.time.Duration;
import java.util.Optional;

/**
 * How long to wait after failures in a row: twice as long each time, between half and all of it by
 * chance, so that many who wait for one target do not come back at once.
 *
 * @param first after one failure, at most
 * @param longest after any number, at most
 * @param longestAsked what a target may ask for, at most
 */
record Backoff(Duration first, Duration longest, Duration longestAsked) {
  static final Backoff DEFAULT =
      new Backoff(Duration.ofSeconds(1), Duration.ofMinutes(1), Duration.ofMinutes(10));

  /**
   * The pause before the next attempt.
   *
   * @param failures in a row, from 1
   * @param chance 0 to 1
   * @param asked what the target asked for, which is kept even where it is longer
   */
  Duration after(int failures, double chance, Optional<Duration> asked) {
    long doubled = first.toMillis() << Math.min(failures - 1, 30);
    long most = Math.min(doubled, longest.toMillis());
    Duration own = Duration.ofMillis(Math.round(most * (0.5 + 0.5 * chance)));
    return asked
        .map(pause -> pause.compareTo(longestAsked) > 0 ? longestAsked : pause)
        .filter(pause -> pause.compareTo(own) > 0)
        .orElse(own);
  }
}
