package io.gradflow.core.norm;

import io.gradflow.core.Cell;
import io.gradflow.core.MemoryCell;
import io.gradflow.core.MemoryStore;
import io.gradflow.core.Store;
import io.gradflow.core.shard.Layout;

/**
 * The state of combining, of one rank group.
 *
 * @param index small, read with each event
 * @param layouts by manifest id
 * @param lanes progress
 * @param steps open ones and those still remembered
 * @param shards of open steps
 * @param waiting shards whose manifest is unknown, by ticket
 */
public record GroupState(
    Cell<GroupIndex> index,
    Store<Long, Layout> layouts,
    Store<Lane, GroupLane> lanes,
    Store<LaneStep, GroupStep> steps,
    Store<ContributionKey, HeldShard> shards,
    Store<Long, HeldShard> waiting) {

  /** Empty state in memory. */
  public static GroupState inMemory() {
    return new GroupState(
        new MemoryCell<>(),
        new MemoryStore<>(),
        new MemoryStore<>(),
        new MemoryStore<>(),
        new MemoryStore<>(),
        new MemoryStore<>());
  }
}
