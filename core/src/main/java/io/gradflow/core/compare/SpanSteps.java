package io.gradflow.core.compare;

import io.gradflow.core.compare.RunTimeline.StepVersion;
import io.gradflow.core.norm.Step;
import java.util.Arrays;
import java.util.SortedMap;

/** The steps of a span, ascending, and of each the attempt and revision that count. Immutable. */
public final class SpanSteps {
  private final long[] steps;
  private final StepVersion[] versions;

  SpanSteps(SortedMap<Long, StepVersion> standing) {
    steps = standing.keySet().stream().mapToLong(Long::longValue).toArray();
    versions = standing.values().toArray(StepVersion[]::new);
  }

  /** How many. */
  public int size() {
    return steps.length;
  }

  /** Whether there is none. */
  public boolean isEmpty() {
    return steps.length == 0;
  }

  /** Number of the first; there must be one. */
  public long first() {
    return steps[0];
  }

  /** Number of the last; there must be one. */
  public long last() {
    return steps[steps.length - 1];
  }

  /** The attempts that the steps are of, ascending. */
  public long[] attempts() {
    return Arrays.stream(versions).mapToLong(StepVersion::attempt).sorted().distinct().toArray();
  }

  /** The place of a step in the span, from 0; -1 if it, or this version of it, is not in it. */
  public int ordinal(Step step) {
    int at = Arrays.binarySearch(steps, step.id().step());
    boolean counts =
        at >= 0
            && versions[at].attempt() == step.id().attempt()
            && versions[at].revision() == step.revision();
    return counts ? at : -1;
  }
}
