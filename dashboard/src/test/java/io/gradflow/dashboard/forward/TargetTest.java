package io.gradflow.dashboard.forward;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert.State;
import io.gradflow.dashboard.forward.Target.Kind;
import java.net.URI;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;

class TargetTest {
  @Test
  void whatItPrintsIsNoSecret() {
    Target target =
        new Target(
            Kind.WEBHOOK,
            1,
            URI.create("https://hooks.example.com:8443/services/T0/SECRET?token=SECRET"),
            Optional.of("Bearer SECRET"),
            Optional.of("SECRET"));

    assertThat(target).hasToString("webhook-1 at hooks.example.com:8443");
  }

  @Test
  void alertmanagersAreSpokenToThroughTheirApi() {
    assertThat(target("http://am:9093/prefix/").endpoint())
        .isEqualTo(URI.create("http://am:9093/prefix/api/v2/alerts"));
    assertThat(target("http://am:9093").endpoint())
        .isEqualTo(URI.create("http://am:9093/api/v2/alerts"));
  }

  @Test
  void eachUrlHasAGroupOfItsOwn() {
    assertThat(target("http://a").group("g")).matches("g-[0-9a-f]{16}");
    assertThat(target("http://a").group("g")).isEqualTo(target("http://a").group("g"));
    assertThat(target("http://a").group("g")).isNotEqualTo(target("http://b").group("g"));
  }

  @Test
  void credentialsBelongIntoAFile() {
    assertThatThrownBy(() -> target("http://user:SECRET@am"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "expected a URL without credentials, got some; put them into a file and name that");
    assertThatThrownBy(() -> target("am:9093"))
        .hasMessage("expected a URL like https://host:port/path");
  }

  @Test
  void selectionIsBySeverityAndRun() {
    Selection warnings = new Selection(Severity.WARNING, Set.of());
    assertThat(warnings.takes(AlertOf.incident("a", 0, State.OPENED))).isTrue();
    assertThat(warnings.takes(AlertOf.with("a", 0, State.OPENED, Severity.INFO, "run a", "l", 0)))
        .isFalse();
    Selection runs = new Selection(Severity.INFO, Set.of("run b"));
    assertThat(runs.takes(AlertOf.incident("a", 0, State.OPENED))).isFalse();
  }

  private static Target target(String url) {
    return new Target(Kind.ALERTMANAGER, 0, URI.create(url), Optional.empty(), Optional.empty());
  }
}
