package io.gradflow.core.compare;

import io.gradflow.core.StepId;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;

/**
 * Which steps make up a run as it stands now: of a step its highest revision; of an attempt that
 * went back to a checkpoint and did steps again, its own from there on. What the attempt before had
 * done beyond is abandoned.
 *
 * <p>Holds some 100 bytes a step. For one stream of a run.
 */
public final class RunTimeline {
  private final NavigableMap<Long, NavigableMap<Long, Long>> revisions;

  /** Without any step. */
  public RunTimeline() {
    this(new TreeMap<>());
  }

  private RunTimeline(NavigableMap<Long, NavigableMap<Long, Long>> revisions) {
    this.revisions = revisions;
  }

  /** Adds a whole step as it was read; in any order, any number of times. */
  public void add(StepId id, long revision) {
    revisions
        .computeIfAbsent(id.attempt(), attempt -> new TreeMap<>())
        .merge(id.step(), revision, Math::max);
  }

  /** The attempts seen, ascending. */
  public Set<Long> attempts() {
    return revisions.keySet();
  }

  /** What this attempt did alone, abandoned steps included. */
  public RunTimeline ofAttempt(long attempt) {
    NavigableMap<Long, Long> own = revisions.getOrDefault(attempt, new TreeMap<>());
    return new RunTimeline(new TreeMap<>(Map.of(attempt, own)));
  }

  /** All of it. */
  public SpanSteps all() {
    return span(Long.MIN_VALUE, Long.MAX_VALUE);
  }

  /**
   * The steps that exist from one number to another.
   *
   * @param to inclusive
   */
  public SpanSteps span(long from, long to) {
    NavigableMap<Long, StepVersion> standing = new TreeMap<>();
    long abandonedFrom = Long.MAX_VALUE;
    for (var attempt : revisions.descendingMap().entrySet()) {
      long end = abandonedFrom;
      attempt
          .getValue()
          .forEach(
              (step, revision) -> {
                if (step < end && step >= from && step <= to) {
                  standing.put(step, new StepVersion(attempt.getKey(), revision));
                }
              });
      if (!attempt.getValue().isEmpty()) {
        abandonedFrom = Math.min(abandonedFrom, attempt.getValue().firstKey());
      }
    }
    return new SpanSteps(standing);
  }

  /** Which record of a step counts. */
  record StepVersion(long attempt, long revision) {}
}
