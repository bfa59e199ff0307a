package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.microsoft.playwright.BrowserContext;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.Route;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/** The page's modules by themselves, in a browser: each check of {@code page-tests} is a test. */
class PageModulesTest {
  private static final Path MODULES = Path.of("..", "dashboard", "src");
  private static final String FOLDER = "resources/io/gradflow/dashboard";
  private static final String CHECKS = "/page-tests/run.html";

  private static Chromium chromium;
  private static List<Map<String, String>> results;

  @BeforeAll
  @SuppressWarnings("unchecked")
  static void check() {
    chromium = Chromium.start();
    BrowserContext context = chromium.someone();
    context.route("**", PageModulesTest::answer);
    Page page = context.newPage();
    page.navigate("http://page.test" + CHECKS);
    page.waitForFunction("window.checks?.done");
    results = (List<Map<String, String>>) page.evaluate("window.checks.results");
  }

  @AfterAll
  static void close() {
    chromium.close();
  }

  @TestFactory
  Stream<DynamicTest> checks() {
    return results.stream()
        .map(
            result ->
                DynamicTest.dynamicTest(
                    result.get("file") + " " + result.get("name"),
                    () ->
                        assertThat(result.get("error"))
                            .as("%s %s", result.get("file"), result.get("name"))
                            .isNull()));
  }

  @Test
  void everyFileOfChecksIsRun() throws IOException {
    try (Stream<Path> files = Files.list(MODULES.resolve("test").resolve(FOLDER + "/page-tests"))) {
      assertThat(
              files
                  .map(file -> file.getFileName().toString())
                  .filter(name -> name.endsWith(".test.js"))
                  .map(name -> name.replace(".test.js", "")))
          .isNotEmpty()
          .isSubsetOf(results.stream().map(result -> result.get("file")).toList());
    }
  }

  /** From the sources, as the page's server would; nothing is asked of a network. */
  private static void answer(Route route) {
    String path = URI.create(route.request().url()).getPath();
    Path file =
        MODULES.resolve(path.startsWith("/page-tests/") ? "test" : "main").resolve(FOLDER + path);
    if (!Files.isRegularFile(file)) {
      route.fulfill(new Route.FulfillOptions().setStatus(404));
      return;
    }
    try {
      route.fulfill(
          new Route.FulfillOptions()
              .setContentType(path.endsWith(".html") ? "text/html" : "text/javascript")
              .setBodyBytes(Files.readAllBytes(file)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
