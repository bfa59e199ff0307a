package io.gradflow.cli;

import io.gradflow.core.incident.Alert;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * The incidents behind a sequence of alerts: of each the latest transition, in the order of
 * opening. An alert read twice changes nothing.
 */
final class Incidents {
  private final Map<String, Alert> latest = new LinkedHashMap<>();
  private Alert opening;

  /**
   * Takes one alert.
   *
   * @return whether it says something new
   */
  boolean add(Alert alert) {
    Alert before = latest.get(alert.incidentId());
    if (before != null && before.transition() >= alert.transition()) {
      return false;
    }
    latest.put(alert.incidentId(), alert);
    opening = opening == null ? alert : opening;
    return true;
  }

  /** The first alert of all; null before it came. */
  Alert opening() {
    return opening;
  }

  /** The latest transition of each. */
  Collection<Alert> latest() {
    return latest.values();
  }
}
