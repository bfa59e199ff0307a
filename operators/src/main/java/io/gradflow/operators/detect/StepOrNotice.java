package io.gradflow.operators.detect;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RunNotice;

/**
 * What {@link DetectFindings} reads of a run: one of the two, the other is null.
 *
 * @param step a step or a part of one
 * @param notice a whole manifest or an event
 */
public record StepOrNotice(Step step, RunNotice notice) {
  /** A step or a part of one. */
  public static StepOrNotice of(Step step) {
    return new StepOrNotice(step, null);
  }

  /** A whole manifest or an event. */
  public static StepOrNotice of(RunNotice notice) {
    return new StepOrNotice(null, notice);
  }

  /** The run it belongs to: the key. */
  public String run() {
    return step != null ? step.id().runId() : notice.runId();
  }
}
