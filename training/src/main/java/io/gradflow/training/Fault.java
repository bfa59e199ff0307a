package io.gradflow.training;

import java.util.List;

/**
 * What goes wrong in a training, known before it starts.
 *
 * @param kind the scenario it belongs to, never {@link Scenario#HEALTHY}
 * @param step the first step it acts on
 * @param layer name of the layer it acts on; null when it acts on none
 * @param rank the rank it acts on; null when it acts on all alike
 */
public record Fault(Scenario kind, long step, String layer, Integer rank) {

  /** The same fault from another step on. */
  public Fault atStep(long step) {
    return new Fault(kind, step, layer, rank);
  }

  /** The same fault of another layer; one that acts on none stays as it is. */
  public Fault onLayer(String layer) {
    return this.layer == null ? this : new Fault(kind, step, layer, rank);
  }

  /** The same fault of another rank; one that acts on all alike stays as it is. */
  public Fault onRank(int rank) {
    return this.rank == null ? this : new Fault(kind, step, layer, rank);
  }

  /**
   * Returns if such a training can have the fault.
   *
   * @throws IllegalArgumentException when it has no such step, layer or rank
   */
  public void requireWithin(TrainingPolicy policy) {
    List<Layer> layers = ResidualNetwork.layers(policy);
    if (step < 0 || step >= policy.steps()) {
      throw new IllegalArgumentException(
          "fault %s: expected a step from 0 to %d, as the run has %d steps, got %d"
              .formatted(kind.label(), policy.steps() - 1, policy.steps(), step));
    }
    if (layer != null && layers.stream().noneMatch(l -> l.name().equals(layer))) {
      throw new IllegalArgumentException(
          "fault %s: expected a layer of the network, got %s".formatted(kind.label(), layer));
    }
    if (rank != null && (rank < 0 || rank >= policy.ranks())) {
      throw new IllegalArgumentException(
          "fault %s: expected a rank from 0 to %d, got %d"
              .formatted(kind.label(), policy.ranks() - 1, rank));
    }
  }
}
