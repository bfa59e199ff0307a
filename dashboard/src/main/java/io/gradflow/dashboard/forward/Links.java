package io.gradflow.dashboard.forward;

import io.gradflow.core.StepId;
import io.gradflow.core.incident.Alert;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.Optional;

/**
 * Where to read on.
 *
 * @param page base URL of the page; empty: there is none
 * @param runbook what the name of a kind, in lower case, makes the URL of its section; empty: there
 *     is none
 */
public record Links(Optional<String> page, Optional<String> runbook) {
  /** The page at the incident. */
  Optional<String> incident(Alert alert) {
    return page.map(
        base ->
            base.replaceAll("/+$", "")
                + "/#run="
                + encoded(alert.runId())
                + (alert.stream().equals(StepId.MAIN_STREAM)
                    ? ""
                    : "&stream=" + encoded(alert.stream()))
                + "&incident="
                + encoded(alert.incidentId()));
  }

  /** What to know about the kind. */
  Optional<String> runbook(Alert alert) {
    return runbook.map(base -> base + alert.kind().name().toLowerCase(Locale.ROOT));
  }

  private static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
  }
}
