package io.gradflow.core.norm;

import io.gradflow.core.StepId;

/** What has steps in one order: a stream of an attempt under one manifest. */
public record Lane(long attempt, String stream, long manifestId) {
  /** One of its steps. */
  public LaneStep at(long step) {
    return new LaneStep(attempt, stream, manifestId, step);
  }

  /** The id of one of its steps. */
  StepId id(String runId, long step) {
    return new StepId(runId, attempt, stream, step);
  }
}
