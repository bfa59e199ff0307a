package io.gradflow.benchmarks.quality;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import java.util.List;

/** A system under test: what watches runs and gives alarm. Immutable. */
interface Watcher {
  /** The name in tables. */
  String name();

  /**
   * How sensitive it can be made, from the least to the most: what its main threshold is multiplied
   * by, as {@link #watch} takes it. One of them is {@link #standard}.
   */
  double[] factors();

  /** The factor of its defaults. */
  double standard();

  /** Whether its alarms name causes. */
  boolean classifies();

  /** Begins to watch a run. */
  Watch watch(double factor);

  /** One run under watch. */
  interface Watch {
    /** What a part of the run is made of. */
    void manifest(Manifest manifest);

    /**
     * A step of the run.
     *
     * @param at when it comes, on the run's clock
     */
    void step(long at, Step step);

    /** What it came to so far. */
    List<Alarm> alarms();
  }
}
