package io.gradflow.cli;

import io.gradflow.training.Fault;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.util.Optional;

/**
 * What a run of the demo is going to be.
 *
 * @param scenario its name
 * @param policy of the training
 * @param fault known before it starts; a later strike takes its place
 */
record DemoPlan(Scenario scenario, TrainingPolicy policy, Optional<Fault> fault) {
  /**
   * Checks that the training can have the fault.
   *
   * @throws IllegalArgumentException when it cannot
   */
  DemoPlan {
    fault.ifPresent(known -> known.requireWithin(policy));
  }
}
