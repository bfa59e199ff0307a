package io.gradflow.dashboard.forward;

import io.gradflow.core.incident.Alert;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Tells a transition from its copies: alerts may be published twice, under one alertId, and an
 * alertId is a hash of incident and transition. Remembers the 50,000 incidents heard of last.
 */
final class Transitions {
  private static final int MOST = 50_000;

  private final Map<String, Integer> last =
      new LinkedHashMap<>(16, 0.75f, true) {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Integer> eldest) {
          return size() > MOST;
        }
      };

  /** Whether the alert is news, which it is once. */
  boolean add(Alert alert) {
    Integer before = last.get(alert.incidentId());
    if (before != null && before >= alert.transition()) {
      return false;
    }
    last.put(alert.incidentId(), alert.transition());
    return true;
  }
}
