package io.gradflow.cli;

import static com.microsoft.playwright.assertions.PlaywrightAssertions.assertThat;
import static org.assertj.core.api.Assertions.assertThat;

import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.microsoft.playwright.Browser;
import com.microsoft.playwright.BrowserContext;
import com.microsoft.playwright.Locator;
import com.microsoft.playwright.Page;
import com.microsoft.playwright.assertions.PlaywrightAssertions;
import com.microsoft.playwright.options.AriaRole;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.shard.Capture;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import io.gradflow.dashboard.Dashboard;
import io.gradflow.dashboard.web.DashboardOptions;
import io.gradflow.schema.Codecs;
import io.gradflow.trainer.GradientPublisher;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.training.TrainingPolicy;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.regex.Pattern;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The page before a browser, on the demo: what people see and do there. */
@Timeout(180)
class PageTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);
  private static final long SHOWN_WITHIN_MS = 2_000;

  /** Steps after which the detectors know what is usual. */
  private static final long WARM = 90;

  private static final double NEVER = 1e18;

  /** Notes when what people look for is in the document for the first time. */
  private static final String WATCH =
      """
      window.firstSeen = {};
      window.violations = [];
      addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI));
      const note = (what) => { firstSeen[what] ??= Date.now(); };
      new MutationObserver(() => {
        for (const kind of document.querySelectorAll('#incidents .group-open .card-kind')) note(`card ${kind.textContent}`);
        for (const rank of document.querySelectorAll('#ranks tbody button')) note(`rank ${rank.textContent}`);
        const step = document.querySelector('#heat .readout b')?.textContent.replace(/\\D/g, '');
        if (step) note(`step ${step}`);
        const label = document.querySelector('#heat .stage')?.getAttribute('aria-label') ?? '';
        if (/ [1-9]\\d* rows hold NaN/.test(label)) note('heat NaN');
      }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
      """;

  private static DemoOnPage demo;
  private static Chromium chromium;

  private final List<BrowserContext> contexts = new ArrayList<>();
  private final List<String> objections = new ArrayList<>();

  @BeforeAll
  static void start() {
    PlaywrightAssertions.setDefaultAssertionTimeout((double) PATIENCE.toMillis());
    chromium = Chromium.start();
    demo = DemoOnPage.start(TrainingPolicy.ofSeed(1).withSteps(1_000_000).withStepsPerSecond(40.0));
  }

  @AfterAll
  static void stop() {
    demo.close();
    chromium.close();
  }

  /** Of every page of every test: no error, no dialog, nothing asked of anybody else. */
  @AfterEach
  void nothingIsObjectedTo() {
    for (BrowserContext context : contexts) {
      for (Page page : context.pages()) {
        ((List<?>) page.evaluate("window.violations ?? []"))
            .forEach(violation -> objections.add("policy violated: " + violation));
      }
      context.close();
    }
    assertThat(objections).isEmpty();
  }

  @ParameterizedTest
  @CsvSource({
    "exploding, EXPLODING_WEIGHTS, block4.weight, ",
    "nan, NON_FINITE, block7.weight, 2",
    "missing-rank, MISSING_SHARDS, , 1"
  })
  void aFaultStruckFromThePageIsShownWithinTwoSecondsOfItsAlert(
      String scenario, FindingKind kind, String layer, Integer rank) {
    String run = demo.session().restart("healthy", 11);
    Page page = open("run=" + encoded(run));
    awaitStep(WARM);
    Locator controls = page.getByRole(AriaRole.REGION, named("Demo"));
    choice(controls, "scenario").selectOption(scenario);
    choice(controls, "layer").selectOption(layer == null ? "" : layer);
    choice(controls, "rank").selectOption(rank == null ? "" : rank.toString());
    button(controls, "Strike now").click();

    String kindName = name(page, kind);
    awaitSeen(page, "card " + kindName);
    DemoOnPage.Recorded<Alert> opened =
        demo.recorded(Codecs.ALERTS, alert -> alert.runId().equals(run)).stream()
            .filter(alert -> alert.value().kind() == kind && alert.value().transition() == 0)
            .findFirst()
            .orElseThrow();
    assertThat(opened.value().rootLayer()).isEqualTo(layer);
    assertThat(opened.value().rootRank()).isEqualTo(rank);
    assertThat(opened.value().openedStep())
        .isGreaterThanOrEqualTo(demo.session().state().fault().step());
    assertShownInTime(page, "card " + kindName, opened);
    long step = opened.value().openedStep();
    await(() -> firstSeenFrom(page, step) < NEVER);
    assertThat(firstSeenFrom(page, step) - opened.timestamp())
        .as("ms from the alert to its step in the heat map")
        .isLessThanOrEqualTo(SHOWN_WITHIN_MS);
    if (kind == FindingKind.NON_FINITE) {
      awaitSeen(page, "heat NaN");
      assertShownInTime(page, "heat NaN", opened);
    }
    if (kind == FindingKind.MISSING_SHARDS) {
      String missing = "rank " + rank + " ✕ missing";
      awaitSeen(page, missing);
      assertShownInTime(page, missing, opened);
    }

    Locator card = card(page, kindName);
    card.getByRole(AriaRole.BUTTON).first().click();
    assertThat(card).hasClass(Pattern.compile("chosen"));
    if (layer != null) {
      assertThat(page.locator("#heat .readout")).containsText(layer);
      assertThat(card.locator(".facts")).containsText(layer);
    }
    if (rank != null) {
      assertThat(card.locator(".facts")).containsText("rank " + rank);
      assertThat(page.locator("#ranks tr.pinned")).containsText(rank.toString());
    }
    if (kind == FindingKind.NON_FINITE) {
      assertThat(page.locator("#heat .readout .bad")).hasText("NaN");
    }

    choice(controls, "scenario").selectOption("healthy");
    button(controls, "Strike now").click();
    assertThat(controls.getByRole(AriaRole.STATUS)).containsText("no fault");
    if (kind == FindingKind.MISSING_SHARDS) {
      page.getByRole(AriaRole.BUTTON, named("Follow the newest step (f)")).click();
      assertThat(page.locator("#ranks .view-summary")).containsText("0 missing");
    }
  }

  @Test
  void aNewRunIsBegunFromThePageWhichFollowsIt() {
    String before = demo.session().restart("healthy", 12);
    Page page = open("run=" + encoded(before));
    Locator controls = page.getByRole(AriaRole.REGION, named("Demo"));
    choice(controls, "scenario").selectOption("vanishing");
    controls.getByLabel("seed").fill("13");
    button(controls, "New run").click();

    await(() -> demo.session().state().scenario().equals("vanishing"));
    String run = demo.session().state().run();
    assertThat(run).startsWith("demo-vanishing-13-");
    page.waitForURL(url -> url.contains(encoded(run)));
    assertThat(page.getByRole(AriaRole.BUTTON, named("Run " + run + ": choose another")))
        .isVisible();
    assertThat(page.locator("#heat .readout b").first()).hasText(Pattern.compile("\\d+"));
  }

  @Test
  void theAddressRestoresWhatWasLookedAt() {
    String run = demo.session().restart("healthy", 14);
    Page page = open("run=" + encoded(run));
    awaitStep(WARM);
    demo.session().strike("nan", "block5.weight", 1);
    String kind = name(page, FindingKind.NON_FINITE);
    awaitSeen(page, "card " + kind);
    card(page, kind).getByRole(AriaRole.BUTTON).first().click();
    page.getByRole(
            AriaRole.BUTTON,
            named("Colour shows the deviation from the usual norm of the layer (d)"))
        .click();
    page.getByRole(AriaRole.BUTTON, named("Fold every block into one row")).click();
    page.getByLabel("Show only layers whose name contains").fill("block");
    page.waitForURL(url -> url.contains("filter=block"));
    assertThat(page.url())
        .contains(
            "layer=block5.weight", "rank=1", "mode=deviation", "fold=", "cursor=", "incident=");

    String address = page.url();
    String step = page.locator("#heat .readout b").first().textContent();
    page.close();
    Page other = open(address.substring(address.indexOf('#') + 1));
    assertThat(card(other, kind)).hasClass(Pattern.compile("chosen"));
    assertThat(other.locator("#heat .readout b").first()).hasText(step);
    assertThat(other.locator("#heat .readout")).containsText("block5.weight");
    assertThat(
            other.getByRole(
                AriaRole.BUTTON,
                named("Colour shows the deviation from the usual norm of the layer (d)")))
        .hasAttribute("aria-pressed", "true");
    assertThat(other.getByLabel("Show only layers whose name contains")).hasValue("block");
    assertThat(other.locator("#heat [aria-expanded=false]").first()).isVisible();
    assertThat(other.locator("#ranks tr.pinned")).containsText("1");
    other.reload();
    assertThat(card(other, kind)).hasClass(Pattern.compile("chosen"));
    assertThat(other.url()).isEqualTo(address);
  }

  @Test
  void twoRunsStandSideBySide() {
    String before = demo.session().restart("healthy", 19);
    awaitStep(20);
    String run = demo.session().restart("healthy", 20);
    Page page = open("run=" + encoded(run) + "&run2=" + encoded(before) + "&layer=block1.weight");
    Locator panes = page.locator("#heat .pane");
    assertThat(panes).hasCount(2);
    for (int pane = 0; pane < 2; pane++) {
      assertThat(panes.nth(pane).locator(".readout")).containsText("deviation");
    }
    assertThat(panes.nth(1)).containsText(before);
  }

  @Test
  void aRestartOfTheServerAndAReloadLoseNothingAndDoubleNothing() {
    String run = demo.session().restart("healthy", 15);
    Page page = open("run=" + encoded(run));
    // What the page itself keeps of a run, beside its views.
    page.evaluate(
        """
        async (run) => {
          const { Live, RunStore } = await import('/page/store.js');
          window.kept = new RunStore(run, 'main');
          new Live().follow([kept]);
        }""",
        run);
    awaitStep(WARM);
    demo.session().strike("nan", "block3.weight", 0);
    awaitSeen(page, "card " + name(page, FindingKind.NON_FINITE));
    await(() -> number(page, "kept.last") >= WARM);
    int before = number(page, "kept.last");
    String cells = cells(page, before);
    String incidents = incidents(page);

    long[] meanwhile = new long[1];
    demo.restartServer(
        () -> {
          long now = demo.session().state().step();
          await(() -> demo.session().state().step() >= now + 60);
          meanwhile[0] = now + 60;
        });
    await(() -> number(page, "kept.last") >= meanwhile[0] + 20);
    assertThat(cells(page, before)).isEqualTo(cells);
    assertThat(incidents(page)).isEqualTo(incidents);
    int last = number(page, "kept.last");
    assertThat(
            page.evaluate(
                "(last) => Array.from({ length: last + 1 }, (_, s) => s).filter((s) => !kept.contains(s))",
                last))
        .as("steps that are missing")
        .isEqualTo(List.of());
    String all = cells(page, last);

    page.reload();
    page.evaluate(
        """
        async (run) => {
          const { Live, RunStore } = await import('/page/store.js');
          window.kept = new RunStore(run, 'main');
          new Live().follow([kept]);
        }""",
        run);
    await(() -> number(page, "kept.last") >= last && number(page, "kept.loading") == 1);
    assertThat(cells(page, last)).isEqualTo(all);
    assertThat(incidents(page)).isEqualTo(incidents);
    assertThat(page.locator("#incidents .group-open .card"))
        .hasCount(
            number(
                page,
                "[...kept.incidents.values()].filter((i) => i.severity !== 'INFO' && ['OPENED', 'UPDATED'].includes(i.state)).length"));
    // What was asked while nobody answered.
    objections.removeIf(objection -> objection.contains("net::ERR_"));
  }

  @Test
  void hostileNamesStayText() {
    String run = "<img src=x onerror=alert(1)>\u202e" + "r".repeat(460);
    String script = "javascript:alert(2)//<svg onload=alert(3)>";
    String turned = "\u202e<b>weight</b>".repeat(33);
    String host = "\"><script>alert(4)</script>";
    publishHostile(run, host, List.of(script, turned));
    Page page = open("run=" + encoded(run));
    String kind = name(page, FindingKind.NON_FINITE);
    awaitSeen(page, "card " + kind);
    Locator card = card(page, kind);
    card.getByRole(AriaRole.BUTTON).first().click();
    assertThat(card.locator(".facts")).containsText("javascript:alert(2)//<svg onload=alert(3)>");
    assertThat(card.locator(".facts")).containsText("\"><script>alert(4)</script>");
    assertThat(page.locator("#heat .readout")).containsText(script);
    assertThat(page.locator("#ranks")).containsText("\"><script>");
    page.getByRole(AriaRole.BUTTON, named("Run <img src=x onerror=alert(1)>")).click();
    assertThat(
            page.getByRole(AriaRole.OPTION)
                .filter(new Locator.FilterOptions().setHasText("<img src=x")))
        .isVisible();
    page.locator("#heat .stage").hover();
    assertThat(
            page.evaluate(
                "[...document.querySelectorAll('img[src=x], svg[onload], body script, #incidents b, #heat b b, [href^=javascript], [onerror]')].length"))
        .isEqualTo(0);
    assertThat(page.title()).contains("<img src=x");
  }

  @Test
  void verdictsAndCapturesGoToTheirTopics() {
    String run = demo.session().restart("healthy", 16);
    Page page = open("run=" + encoded(run));
    awaitStep(WARM);
    demo.session().strike("nan", "block6.weight", 3);
    String kind = name(page, FindingKind.NON_FINITE);
    awaitSeen(page, "card " + kind);
    Locator card = card(page, kind);
    card.getByRole(AriaRole.BUTTON).first().click();
    button(card, "True fault").click();
    page.getByLabel("Note (optional)").fill("struck on purpose");
    button(page, "Send verdict").click();
    assertThat(card.locator(".card-head")).containsText("true fault");
    Feedback verdict = only(demo.recorded(Codecs.FEEDBACK, told -> told.runId().equals(run)));
    assertThat(verdict.verdict()).isEqualTo(Feedback.Verdict.TRUE);
    assertThat(verdict.note()).isEqualTo("struck on purpose");
    assertThat(verdict.incidentId())
        .isEqualTo(
            demo.recorded(Codecs.ALERTS, alert -> alert.runId().equals(run))
                .get(0)
                .value()
                .incidentId());

    button(page, "Capture raw blocks…").click();
    page.getByLabel("Steps", new Page.GetByLabelOptions().setExact(true)).fill("2");
    button(page, "Ask for them").click();
    assertThat(page.locator("#notices")).containsText("is asked for");
    Capture capture = only(demo.recorded(Codecs.CAPTURES, asked -> asked.runId().equals(run)));
    assertThat(capture.layers()).containsExactly("block6.weight");
    assertThat(capture.ranks()).containsExactly(3);
    assertThat(capture.steps()).isEqualTo(2);
  }

  @Test
  void aServerWithoutLeaveToWriteShowsItsControlsDisabledAndRefuses() throws Exception {
    String run = demo.session().restart("healthy", 17);
    try (Dashboard readOnly =
        LocalPage.start(DashboardOptions.local(demo.brokers(), Ports.anyFree()))) {
      Page page = openAt(readOnly.uri(), "run=" + encoded(run) + "&layer=block1.weight");
      assertThat(button(page, "Capture raw blocks…")).isDisabled();
      assertThat(button(page, "Rules…")).isDisabled();
      assertThat(page.getByRole(AriaRole.REGION, named("Demo"))).isHidden();
      for (String path : List.of("feedback", "captures", "rules")) {
        HttpResponse<String> response =
            HttpClient.newHttpClient()
                .send(
                    HttpRequest.newBuilder(readOnly.uri().resolve("/api/" + path))
                        .header("X-Gradflow", "page")
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString("{}"))
                        .build(),
                    HttpResponse.BodyHandlers.ofString());
        assertThat(response.statusCode()).as(path).isEqualTo(403);
      }
      // Before the server goes, of which it would complain.
      nothingIsObjectedTo();
      contexts.clear();
    }
  }

  @Test
  void everythingCanBeReachedWithTheKeyboardAndHasAName() {
    String run = demo.session().restart("healthy", 18);
    Page page = open("run=" + encoded(run));
    awaitStep(WARM);
    assertThat(page.locator("#heat .readout b").first()).hasText(Pattern.compile("\\d+"));
    int presses = 0;
    while (!(Boolean) page.evaluate("document.activeElement.classList.contains('stage')")) {
      assertThat(presses++).as("presses of Tab up to the heat map").isLessThan(80);
      page.keyboard().press("Tab");
    }
    page.keyboard().press("ArrowDown");
    page.keyboard().press("ArrowLeft");
    page.waitForURL(url -> url.contains("cursor=") && url.contains("layer="));
    page.keyboard().press("Enter");
    page.waitForURL(url -> url.contains("fold="));
    page.keyboard().press("Escape");
    page.waitForURL(url -> !url.contains("cursor="));

    JsonObject tree = contexts.get(0).newCDPSession(page).send("Accessibility.getFullAXTree");
    List<String> nameless = new ArrayList<>();
    int controls = 0;
    for (JsonElement each : tree.getAsJsonArray("nodes")) {
      JsonObject node = each.getAsJsonObject();
      String role = node.has("role") ? node.getAsJsonObject("role").get("value").getAsString() : "";
      if (node.get("ignored").getAsBoolean()
          || !List.of(
                  "button",
                  "combobox",
                  "textbox",
                  "searchbox",
                  "slider",
                  "spinbutton",
                  "checkbox",
                  "radio",
                  "link",
                  "image",
                  "img",
                  "region",
                  "switch",
                  "tab")
              .contains(role)) {
        continue;
      }
      controls++;
      if (!node.has("name") || node.getAsJsonObject("name").get("value").getAsString().isBlank()) {
        nameless.add(role + " " + node.get("properties"));
      }
    }
    assertThat(controls).isGreaterThan(20);
    assertThat(nameless).isEmpty();
  }

  @Test
  void thePageWeighsLessThanAHundredKilobytes() {
    Page page = open("run=" + encoded(demo.session().state().run()));
    assertThat(page.locator("#heat .readout b").first()).hasText(Pattern.compile("\\d+"));
    Object bytes =
        page.evaluate(
            """
            [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
              .filter((e) => !new URL(e.name).pathname.startsWith('/api/'))
              .reduce((sum, e) => sum + e.encodedBodySize, 0)""");
    assertThat(((Number) bytes).longValue()).isBetween(10_000L, 99_999L);
  }

  // Pages.

  private Page open(String hash) {
    return openAt(demo.uri(), hash);
  }

  /** A new person's browser at a page; all it complains of is kept. */
  private Page openAt(URI server, String hash) {
    BrowserContext context =
        chromium.someone(new Browser.NewContextOptions().setViewportSize(1600, 2000));
    contexts.add(context);
    context.addInitScript(WATCH);
    Page page = context.newPage();
    String origin = server.getScheme() + "://" + server.getAuthority() + "/";
    page.onDialog(
        dialog -> {
          objections.add("dialog: " + dialog.message());
          dialog.dismiss();
        });
    page.onPageError(error -> objections.add("uncaught: " + error));
    page.onConsoleMessage(
        message -> {
          boolean complaint = message.type().equals("error") || message.type().equals("warning");
          // A run is there before its manifest is, and browsers call every 404 an error.
          boolean early =
              message.text().contains("404") && message.location().contains("/api/manifest?");
          if (complaint && !early) {
            objections.add("console: " + message.text() + " at " + message.location());
          }
        });
    page.onRequest(
        request -> {
          if (!request.url().startsWith(origin)
              && !request.url().startsWith("data:")
              && !request.url().startsWith("blob:")) {
            objections.add("request: " + request.url());
          }
        });
    page.navigate(server + "#" + hash);
    return page;
  }

  private static Locator card(Page page, String kind) {
    return page.locator("#incidents .group-open .card")
        .filter(
            new Locator.FilterOptions()
                .setHas(page.locator(".card-kind", new Page.LocatorOptions().setHasText(kind))))
        .first();
  }

  /** What the page calls a kind. */
  private static String name(Page page, FindingKind kind) {
    return (String)
        page.evaluate(
            "async (kind) => (await import('/page/words.js')).kindName(kind)", kind.name());
  }

  private static void awaitSeen(Page page, String what) {
    await(() -> page.evaluate("(what) => firstSeen[what] ?? null", what) != null);
  }

  private static void assertShownInTime(Page page, String what, DemoOnPage.Recorded<Alert> opened) {
    long seen = ((Number) page.evaluate("(what) => firstSeen[what]", what)).longValue();
    assertThat(seen - opened.timestamp())
        .as("ms from the alert in its topic to '%s' on the page", what)
        .isLessThanOrEqualTo(SHOWN_WITHIN_MS);
  }

  /**
   * When a step from that on was first read off the heat map, ms since the epoch; NEVER before
   * that.
   */
  private static double firstSeenFrom(Page page, long step) {
    return ((Number)
            page.evaluate(
                """
                (step) => Math.min(1e18, ...Object.entries(firstSeen)
                  .filter(([what]) => what.startsWith('step ') && Number(what.slice(5)) >= step)
                  .map(([, at]) => at))""",
                (double) step))
        .doubleValue();
  }

  private static int number(Page page, String expression) {
    return ((Number) page.evaluate(expression)).intValue();
  }

  private static String cells(Page page, int last) {
    return (String)
        page.evaluate(
            """
            (last) => {
              const rows = [];
              for (let step = 0; step <= last; step++) {
                rows.push(Array.from({ length: kept.layers.length }, (_, layer) => kept.code(step, layer)).join());
              }
              return rows.join('\\n');
            }""",
            last);
  }

  private static String incidents(Page page) {
    return (String)
        page.evaluate(
            "[...kept.incidents.values()].map((i) => `${i.incidentId} ${i.kind} ${i.openedStep}`).sort().join('\\n')");
  }

  private static Page.GetByRoleOptions named(String name) {
    return new Page.GetByRoleOptions().setName(name);
  }

  private static Locator choice(Locator in, String name) {
    return in.getByRole(
        AriaRole.COMBOBOX, new Locator.GetByRoleOptions().setName(name).setExact(true));
  }

  private static Locator button(Page page, String name) {
    return button(page.locator("body"), name);
  }

  private static Locator button(Locator in, String name) {
    return in.getByRole(
        AriaRole.BUTTON, new Locator.GetByRoleOptions().setName(name).setExact(true));
  }

  private static void awaitStep(long step) {
    await(() -> demo.session().state().step() >= step);
  }

  private static void await(BooleanSupplier condition) {
    Awaitility.await()
        .pollInSameThread()
        .pollInterval(Duration.ofMillis(50))
        .atMost(PATIENCE)
        .until(condition::getAsBoolean);
  }

  private static String encoded(String text) {
    return URLEncoder.encode(text, StandardCharsets.UTF_8);
  }

  private static <T> T only(List<DemoOnPage.Recorded<T>> recorded) {
    assertThat(recorded).hasSize(1);
    return recorded.get(0).value();
  }

  /** A run of one rank whose first layer is NaN in the end. */
  private static void publishHostile(String run, String host, List<String> layers) {
    long attempt = System.currentTimeMillis();
    Manifest manifest =
        new Manifest(
                run,
                attempt,
                "main",
                0,
                0,
                1,
                0,
                layers.size(),
                1,
                List.of(new MeshAxis("dp_replicate", 1)),
                List.of(new Reporting(Stage.LOCAL, null, 1), new Reporting(Stage.REDUCED, null, 1)),
                "mean",
                "float32",
                "float32",
                "float32",
                "sgd",
                null,
                layers.stream()
                    .map(
                        name ->
                            new Layer(
                                name,
                                name,
                                layers.indexOf(name),
                                LayerKind.WEIGHT,
                                4,
                                "float32",
                                true,
                                false,
                                false,
                                null,
                                List.of(Placement.REPLICATE)))
                    .toList())
            .identified();
    PublisherOptions options =
        new PublisherOptions(
            demo.brokers(),
            run,
            attempt,
            "main",
            0,
            new int[] {0},
            host,
            "\u202egpu",
            256,
            Map.of());
    try (GradientPublisher publisher = GradientPublisher.start(options)) {
      publisher.announce(manifest);
      publisher.event(RunEvent.Type.STARTED, Map.of("note", "<img src=x onerror=alert(5)>"));
      for (int step = 0; step < 40; step++) {
        float[][] gradients = {{1, 2, 3, step == 39 ? Float.NaN : 4}, {1, 2, 3, 4}};
        publisher.step(step).gradients(gradients, gradients).loss(1).weight(1).publish();
      }
    }
  }
}
