package io.gradflow.dashboard.web;

import java.util.List;

/** A training that the page may steer, where there is one. Safe for use by several threads. */
public interface DemoControl {
  /**
   * How the training stands.
   *
   * @param layers names of the layers that a fault may be put in
   * @param step the last one trained, -1 before the first
   * @param steps how many it has
   * @param fault null if there is none
   */
  record State(
      String run,
      String scenario,
      List<String> scenarios,
      List<String> layers,
      int ranks,
      long step,
      long steps,
      boolean running,
      Fault fault) {}

  /**
   * A fault in the training.
   *
   * @param step it begins at
   * @param layer, rank it is in; null where the scenario has none
   */
  record Fault(String scenario, long step, String layer, Integer rank) {}

  /** How the training stands now. */
  State state();

  /**
   * Puts a fault in the running training, in place of the one before; {@code healthy} takes it
   * back.
   *
   * @param layer, rank null: the scenario's own
   * @return the step that it begins at
   * @throws IllegalArgumentException if there is no such scenario, layer or rank, in one line
   * @throws IllegalStateException if the training has ended, in one line
   */
  long strike(String scenario, String layer, Integer rank);

  /**
   * Ends the training and begins another.
   *
   * @return the new run
   * @throws IllegalArgumentException if there is no such scenario, in one line
   */
  String restart(String scenario, long seed);
}
