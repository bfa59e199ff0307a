package io.gradflow.training.zoo;

import java.util.List;
import java.util.function.Supplier;

/**
 * One training of a family, and what is wrong in it.
 *
 * @param family it belongs to
 * @param seed it was drawn from
 * @param options of the training and its twin
 * @param faults that strike it; empty of a healthy one, and of one whose network is the fault
 * @param truth what goes wrong, before {@link Oracle} has judged it: nothing is excluded yet
 * @param workload makes the network, for one training alone
 * @param healthy makes the twin's network; null of a healthy training, which has no twin
 */
public record Trial(
    Family family,
    long seed,
    ZooOptions options,
    List<ZooFault> faults,
    Truth truth,
    Supplier<Workload> workload,
    Supplier<Workload> healthy) {

  /** The training, at its start; every call gives another one of the same course. */
  public ZooTraining training() {
    return new ZooTraining(workload.get(), options, faults);
  }

  /**
   * The same training without the fault, at its start: the same bit for bit up to the onset; null
   * of a healthy training.
   */
  public ZooTraining twin() {
    return healthy == null ? null : new ZooTraining(healthy.get(), options, List.of());
  }
}
