package io.gradflow.cli;

import com.microsoft.playwright.Browser;
import com.microsoft.playwright.BrowserContext;
import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.options.ColorScheme;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.incident.Alert;
import io.gradflow.schema.Codecs;
import io.gradflow.training.TrainingPolicy;
import java.io.IOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.awaitility.Awaitility;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * {@code ./gradflow screenshots}: the pictures of the page in the documentation, of a demo in which
 * one fault after the other is struck.
 */
@Command(
    name = "gradflow screenshots",
    description = {
      "Takes the pictures of the page in the documentation, light and dark, of a demo in which one"
          + " fault after the other is struck. Takes two minutes.",
      ""
    },
    mixinStandardHelpOptions = true)
final class Screenshots implements Callable<Integer> {
  private static final Duration PATIENCE = Duration.ofMinutes(2);
  private static final int WIDTH = 1440;
  private static final int HEIGHT = 900;

  /** Each view is drawn at most so often, and has then had time to ask for what it shows. */
  private static final double DRAWN_MS = 2_500;

  private static final Map<String, String> PARTS =
      Map.of(
          "heatmap", "#heat",
          "profile", "#profile",
          "histogram", "#histogram",
          "ranks", "#ranks",
          "incidents", "#incidents");

  @Option(
      names = "--out",
      paramLabel = "FOLDER",
      defaultValue = "docs/images",
      description = "Where the pictures go (default: ${DEFAULT-VALUE}).")
  private Path out;

  private DemoOnPage demo;
  private Chromium chromium;

  private Screenshots() {}

  /** Ends the JVM: Flink leaves threads behind that nobody waits for. */
  public static void main(String[] arguments) {
    System.exit(new CommandLine(new Screenshots()).execute(arguments));
  }

  @Override
  public Integer call() throws IOException {
    Files.createDirectories(out);
    try (Chromium browser = Chromium.start();
        DemoOnPage session =
            DemoOnPage.start(
                TrainingPolicy.ofSeed(7).withSteps(1_000_000).withStepsPerSecond(30.0))) {
      chromium = browser;
      demo = session;
      take();
    }
    return 0;
  }

  private void take() {
    String healthy = demo.session().state().run();
    awaitStep(400);
    String broken = demo.session().restart("healthy", 7);
    awaitStep(160);
    demo.session().strike("spike", "block9.weight", null);
    awaitStep(220);
    demo.session().strike("missing-rank", null, 2);
    awaitStep(245);
    demo.session().strike("healthy", null, null);
    awaitStep(300);
    demo.session().strike("exploding", "block4.weight", null);
    Alert exploding = awaitIncident(broken, FindingKind.EXPLODING_WEIGHTS);
    awaitStep(exploding.openedStep() + 30);
    demo.session().strike("healthy", null, null);
    awaitStep(exploding.openedStep() + 60);
    long newest = demo.session().state().step();
    Alert missing = awaitIncident(broken, FindingKind.MISSING_SHARDS);

    String span = "&span=" + (newest - newest % 50 + 50);
    String both = "run=" + encoded(broken) + span + "&to=" + newest + "&layer=block4.weight";
    for (ColorScheme scheme : List.of(ColorScheme.LIGHT, ColorScheme.DARK)) {
      try (BrowserContext context =
          chromium.someone(
              new Browser.NewContextOptions()
                  .setViewportSize(WIDTH, HEIGHT)
                  .setColorScheme(scheme))) {
        Page page = context.newPage();
        String incident = "&cursor=" + newest + "&incident=" + exploding.incidentId();
        // Weights alone: half the rows, and a picture half as large.
        show(page, both + incident + "&filter=weight");
        save(page, "overview", scheme);
        show(page, both + incident);
        for (String part : List.of("heatmap", "profile", "histogram", "incidents")) {
          save(page.locator(PARTS.get(part)), part, scheme);
        }
        show(
            page,
            both
                + "&rank=2&cursor="
                + (missing.openedStep() + 2)
                + "&incident="
                + missing.incidentId());
        save(page.locator(PARTS.get("ranks")), "ranks", scheme);
        show(page, both + "&cursor=" + newest + "&run2=" + encoded(healthy));
        save(page, "compare", scheme);
      }
    }
  }

  private void show(Page page, String hash) {
    page.navigate("about:blank");
    page.navigate(demo.address(hash));
    page.locator("#ranks tbody tr").first().waitFor();
    page.waitForTimeout(DRAWN_MS);
  }

  private void save(Page page, String name, ColorScheme scheme) {
    page.screenshot(new Page.ScreenshotOptions().setPath(file(name, scheme)));
    say(name, scheme);
  }

  private void save(Locator part, String name, ColorScheme scheme) {
    part.scrollIntoViewIfNeeded();
    part.page().waitForTimeout(DRAWN_MS / 5);
    part.screenshot(new Locator.ScreenshotOptions().setPath(file(name, scheme)));
    say(name, scheme);
  }

  private Path file(String name, ColorScheme scheme) {
    return out.resolve("page-%s-%s.png".formatted(name, scheme.name().toLowerCase(Locale.ROOT)));
  }

  private void say(String name, ColorScheme scheme) {
    System.out.println(file(name, scheme));
  }

  private void awaitStep(long step) {
    Awaitility.await().atMost(PATIENCE).until(() -> demo.session().state().step() >= step);
  }

  private Alert awaitIncident(String run, FindingKind kind) {
    return Awaitility.await()
        .atMost(PATIENCE)
        .until(
            () ->
                demo
                    .recorded(
                        Codecs.ALERTS, alert -> alert.runId().equals(run) && alert.kind() == kind)
                    .stream()
                    .findFirst(),
            Optional::isPresent)
        .orElseThrow()
        .value();
  }

  private static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }
}
