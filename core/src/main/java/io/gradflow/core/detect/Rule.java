package io.gradflow.core.detect;

import java.util.Map;

/**
 * A change to the detection policy, published while the jobs run.
 *
 * @param scope the run it is for, or {@code *} for all; a run's own rule goes before the general
 *     one
 * @param kind the detector it is for
 * @param policyVersion of the policy this rule belongs to, ascending; alerts name the highest that
 *     was in force
 * @param mode what becomes of the detector's findings
 * @param thresholds the detector's settings by name, those to be changed; an unknown name or an
 *     impossible value makes the rule void, and the policy before it stays in force
 */
public record Rule(
    String scope, FindingKind kind, long policyVersion, Mode mode, Map<String, Double> thresholds) {

  /** What becomes of a detector's findings. */
  public enum Mode {
    /** Evaluated and published. */
    ENABLED,
    /** Evaluated and counted, not published. */
    SHADOW,
    /** Not reported. Its baselines are kept, so that it can be enabled at any time. */
    OFF
  }
}
