package io.gradflow.cli;

import io.gradflow.core.incident.Alert;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
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
    opening = opening == null && !alert.kind().isAdvice() ? alert : opening;
    return true;
  }

  /** The first alert that is no advice; null before it came. */
  Alert opening() {
    return opening;
  }

  /** The latest transition of each, advice included. */
  Collection<Alert> latest() {
    return latest.values();
  }

  /** The latest transition of each that is no advice. */
  List<Alert> faults() {
    return latest.values().stream().filter(alert -> !alert.kind().isAdvice()).toList();
  }

  /** The latest transition of each piece of advice. */
  List<Alert> advice() {
    return latest.values().stream().filter(alert -> alert.kind().isAdvice()).toList();
  }
}
