package io.gradflow.core.norm;

import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.RunEvent;
import java.util.List;

/**
 * A step as far as its groups' parts have come: open, or closed and incomplete, so that what comes
 * late revises it.
 *
 * @param firstAt arrival of the first part, ms
 * @param writtenAt when the broker took the first shard of the first part, ms
 * @param closedBy the weakest reason of the parts and, once closed, of the step
 * @param torn a group says that reading began in the middle of the step
 * @param late published after a later step had left
 * @param receivedLocal per rank group: its ranks all of whose parts of that stage are in
 * @param receivedReduced likewise
 * @param conflicting per rank group: its ranks that contradicted themselves
 * @param sums of the parts
 * @param events that precede the step; known once it is closed
 * @param signals that depend on the steps before it; null until it is closed, and of a late one
 */
public record RunStep(
    long firstAt,
    long writtenAt,
    ClosedBy closedBy,
    boolean torn,
    boolean late,
    long[] receivedLocal,
    long[] receivedReduced,
    long[] conflicting,
    StepSums sums,
    List<RunEvent> events,
    TrackedSignals signals) {

  static RunStep opened(int groups, boolean late, long now, long writtenAt) {
    return new RunStep(
        now,
        writtenAt,
        ClosedBy.COMPLETE,
        false,
        late,
        new long[groups],
        new long[groups],
        new long[groups],
        StepSums.NONE,
        List.of(),
        null);
  }

  /** With a part or a revision of one. */
  RunStep with(Layout layout, StepDelta delta) {
    receivedLocal[delta.group()] |= delta.receivedLocal();
    receivedReduced[delta.group()] |= delta.receivedReduced();
    conflicting[delta.group()] |= delta.conflicting();
    return new RunStep(
        firstAt,
        writtenAt,
        delta.closedBy() == null ? closedBy : weaker(closedBy, delta.closedBy()),
        torn || delta.torn(),
        late,
        receivedLocal,
        receivedReduced,
        conflicting,
        sums.with(layout, delta.sums()),
        events,
        signals);
  }

  /** Closed for a reason, after events. */
  RunStep closed(ClosedBy reason, List<RunEvent> preceding) {
    return new RunStep(
        firstAt,
        writtenAt,
        weaker(closedBy, reason),
        torn,
        late,
        receivedLocal,
        receivedReduced,
        conflicting,
        sums,
        preceding,
        signals);
  }

  /** With what the steps before it say of it. */
  RunStep tracked(TrackedSignals tracked) {
    return new RunStep(
        firstAt,
        writtenAt,
        closedBy,
        torn,
        late,
        receivedLocal,
        receivedReduced,
        conflicting,
        sums,
        events,
        tracked);
  }

  /** The reason that says less of a step: the order is COMPLETE, QUORUM, TIMEOUT, FINISHED. */
  private static ClosedBy weaker(ClosedBy a, ClosedBy b) {
    return a.compareTo(b) >= 0 ? a : b;
  }
}
