package io.gradflow.dashboard.live;

import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;

/**
 * An incident as it stands.
 *
 * @param alert the latest of it
 * @param offset of that alert
 * @param bytes that it takes of memory, about
 * @param verdict the latest; null if there is none
 */
public record IncidentRow(Alert alert, long offset, int bytes, Feedback verdict) {
  IncidentRow judged(Feedback latest) {
    return new IncidentRow(alert, offset, bytes, latest);
  }

  /** Whether it is neither resolved nor expired. */
  public boolean isOpen() {
    return alert.state() == Alert.State.OPENED || alert.state() == Alert.State.UPDATED;
  }
}
