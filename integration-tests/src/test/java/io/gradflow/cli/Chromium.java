package io.gradflow.cli;

import com.microsoft.playwright.Browser;
import com.microsoft.playwright.BrowserContext;
import com.microsoft.playwright.BrowserType;
import com.microsoft.playwright.Playwright;
import java.io.File;
import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;

/** The Chromium that this machine has. Of one thread, as all that Playwright makes. */
final class Chromium implements AutoCloseable {
  /** It asks nobody for anything of its own accord, and runs where there is no screen. */
  private static final List<String> QUIET =
      List.of(
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-background-networking",
          "--disable-component-update",
          "--disable-sync");

  private final Playwright playwright;
  private final Browser browser;

  private Chromium(Playwright playwright, Browser browser) {
    this.playwright = playwright;
    this.browser = browser;
  }

  static Chromium start() {
    Path program = program();
    Playwright playwright =
        Playwright.create(
            new Playwright.CreateOptions().setEnv(Map.of("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")));
    return new Chromium(
        playwright,
        playwright
            .chromium()
            .launch(new BrowserType.LaunchOptions().setExecutablePath(program).setArgs(QUIET)));
  }

  /**
   * A browser of its own that shows a page, and that nobody looks into: what tools for developers
   * remember of a page's network is not in its memory.
   *
   * @param profile an empty folder
   */
  static Process alone(URI address, Path profile) throws IOException {
    List<String> command = new ArrayList<>(List.of(program().toString(), "--headless"));
    command.addAll(QUIET);
    command.addAll(
        List.of("--window-size=1440,1000", "--user-data-dir=" + profile, address.toString()));
    return new ProcessBuilder(command)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(ProcessBuilder.Redirect.DISCARD)
        .start();
  }

  private static Path program() {
    return Stream.of(System.getenv("PATH").split(File.pathSeparator, -1))
        .map(folder -> Path.of(folder, "chromium"))
        .filter(Files::isExecutable)
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalStateException(
                    "the page's tests need chromium, found none on PATH; install it: apt-get install chromium"));
  }

  /** Somebody else before the same browser: nothing is remembered of the others. */
  BrowserContext someone(Browser.NewContextOptions options) {
    return browser.newContext(options);
  }

  BrowserContext someone() {
    return someone(new Browser.NewContextOptions().setViewportSize(1440, 1000));
  }

  @Override
  public void close() {
    playwright.close();
  }
}
