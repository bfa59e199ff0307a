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
import org.awaitility.Awaitility;

/**
 * {@code ./gradflow screenshots}: the pictures of the page in the documentation, of a demo in which
 * one fault after the other is struck.
 */
public final class Screenshots {
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

  private final DemoOnPage demo;
  private final Chromium chromium;
  private final Path out;

  private Screenshots(DemoOnPage demo, Chromium chromium, Path out) {
    this.demo = demo;
    this.chromium = chromium;
    this.out = out;
  }

  /** Takes them all; the one option is {@code --out FOLDER}. */
  public static void main(String[] args) throws IOException {
    if (args.length != 0 && !(args.length == 2 && args[0].equals("--out"))) {
      System.err.println(
          "gradflow: screenshots: expected nothing or --out FOLDER, got " + String.join(" ", args));
      System.exit(2);
    }
    Path out = Path.of(args.length == 2 ? args[1] : "docs/images");
    Files.createDirectories(out);
    try (Chromium chromium = Chromium.start();
        DemoOnPage demo =
            DemoOnPage.start(
                TrainingPolicy.ofSeed(7).withSteps(1_000_000).withStepsPerSecond(30.0))) {
      new Screenshots(demo, chromium, out).take();
    }
    System.exit(0); // Flink leaves threads behind that nobody waits for.
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
