package io.gradflow.core.norm;

import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Stage;
import java.util.Arrays;

/**
 * How far a lane is in one rank group. Ranks are counted within the group.
 *
 * @param open steps not closed yet, ascending
 * @param closed the last steps closed, ascending
 * @param lastClosed highest closed step, -1 if none
 * @param settled whether a step has been closed that was not torn
 * @param awaitedLocal ranks that are waited for, as a bitmap
 * @param awaitedReduced likewise
 * @param misses closed steps in a row without the rank: LOCAL of 64 ranks, then REDUCED
 * @param firstSent per rank: the step of the first shard seen, -1 if none
 * @param lastSent per rank: the highest step sent, -1 if none
 * @param lastShardAt ms
 * @param conflicting ranks that contradicted themselves about closed steps since the last closed
 */
public record GroupLane(
    long[] open,
    long[] closed,
    long lastClosed,
    boolean settled,
    long awaitedLocal,
    long awaitedReduced,
    int[] misses,
    long[] firstSent,
    long[] lastSent,
    long lastShardAt,
    long conflicting) {

  private static final int RANKS = Layout.GROUP_SIZE;

  static GroupLane fresh() {
    long[] none = new long[RANKS];
    Arrays.fill(none, -1);
    return new GroupLane(
        new long[0], new long[0], -1, false, -1, -1, new int[2 * RANKS], none, none.clone(), 0, 0);
  }

  /** Whether the rank of a stage is waited for. */
  long awaited(Stage stage) {
    return stage == Stage.LOCAL ? awaitedLocal : awaitedReduced;
  }

  /** After a shard of a rank: it is awaited again. */
  GroupLane heard(Stage stage, int member, long step, long now) {
    misses[slot(stage, member)] = 0;
    firstSent[member] = firstSent[member] < 0 ? step : Math.min(firstSent[member], step);
    lastSent[member] = Math.max(lastSent[member], step);
    long bit = 1L << member;
    return new GroupLane(
        open,
        closed,
        lastClosed,
        settled,
        stage == Stage.LOCAL ? awaitedLocal | bit : awaitedLocal,
        stage == Stage.REDUCED ? awaitedReduced | bit : awaitedReduced,
        misses,
        firstSent,
        lastSent,
        now,
        conflicting);
  }

  private static int slot(Stage stage, int member) {
    return stage == Stage.REDUCED ? RANKS + member : member;
  }

  /** With one more open step. */
  GroupLane opened(long step) {
    return with(Steps.with(open, step), closed, lastClosed, settled);
  }

  /** The lowest open step closed; {@code missing} ranks were due and sent nothing of the stage. */
  GroupLane closed(
      long step, boolean torn, long missingLocal, long missingReduced, int patienceSteps) {
    long gone = miss(Stage.LOCAL, missingLocal & awaitedLocal, patienceSteps);
    long goneReduced = miss(Stage.REDUCED, missingReduced & awaitedReduced, patienceSteps);
    return new GroupLane(
        Steps.without(open, step),
        Steps.with(closed, step),
        Math.max(lastClosed, step),
        settled || !torn,
        awaitedLocal & ~gone,
        awaitedReduced & ~goneReduced,
        misses,
        firstSent,
        lastSent,
        lastShardAt,
        0);
  }

  private long miss(Stage stage, long missing, int patienceSteps) {
    long gone = 0;
    for (int member = 0; member < RANKS; member++) {
      if ((missing & 1L << member) != 0 && ++misses[slot(stage, member)] >= patienceSteps) {
        gone |= 1L << member;
      }
    }
    return gone;
  }

  /** With a rank's contradiction about a step that has closed. */
  GroupLane contradicted(int member) {
    return new GroupLane(
        open,
        closed,
        lastClosed,
        settled,
        awaitedLocal,
        awaitedReduced,
        misses,
        firstSent,
        lastSent,
        lastShardAt,
        conflicting | 1L << member);
  }

  /** With a step that came after a later one had closed. */
  GroupLane overtaken(long step) {
    return with(open, Steps.with(closed, step), lastClosed, settled);
  }

  /** Without the memory of the lowest closed step. */
  GroupLane forgotten() {
    return with(open, Arrays.copyOfRange(closed, 1, closed.length), lastClosed, settled);
  }

  private GroupLane with(long[] nowOpen, long[] nowClosed, long nowLast, boolean nowSettled) {
    return new GroupLane(
        nowOpen,
        nowClosed,
        nowLast,
        nowSettled,
        awaitedLocal,
        awaitedReduced,
        misses,
        firstSent,
        lastSent,
        lastShardAt,
        conflicting);
  }
}
