package io.gradflow.cli;

import com.google.gson.JsonObject;
import com.microsoft.playwright.CDPSession;
import com.microsoft.playwright.Page;
import io.gradflow.schema.Topic;
import java.io.IOException;
import java.io.PrintWriter;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/**
 * {@code gradflow bench page}: how smoothly the page draws while steps arrive, what it and its
 * server remember, and how long many clients of one server wait.
 */
@Command(
    name = "gradflow bench page",
    description = {
      "Measures the page in a real browser against its server as a process of its own and a real"
          + " broker: times between frames, beside a canvas that is drawn anew for each frame; memory"
          + " over time; and the wait of many clients, with and without some that have stopped reading.",
      ""
    },
    mixinStandardHelpOptions = true,
    sortOptions = false)
final class PageBench implements Callable<Integer> {
  private static final String RUN = "bench";
  private static final Duration LOADING = Duration.ofMinutes(3);

  @Option(
      names = "--layers",
      paramLabel = "N",
      defaultValue = "1137",
      description = "Layers of the run (default: ${DEFAULT-VALUE}).")
  private int layers;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "10000",
      description = "Steps that are there when the page opens (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--rate",
      paramLabel = "N",
      defaultValue = "20",
      description = "Steps a second that arrive meanwhile (default: ${DEFAULT-VALUE}).")
  private int rate;

  @Option(
      names = "--clients",
      paramLabel = "N",
      defaultValue = "200",
      description = "Clients of the server (default: ${DEFAULT-VALUE}).")
  private int clients;

  @Option(
      names = "--seconds",
      paramLabel = "N",
      defaultValue = "30",
      description = "How long frames and clients are watched, each (default: ${DEFAULT-VALUE}).")
  private int seconds;

  @Option(
      names = "--soak-minutes",
      paramLabel = "N",
      defaultValue = "0",
      description = "How long memory is watched (default: not at all).")
  private int soakMinutes;

  private final PrintWriter out = new PrintWriter(System.out, true, StandardCharsets.UTF_8);
  private final PrintWriter err = new PrintWriter(System.err, true, StandardCharsets.UTF_8);

  private int port;

  private PageBench() {}

  public static void main(String[] arguments) {
    System.exit(new CommandLine(new PageBench()).execute(arguments));
  }

  @Override
  public Integer call() throws Exception {
    Workspace workspace = Workspace.current();
    try (LocalKafka kafka = LocalKafka.start(workspace, Ports.anyFree());
        Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(1), Optional.empty());
      try (LargeRun run = new LargeRun(kafka.bootstrapServers(), RUN, layers)) {
        while (run.next() < steps) {
          run.publish(Math.min(1_000, steps - run.next()));
          say(
              "%,d of %,d steps of %,d layers in %s",
              run.next(), steps, layers, Topic.STEPS.topicName());
        }
        Process server = startServer(kafka.bootstrapServers(), workspace);
        try {
          URI page = awaitServer(server);
          measure(run, server.toHandle(), page, workspace);
        } finally {
          server.destroy();
          if (!server.waitFor(10, TimeUnit.SECONDS)) {
            server.destroyForcibly();
          }
        }
      }
    }
    return 0;
  }

  private void measure(LargeRun run, ProcessHandle server, URI page, Workspace workspace)
      throws InterruptedException, IOException {
    LongConsumer[] sending = {step -> {}};
    ScheduledExecutorService feed = Executors.newSingleThreadScheduledExecutor();
    var unused =
        feed.scheduleAtFixedRate(
            () -> {
              sending[0].accept(run.next());
              run.publish();
            },
            0,
            1_000_000_000L / rate,
            TimeUnit.NANOSECONDS);
    try {
      frames(page);
      waits(page, sending);
      if (soakMinutes > 0) {
        soak(page, server, workspace);
      }
    } finally {
      feed.shutdownNow();
    }
  }

  // --- Frames ---------------------------------------------------------------------------------

  private void frames(URI address) {
    try (Chromium chromium = Chromium.start()) {
      try (Page page = open(chromium, address)) {
        out.printf(
            Locale.ROOT,
            "%nms between frames, %,d layers x %,d steps, %d steps/s arriving%n%n",
            layers,
            steps,
            rate);
        out.println("| what | p50 | p95 | p99 | longest | frames |");
        out.println("|---|---|---|---|---|---|");
        row("page, following", intervals(page, () -> page.waitForTimeout(seconds * 1000.0)));
        row("page, zooming and panning", intervals(page, () -> explore(page)));
      }
      try (Page page = chromium.someone().newPage()) {
        page.navigate("about:blank");
        page.evaluate(EVERY_PIXEL_ANEW, List.of(layers, steps));
        row(
            "canvas drawn anew for each frame",
            intervals(page, () -> page.waitForTimeout(seconds * 1000.0)));
      }
    }
  }

  /** What most pages would do: for each pixel of each frame the extreme of the cells below it. */
  private static final String EVERY_PIXEL_ANEW =
      """
      ([layers, steps]) => {
        const cells = new Int16Array(layers * steps);
        for (let i = 0; i < cells.length; i++) cells[i] = (Math.random() * 2000) | 0;
        const canvas = document.body.appendChild(document.createElement('canvas'));
        canvas.width = 1200;
        canvas.height = 500;
        const context = canvas.getContext('2d');
        const image = context.createImageData(canvas.width, canvas.height);
        const pixels = new Uint32Array(image.data.buffer);
        const perColumn = steps / canvas.width;
        const perRow = layers / canvas.height;
        const draw = () => {
          for (let x = 0; x < canvas.width; x++) {
            for (let y = 0; y < canvas.height; y++) {
              let extreme = -32768;
              for (let s = Math.floor(x * perColumn); s < (x + 1) * perColumn; s++) {
                for (let l = Math.floor(y * perRow); l < (y + 1) * perRow; l++) {
                  extreme = Math.max(extreme, cells[s * layers + l]);
                }
              }
              pixels[y * canvas.width + x] = 0xff000000 | (extreme * 4096);
            }
          }
          context.putImageData(image, 0, 0);
          requestAnimationFrame(draw);
        };
        requestAnimationFrame(draw);
      }
      """;

  private Page open(Chromium chromium, URI address) {
    Page page = chromium.someone().newPage();
    page.navigate(address + "#run=" + RUN + "&span=" + steps);
    long deadline = System.nanoTime() + LOADING.toNanos();
    while (!(Boolean) page.evaluate(HAS_LOADED, 2.0 * layers * steps)) {
      if (System.nanoTime() > deadline) {
        throw new IllegalStateException(
            "the page has not loaded %d steps within %d s".formatted(steps, LOADING.toSeconds()));
      }
      page.waitForTimeout(200);
    }
    page.waitForTimeout(3_000);
    return page;
  }

  private static final String HAS_LOADED =
      """
      bytes => {
        const header = document.getElementById('header').textContent;
        const cells = performance.getEntriesByType('resource').filter(entry => entry.name.includes('/api/cells'));
        return header.includes('live') && !header.includes('loading')
          && cells.reduce((sum, entry) => sum + entry.decodedBodySize, 0) >= bytes;
      }
      """;

  private void explore(Page page) {
    page.mouse().move(700, 400);
    long end = System.nanoTime() + seconds * 1_000_000_000L;
    for (int i = 0; System.nanoTime() < end; i++) {
      page.mouse().wheel(0, i / 10 % 2 == 0 ? -120 : 120);
      page.waitForTimeout(50);
      page.mouse().down();
      page.mouse().move(700 + (i % 2 == 0 ? 60 : -60), 400);
      page.mouse().up();
      page.waitForTimeout(50);
    }
  }

  /** Time between the frames that a page got meanwhile, ms, ascending. */
  private static double[] intervals(Page page, Runnable meanwhile) {
    page.evaluate(
        """
        () => {
          const intervals = [];
          let last = performance.now();
          let going = true;
          const frame = now => {
            intervals.push(now - last);
            last = now;
            if (going) requestAnimationFrame(frame);
          };
          requestAnimationFrame(frame);
          window.benchFrames = () => { going = false; return intervals.slice(1); };
        }
        """);
    meanwhile.run();
    List<?> measured = (List<?>) page.evaluate("() => window.benchFrames()");
    return measured.stream().mapToDouble(x -> ((Number) x).doubleValue()).sorted().toArray();
  }

  // --- Clients --------------------------------------------------------------------------------

  private void waits(URI page, LongConsumer[] sending) throws InterruptedException {
    URI stream =
        page.resolve(
            "/api/events?run=" + URLEncoder.encode(RUN, StandardCharsets.UTF_8) + "&stream=main");
    out.printf(Locale.ROOT, "%nms from a step's publication to a client that has read it%n%n");
    out.println("| clients | p50 | p95 | p99 | longest | steps told |");
    out.println("|---|---|---|---|---|---|");
    row("1", delays(stream, 1, 0, sending));
    row(Integer.toString(clients), delays(stream, clients, 0, sending));
    row(clients + " and 5 that stopped reading", delays(stream, clients, 5, sending));
  }

  private double[] delays(URI stream, int count, int stopped, LongConsumer[] sending)
      throws InterruptedException {
    try (StreamClients all = new StreamClients(stream, count, stopped, 10 * steps + 1_000_000)) {
      TimeUnit.SECONDS.sleep(3);
      sending[0] = all.sending();
      TimeUnit.SECONDS.sleep(seconds);
      sending[0] = step -> {};
      TimeUnit.SECONDS.sleep(1);
      long[] told = all.steps();
      long fewest = Arrays.stream(told).min().orElse(0);
      long most = Arrays.stream(told).max().orElse(0);
      say("%d clients were told of %d to %d steps", count, fewest, most);
      return all.delays();
    }
  }

  private void row(String what, double[] sorted) {
    out.printf(
        Locale.ROOT,
        "| %s | %.1f | %.1f | %.1f | %.1f | %,d |%n",
        what,
        quantile(sorted, .5),
        quantile(sorted, .95),
        quantile(sorted, .99),
        quantile(sorted, 1),
        sorted.length);
  }

  private static double quantile(double[] sorted, double q) {
    return sorted.length == 0
        ? Double.NaN
        : sorted[(int) Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)];
  }

  // --- Memory ---------------------------------------------------------------------------------

  /** What is held after a full collection, MiB. */
  private record Held(
      double minute, double pageHeap, double browser, double serverHeap, double server) {}

  private void soak(URI address, ProcessHandle server, Workspace workspace) throws IOException {
    List<Held> all = new ArrayList<>();
    Path profile = workspace.newFolder("browser");
    Process alone = Chromium.alone(URI.create(address + "#run=" + RUN + "&span=" + steps), profile);
    try (Chromium chromium = Chromium.start();
        Page page = open(chromium, address)) {
      CDPSession devtools = page.context().newCDPSession(page);
      long began = System.nanoTime();
      while (System.nanoTime() < began + soakMinutes * 60_000_000_000L) {
        page.waitForTimeout(30_000);
        devtools.send("HeapProfiler.collectGarbage");
        JsonObject heap = devtools.send("Runtime.getHeapUsage");
        double pageHeap =
            (heap.get("usedSize").getAsDouble()
                    + (heap.has("backingStorageSize")
                        ? heap.get("backingStorageSize").getAsDouble()
                        : 0))
                / (1 << 20);
        Held held =
            new Held(
                (System.nanoTime() - began) / 60e9,
                pageHeap,
                ProcessMemory.of(Stream.concat(Stream.of(alone.toHandle()), alone.descendants())),
                ProcessMemory.heapAfterCollection(server),
                ProcessMemory.of(Stream.of(server)));
        all.add(held);
        say(
            "%.1f min: page %.0f MiB (browser %.0f), server heap %.0f MiB (process %.0f)",
            held.minute(), held.pageHeap(), held.browser(), held.serverHeap(), held.server());
      }
    } finally {
      alone.descendants().forEach(ProcessHandle::destroy);
      alone.destroy();
      alone.onExit().join();
      Workspace.remove(profile);
    }
    out.printf(
        Locale.ROOT,
        "%nMiB after a full collection, over %d minutes at %d steps/s%n%n",
        soakMinutes,
        rate);
    out.println("| of | first sixth | last sixth | MiB/h after the first sixth |");
    out.println("|---|---|---|---|");
    held("page's heap and buffers", all, Held::pageHeap);
    held("another browser, all its processes", all, Held::browser);
    held("server's heap", all, Held::serverHeap);
    held("server's process", all, Held::server);
  }

  private void held(String what, List<Held> all, ToDoubleFunction<Held> of) {
    int sixth = Math.max(1, all.size() / 6);
    List<Held> later = all.subList(sixth, all.size());
    out.printf(
        Locale.ROOT,
        "| %s | %.0f | %.0f | %+.0f |%n",
        what,
        median(all.subList(0, sixth).stream().mapToDouble(of).toArray()),
        median(all.subList(all.size() - sixth, all.size()).stream().mapToDouble(of).toArray()),
        60 * slope(later, of));
  }

  /** Median of the slopes between all pairs (Theil and Sen), a minute. */
  private static double slope(List<Held> all, ToDoubleFunction<Held> of) {
    List<Double> slopes = new ArrayList<>();
    for (int i = 0; i < all.size(); i++) {
      for (int j = i + 1; j < all.size(); j++) {
        slopes.add(
            (of.applyAsDouble(all.get(j)) - of.applyAsDouble(all.get(i)))
                / (all.get(j).minute() - all.get(i).minute()));
      }
    }
    return median(slopes.stream().mapToDouble(Double::doubleValue).toArray());
  }

  private static double median(double[] values) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    return quantile(sorted, .5);
  }

  // --- The server -----------------------------------------------------------------------------

  private Process startServer(String brokers, Workspace workspace) throws IOException {
    port = Ports.anyFree();
    Files.createDirectories(workspace.log().getParent());
    return new ProcessBuilder(
            Path.of(System.getProperty("java.home"), "bin", "java").toString(),
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-Dgradflow.workspace=" + workspace.root(),
            "-cp",
            System.getProperty("java.class.path"),
            Gradflow.class.getName(),
            "dashboard",
            "--bootstrap-server",
            brokers,
            "--listen",
            "127.0.0.1:" + port)
        .redirectOutput(ProcessBuilder.Redirect.DISCARD)
        .redirectError(workspace.log().resolveSibling("page-bench.log").toFile())
        .start();
  }

  private URI awaitServer(Process server) throws InterruptedException {
    long deadline = System.nanoTime() + LOADING.toNanos();
    while (server.isAlive() && System.nanoTime() < deadline) {
      if (!Ports.isFree(port)) {
        return URI.create("http://127.0.0.1:" + port + "/");
      }
      TimeUnit.MILLISECONDS.sleep(100);
    }
    throw new IllegalStateException("the page's server did not start; see page-bench.log");
  }

  private void say(String format, Object... arguments) {
    err.printf(Locale.ROOT, format + "%n", arguments);
  }
}
