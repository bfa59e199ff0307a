package io.gradflow.training.zoo;

import io.gradflow.core.shard.RunEvent;
import java.util.List;
import java.util.Map;

/**
 * Runs a trial beside its healthy twin and says whether its fault did harm: only then it counts.
 * Judges by what was learnt, never by gradients: these are what detectors see.
 */
public final class Oracle {

  /** Sees nothing. */
  public static final ZooObserver NOBODY =
      new ZooObserver() {
        @Override
        public void step(ZooStep step) {}

        @Override
        public void event(
            int attempt,
            int stream,
            long step,
            RunEvent.Type type,
            Map<String, String> attributes) {}
      };

  private Oracle() {}

  /**
   * Runs a trial, and its twin where it has one, step by step.
   *
   * @param faulty sees the trial's training
   * @param healthy sees the twin
   * @return the trial's truth, its episodes excluded or not
   */
  public static Truth run(Trial trial, ZooObserver faulty, ZooObserver healthy) {
    ZooTraining training = trial.training();
    ZooTraining twin = trial.twin();
    boolean more = true;
    while (more) {
      more = training.advance(faulty);
      if (twin != null) {
        twin.advance(healthy);
      }
    }
    return new Truth(List.copyOf(trial.truth().episodes()), null, trial.truth().expectedMiss());
  }
}
