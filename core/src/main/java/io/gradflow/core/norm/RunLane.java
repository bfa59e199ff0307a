package io.gradflow.core.norm;

import java.util.Arrays;

/**
 * How far a lane of a run is.
 *
 * @param open steps not closed yet, ascending
 * @param closed the last steps closed, ascending
 * @param lastClosed highest closed step, -1 if none
 * @param settled whether a step has been closed that was not torn
 * @param groupFirst per rank group: the first step it closed, -1 if none
 * @param groupLast per rank group: the highest step it closed, -1 if none
 * @param misses per rank group: closed steps in a row without it
 * @param lastDeltaAt ms
 */
public record RunLane(
    long[] open,
    long[] closed,
    long lastClosed,
    boolean settled,
    long[] groupFirst,
    long[] groupLast,
    int[] misses,
    long lastDeltaAt) {

  static RunLane fresh(int groups) {
    long[] none = new long[groups];
    Arrays.fill(none, -1);
    return new RunLane(new long[0], new long[0], -1, false, none, none.clone(), new int[groups], 0);
  }

  /** After a group closed its part of a step. */
  RunLane heard(int group, long step, long now) {
    groupFirst[group] = groupFirst[group] < 0 ? step : Math.min(groupFirst[group], step);
    groupLast[group] = Math.max(groupLast[group], step);
    misses[group] = 0;
    return with(open, closed, lastClosed, settled, now);
  }

  RunLane opened(long step) {
    return with(Steps.with(open, step), closed, lastClosed, settled, lastDeltaAt);
  }

  /** The lowest open step closed. */
  RunLane closed(long step, boolean torn) {
    return with(
        Steps.without(open, step),
        Steps.with(closed, step),
        Math.max(lastClosed, step),
        settled || !torn,
        lastDeltaAt);
  }

  /** With a step that came after a later one had closed. */
  RunLane overtaken(long step) {
    return with(open, Steps.with(closed, step), lastClosed, settled, lastDeltaAt);
  }

  /** Without the memory of the lowest closed step. */
  RunLane forgotten() {
    return with(
        open, Arrays.copyOfRange(closed, 1, closed.length), lastClosed, settled, lastDeltaAt);
  }

  private RunLane with(
      long[] nowOpen, long[] nowClosed, long nowLast, boolean nowSettled, long nowHeard) {
    return new RunLane(
        nowOpen, nowClosed, nowLast, nowSettled, groupFirst, groupLast, misses, nowHeard);
  }
}
