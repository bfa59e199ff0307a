package io.gradflow.dashboard.forward;

import io.gradflow.core.Origin;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.State;
import io.gradflow.core.incident.Cause;
import java.util.List;

/** Alerts for tests. */
final class AlertOf {
  static final long NOON = 43_200_000;

  private AlertOf() {}

  static Alert incident(String incident, int transition, State state) {
    return with(incident, transition, state, Severity.CRITICAL, "run a", "block.0", 3);
  }

  static Alert with(
      String incident,
      int transition,
      State state,
      Severity severity,
      String run,
      String layer,
      Integer rank) {
    return new Alert(
        incident + "#" + transition,
        incident,
        transition,
        run,
        1,
        "main",
        state,
        FindingKind.NON_FINITE,
        severity,
        40,
        41,
        39,
        state == State.RESOLVED ? 50L : null,
        layer,
        rank,
        "host-1",
        "gpu 0",
        List.of(new Alert.Suspect(layer, rank, 2, "host-1", "gpu 0")),
        List.of(new Alert.Link(40, FindingKind.NON_FINITE, layer, rank, Double.NaN)),
        new Alert.Evidence(
            Double.NaN, 0, "values", new long[] {39, 40}, new double[] {0, Double.NaN}),
        "NaN in " + layer + ".",
        null,
        List.of(),
        0.9,
        0,
        false,
        NOON + 1_000L * transition,
        new Alert.Context(
            Cause.NUMERIC,
            "First this, then that.",
            2.5,
            Double.NaN,
            List.of(),
            38L,
            30L,
            "Go back to step 30."));
  }

  static Origin at(int partition, long offset) {
    return new Origin("gradient-alerts", partition, offset, NOON + offset);
  }
}
