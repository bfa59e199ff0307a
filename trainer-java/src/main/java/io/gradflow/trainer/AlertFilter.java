package io.gradflow.trainer;

import io.gradflow.core.incident.Alert;

/**
 * Whose alerts are followed.
 *
 * @param runId name of the run, 1 to 500 characters
 * @param attempt null: of any attempt
 * @param stream null: of any stream
 */
public record AlertFilter(String runId, Long attempt, String stream) {
  public AlertFilter {
    if (!PublisherOptions.isName(runId)) {
      throw new IllegalArgumentException("runId: expected 1 to 500 characters, got " + runId);
    }
  }

  /**
   * The alerts of what a publisher with these options publishes: of its run, attempt and stream.
   */
  public static AlertFilter of(PublisherOptions options) {
    return new AlertFilter(options.runId(), options.attempt(), options.stream());
  }

  boolean lets(Alert alert) {
    return runId.equals(alert.runId())
        && (attempt == null || attempt == alert.attempt())
        && (stream == null || stream.equals(alert.stream()));
  }
}
