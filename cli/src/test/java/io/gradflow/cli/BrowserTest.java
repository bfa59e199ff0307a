package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import org.junit.jupiter.api.Test;

class BrowserTest {
  @Test
  void opensOnlyWhereSomebodyCanSeeAWindow() {
    assertThat(Browser.opener("Linux", Map.of("DISPLAY", ":0"))).hasValue("xdg-open");
    assertThat(Browser.opener("Linux", Map.of("WAYLAND_DISPLAY", "wayland-0")))
        .hasValue("xdg-open");
    assertThat(Browser.opener("Linux", Map.of("DISPLAY", ""))).isEmpty();
    assertThat(Browser.opener("Linux", Map.of())).isEmpty();
    assertThat(Browser.opener("Mac OS X", Map.of())).hasValue("open");
  }
}
