package io.gradflow.core.norm;

import io.gradflow.core.shard.RunEvent;
import java.util.List;

/**
 * A run's own word that it is over.
 *
 * @param step its last one
 * @param arrivedAt when it was heard, ms
 */
public record RunEnd(long attempt, String stream, long step, long arrivedAt) {
  /** Ends of streams and attempts remembered for one run; the oldest go first. */
  private static final int REMEMBERED = 16;

  /**
   * Adds the end that the event tells of, in place of what the same attempt and stream said before.
   */
  public static void remember(List<RunEnd> ends, RunEvent finished, long now) {
    ends.removeIf(end -> end.attempt == finished.attempt() && end.stream.equals(finished.stream()));
    if (ends.size() == REMEMBERED) {
      ends.remove(0);
    }
    ends.add(new RunEnd(finished.attempt(), finished.stream(), finished.step(), now));
  }

  /** The end of the lane's stream in its attempt, null while none was heard. */
  public static RunEnd of(List<RunEnd> ends, Lane lane) {
    for (RunEnd end : ends) {
      if (end.attempt == lane.attempt() && end.stream.equals(lane.stream())) {
        return end;
      }
    }
    return null;
  }

  /** Whether the attempt, or a later one, has ended in any of its streams. */
  public static boolean isHeard(List<RunEnd> ends, long attempt) {
    return ends.stream().anyMatch(end -> end.attempt >= attempt);
  }
}
