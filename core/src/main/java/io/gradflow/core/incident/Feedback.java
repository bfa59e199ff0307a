package io.gradflow.core.incident;

/**
 * A person's verdict on an incident. The latest of an incident counts.
 *
 * @param by who says so; null if unknown
 * @param at when, ms since the epoch
 * @param note free text; null if there is none
 */
public record Feedback(
    String runId, String incidentId, Verdict verdict, String by, long at, String note) {

  /** What somebody says of an incident. */
  public enum Verdict {
    /** It was a fault. */
    TRUE,
    /** There was none. */
    FALSE,
    /** It is known and harmless. */
    EXPECTED
  }
}
