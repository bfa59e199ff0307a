package io.gradflow.cli;

import java.io.IOException;
import java.net.URI;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.slf4j.LoggerFactory;

/** The browser of whoever sits before this machine, if anybody does. */
final class Browser {
  private Browser() {}

  /** Shows the page in it, or does nothing when there is none. */
  static void open(URI page) {
    opener(System.getProperty("os.name"), System.getenv())
        .ifPresent(
            program -> {
              try {
                new ProcessBuilder(List.of(program, page.toString()))
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
              } catch (IOException e) {
                LoggerFactory.getLogger(Browser.class).info("No browser was opened", e);
              }
            });
  }

  /**
   * The program that opens an address on that system.
   *
   * @return empty where nobody could see a window
   */
  static Optional<String> opener(String system, Map<String, String> environment) {
    if (system.toLowerCase(Locale.ROOT).startsWith("mac")) {
      return Optional.of("open");
    }
    boolean desktop =
        !environment.getOrDefault("DISPLAY", "").isEmpty()
            || !environment.getOrDefault("WAYLAND_DISPLAY", "").isEmpty();
    return desktop ? Optional.of("xdg-open") : Optional.empty();
  }
}
