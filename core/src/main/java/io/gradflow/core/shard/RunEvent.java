package io.gradflow.core.shard;

import java.util.Map;

/**
 * Something that happened to a run and that its gradients do not tell.
 *
 * @param step the last step published before the event; of {@code FINISHED}: the run's last step
 * @param at when, ms since the epoch
 * @param attributes details by name, e.g. {@code learningRate, batch, lossScale, schedule,
 *     checkpoint}
 */
public record RunEvent(
    String runId,
    long attempt,
    String stream,
    long step,
    Type type,
    long at,
    Map<String, String> attributes) {

  /** What happened. */
  public enum Type {
    STARTED,
    EVAL,
    CHECKPOINT,
    CHANGED,
    PAUSED,
    RESUMED,
    FINISHED
  }
}
