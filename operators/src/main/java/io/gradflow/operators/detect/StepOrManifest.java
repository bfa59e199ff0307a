package io.gradflow.operators.detect;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;

/**
 * What {@link DetectFindings} reads of a run: one of the two, the other is null.
 *
 * @param step a step or a part of one
 * @param manifest a whole manifest
 */
public record StepOrManifest(Step step, Manifest manifest) {
  /** A step or a part of one. */
  public static StepOrManifest of(Step step) {
    return new StepOrManifest(step, null);
  }

  /** A whole manifest. */
  public static StepOrManifest of(Manifest manifest) {
    return new StepOrManifest(null, manifest);
  }

  /** The run it belongs to: the key. */
  public String run() {
    return step != null ? step.id().runId() : manifest.runId();
  }
}
