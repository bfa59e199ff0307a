package io.gradflow.dashboard.forward;

import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import java.util.Set;

/**
 * Which alerts are forwarded. An incident's severity never falls, so that whoever hears of it hears
 * of its end.
 *
 * @param least the mildest severity
 * @param runs of which runs; empty: of all
 */
public record Selection(Severity least, Set<String> runs) {
  /** Copies the names. */
  public Selection {
    runs = Set.copyOf(runs);
  }

  boolean takes(Alert alert) {
    return alert.severity().compareTo(least) >= 0
        && (runs.isEmpty() || runs.contains(alert.runId()));
  }
}
