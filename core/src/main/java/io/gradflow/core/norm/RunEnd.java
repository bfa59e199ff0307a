package io.gradflow.core.norm;

/**
 * A run's own word that it is over.
 *
 * @param step its last one
 * @param arrivedAt when it was heard, ms
 */
public record RunEnd(long attempt, String stream, long step, long arrivedAt) {
  /** Whether it speaks of the lane. */
  boolean ends(Lane lane) {
    return attempt == lane.attempt() && stream.equals(lane.stream());
  }
}
