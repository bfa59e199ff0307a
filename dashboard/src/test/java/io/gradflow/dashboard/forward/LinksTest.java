package io.gradflow.dashboard.forward;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Alert.State;
import java.net.URI;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class LinksTest {
  private final Links links =
      new Links(Optional.of("https://page/gradflow/"), Optional.of("https://book/detectors.md#"));

  @Test
  void theyLeadToTheIncidentAndToItsKind() {
    Alert alert = AlertOf.incident("i1", 0, State.OPENED);

    assertThat(links.incident(alert)).contains("https://page/gradflow/#run=run%20a&incident=i1");
    assertThat(links.runbook(alert)).contains("https://book/detectors.md#non_finite");
  }

  @Test
  void anyNameMakesAUrl() {
    String run = "a&b=c#d/é\u0000\n\ud83d\ude00\ud800" + "x".repeat(480);
    Alert alert = AlertOf.with("i&1", 0, State.OPENED, Severity.CRITICAL, run, "l", 1);

    String url = links.incident(alert).orElseThrow();

    assertThat(url)
        .startsWith("https://page/gradflow/#run=a%26b%3Dc%23d%2F%C3%A9%00%0A%F0%9F%98%80%3Fxxx")
        .endsWith("&incident=i%261");
    assertThat(URI.create(url).getPath()).isEqualTo("/gradflow/");
  }

  @Test
  void withoutAPageThereIsNone() {
    Alert alert = AlertOf.incident("i1", 0, State.OPENED);

    assertThat(new Links(Optional.empty(), Optional.empty()).incident(alert)).isEmpty();
  }
}
