package io.gradflow.training.zoo;

import io.gradflow.core.shard.RunEvent;
import java.util.Map;

/** Sees a training of the zoo while it runs, on the training's thread. */
public interface ZooObserver {
  /** A step of a stream; steps that are not published (sampling) are not seen. */
  void step(ZooStep step);

  /**
   * Something that the trainer declares.
   *
   * @param step the last step published before it, -1: none yet
   */
  void event(
      int attempt, int stream, long step, RunEvent.Type type, Map<String, String> attributes);
}
