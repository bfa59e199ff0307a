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
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

/**
 * The page's modules by themselves, in a browser: each exported function of each {@code *.test.js}
 * is a test, which fails when it throws.
 */
class PageModulesTest {
  private static final Path MODULES = Path.of("..", "dashboard", "src");
  private static final String FOLDER = "resources/io/gradflow/dashboard";
  private static final String ORIGIN = "http://page.test";

  private static Chromium chromium;
  private static BrowserContext context;

  @BeforeAll
  static void open() {
    chromium = Chromium.start();
    context = chromium.someone();
    context.route("**", PageModulesTest::answer);
  }

  @AfterAll
  static void close() {
    chromium.close();
  }

  @TestFactory
  Stream<DynamicContainer> modules() throws IOException {
    try (Stream<Path> files = Files.list(MODULES.resolve("test").resolve(FOLDER + "/page-tests"))) {
      return files
          .map(file -> file.getFileName().toString())
          .filter(name -> name.endsWith(".test.js"))
          .sorted()
          .toList()
          .stream()
          .map(PageModulesTest::module);
    }
  }

  private static DynamicContainer module(String name) {
    Page page = context.newPage();
    page.navigate(ORIGIN + "/page-tests/");
    Object names =
        page.evaluate("async name => Object.keys(await import('/page-tests/' + name))", name);
    assertThat((List<?>) names).as(name).isNotEmpty();
    return DynamicContainer.dynamicContainer(
        name,
        ((List<?>) names)
            .stream()
                .map(
                    test ->
                        DynamicTest.dynamicTest(
                            test.toString(),
                            () ->
                                page.evaluate(
                                    """
                                    async ([name, test]) => {
                                      try {
                                        await (await import('/page-tests/' + name))[test]();
                                      } catch (error) {
                                        throw new Error(`${name}, ${test}: ${error.message}`);
                                      }
                                    }""",
                                    List.of(name, test)))));
  }

  /** From the sources, as the page's server would; nothing is asked of a network. */
  private static void answer(Route route) {
    String path = URI.create(route.request().url()).getPath();
    if (path.equals("/page-tests/")) {
      route.fulfill(
          new Route.FulfillOptions()
              .setContentType("text/html; charset=utf-8")
              .setBody("<!doctype html><title>tests</title><body></body>"));
      return;
    }
    Path file =
        MODULES.resolve(path.startsWith("/page-tests/") ? "test" : "main").resolve(FOLDER + path);
    if (!Files.isRegularFile(file)) {
      route.fulfill(new Route.FulfillOptions().setStatus(404));
      return;
    }
    try {
      route.fulfill(
          new Route.FulfillOptions()
              .setContentType(path.endsWith(".css") ? "text/css" : "text/javascript")
              .setBodyBytes(Files.readAllBytes(file)));
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }
}
