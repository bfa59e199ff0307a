package io.gradflow.core.norm;

import io.gradflow.core.Cell;
import io.gradflow.core.MemoryCell;
import io.gradflow.core.MemoryStore;
import io.gradflow.core.Store;
import io.gradflow.core.shard.Layout;

/**
 * The state of assembling, of one run.
 *
 * @param index small, read with each event
 * @param layouts by manifest id
 * @param lanes progress
 * @param steps open ones, and closed ones that can still be revised
 * @param signals what signals remember from step to step
 * @param waiting parts whose manifest is unknown, by ticket
 */
public record RunState(
    Cell<AssemblyIndex> index,
    Store<Long, Layout> layouts,
    Store<Lane, RunLane> lanes,
    Store<LaneStep, RunStep> steps,
    Store<Lane, LaneSignals> signals,
    Store<Long, StepDelta> waiting) {

  /** Empty state in memory. */
  public static RunState inMemory() {
    return new RunState(
        new MemoryCell<>(),
        new MemoryStore<>(),
        new MemoryStore<>(),
        new MemoryStore<>(),
        new MemoryStore<>(),
        new MemoryStore<>());
  }
}
