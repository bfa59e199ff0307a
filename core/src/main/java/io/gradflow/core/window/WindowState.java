package io.gradflow.core.window;

import io.gradflow.core.Cell;
import io.gradflow.core.MemoryCell;
import io.gradflow.core.MemoryStore;
import io.gradflow.core.Store;
import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.Step;

/**
 * The state of windows, of one run.
 *
 * @param index small, read with each event
 * @param names of layers, by manifest id
 * @param rows of the open windows' steps
 * @param waiting steps whose manifest is unknown, by ticket
 */
public record WindowState(
    Cell<WindowIndex> index,
    Store<Long, LayerNames> names,
    Store<LaneStep, WindowRow> rows,
    Store<Long, Step> waiting) {

  /** Empty state in memory. */
  public static WindowState inMemory() {
    return new WindowState(
        new MemoryCell<>(), new MemoryStore<>(), new MemoryStore<>(), new MemoryStore<>());
  }
}
