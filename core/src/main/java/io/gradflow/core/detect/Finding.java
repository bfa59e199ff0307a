package io.gradflow.core.detect;

/**
 * A detector's verdict on one layer or rank at one step.
 *
 * @param shadow the rule is in {@link Rule.Mode#SHADOW}: recorded, and opens nothing
 * @param layer null when no layer is named
 * @param rank null when no rank is named
 * @param onsetStep estimated first sick step, at most the step of the finding
 * @param score the larger the more suspect, among findings of one kind and onset
 * @param observed what was measured, in {@code unit}
 * @param threshold what it had to exceed, in {@code unit}
 * @param tailSteps the last steps at which the layer had a value, oldest first
 * @param tail log2 RMS of the layer at these steps; empty when no layer is named
 * @param message one plain sentence
 * @param advice what to do; null when there is none
 * @param sign how the rank shows that it is sick; null where the kind says it already
 * @param host, device of the rank; null when none is named or its trainer does not say
 */
public record Finding(
    FindingKind kind,
    boolean shadow,
    Severity severity,
    String layer,
    Integer rank,
    long onsetStep,
    double score,
    double observed,
    double threshold,
    String unit,
    long[] tailSteps,
    double[] tail,
    String message,
    String advice,
    Sign sign,
    String host,
    String device) {

  /** A finding that says nothing of where a rank runs. */
  public Finding(
      FindingKind kind,
      boolean shadow,
      Severity severity,
      String layer,
      Integer rank,
      long onsetStep,
      double score,
      double observed,
      double threshold,
      String unit,
      long[] tailSteps,
      double[] tail,
      String message,
      String advice) {
    this(
        kind, shadow, severity, layer, rank, onsetStep, score, observed, threshold, unit, tailSteps,
        tail, message, advice, null, null, null);
  }

  /** Whether the optimiser skipped steps in a row, be the gradient finite or not. */
  public boolean isOfSkips() {
    return kind == FindingKind.NON_FINITE && unit.equals(NonFiniteDetector.SKIPS);
  }

  /** Whether a router has left experts without work. */
  public boolean isOfExperts() {
    return kind == FindingKind.DEAD_LAYER && unit.equals(RouterCollapseDetector.EXPERTS);
  }

  /** Whether a rank sent two records under one identity. */
  public boolean isOfRecords() {
    return kind == FindingKind.CONTRACT && unit.equals(ContractDetector.RECORDS);
  }
}
