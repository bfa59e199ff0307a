package io.gradflow.dashboard.web;

import com.fasterxml.jackson.databind.JsonNode;
import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.live.Recorded;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.dashboard.topics.Requests;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The page over HTTP: who asks for what, and how an answer or an error goes out. */
public final class WebServer implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(WebServer.class);
  private static final int MOST_BODY_BYTES = 64 << 10;
  private static final int LEAST_GZIPPED_BYTES = 4 << 10;
  private static final int STACK_BYTES = 256 << 10;
  private static final int REQUEST_THREADS = 256;
  private static final String POLICY =
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';"
          + " img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self';"
          + " frame-ancestors 'none'";
  private static final Set<String> READS =
      Set.of(
          "/api/status",
          "/api/runs",
          "/api/rules",
          "/api/manifest",
          "/api/steps",
          "/api/cells",
          "/api/step",
          "/api/histogram",
          "/api/incidents",
          "/api/run-events",
          "/api/events");
  private static final List<String> READING = List.of("GET", "HEAD");
  private static final Pattern PLAIN_QUERY = Pattern.compile("[A-Za-z0-9%&=._~+*-]*");

  private final DashboardOptions options;
  private final String version;
  private final LiveRuns live;
  private final PageMetrics metrics;
  private final Access access;
  private final StaticFiles files = new StaticFiles();
  private final Reads reads;
  private final Optional<Writing> writing;
  private final Optional<DemoApi> demo;
  private final EventStreams events;
  private final HttpServer server;
  private final ThreadPoolExecutor threads;

  /**
   * @param server bound, not started
   * @param requests empty: the page may not write
   * @param patience a client of events that takes nothing for so long is cut off
   */
  public WebServer(
      HttpServer server,
      DashboardOptions options,
      String version,
      LiveRuns live,
      Recorded recorded,
      Optional<Requests> requests,
      PageMetrics metrics,
      Duration patience) {
    this.server = server;
    this.options = options;
    this.version = version;
    this.live = live;
    this.metrics = metrics;
    this.access =
        new Access(
            options.token(),
            options.names(),
            options.tls().isPresent() ? Access.Scheme.HTTPS : Access.Scheme.HTTP);
    this.reads = new Reads(live, recorded);
    this.writing = requests.map(to -> new Writing(to, live));
    this.demo = options.demo().map(DemoApi::new);
    this.events = new EventStreams(live, metrics.clients(), options.limits().clients(), patience);
    AtomicInteger number = new AtomicInteger();
    this.threads =
        new ThreadPoolExecutor(
            0,
            options.limits().clients() + REQUEST_THREADS,
            10,
            TimeUnit.SECONDS,
            new SynchronousQueue<>(),
            work -> {
              Thread thread =
                  new Thread(null, work, "page " + number.incrementAndGet(), STACK_BYTES);
              thread.setDaemon(true);
              return thread;
            });
    server.setExecutor(threads);
    server.createContext("/", this::serve);
  }

  /** Begins to serve. */
  public void start() {
    server.start();
  }

  private void serve(HttpExchange exchange) {
    try (exchange) {
      try {
        secure(exchange.getResponseHeaders());
        answer(exchange).ifPresent(answer -> send(exchange, answer));
      } catch (Refused e) {
        send(exchange, Answer.error(e.status(), e.getMessage()));
      } catch (Recorded.Unavailable e) {
        send(exchange, Answer.error(503, e.getMessage()));
      } catch (RuntimeException e) {
        LOG.error("a request could not be answered", e);
        send(
            exchange,
            Answer.error(500, "the request could not be answered: see the log of the page"));
      }
    } catch (IOException | Gone e) {
      // The client went away.
    }
  }

  private static void secure(Headers headers) {
    headers.set("Content-Security-Policy", POLICY);
    headers.set("X-Content-Type-Options", "nosniff");
    headers.set("Referrer-Policy", "no-referrer");
    headers.set("Cross-Origin-Opener-Policy", "same-origin");
    headers.set("Cross-Origin-Resource-Policy", "same-origin");
    headers.set("X-Frame-Options", "DENY");
  }

  /** The client went away while it was answered. */
  private static final class Gone extends RuntimeException {
    private static final long serialVersionUID = 1;

    Gone(IOException cause) {
      super(cause);
    }
  }

  /** What to answer; empty if that has been done. */
  private Optional<Answer> answer(HttpExchange exchange) throws IOException {
    String path = exchange.getRequestURI().getRawPath();
    path = path == null ? "" : path;
    if (path.equals("/healthz")) {
      requireMethod(exchange, READING);
      return Optional.of(
          new Answer(
              200,
              "text/plain; charset=utf-8",
              "ok\n".getBytes(StandardCharsets.US_ASCII),
              Map.of()));
    }
    access.requireKnownHost(exchange);
    Query query = Query.of(exchange.getRequestURI().getRawQuery());
    if (options.token().isPresent()) {
      Optional<Answer> login = login(exchange, path, query);
      if (login.isPresent()) {
        return login;
      }
    }
    if (path.equals("/")) {
      requireMethod(exchange, READING);
      return Optional.of(file(exchange, "index.html"));
    }
    if (path.startsWith("/page/")) {
      requireMethod(exchange, READING);
      return Optional.of(file(exchange, path.substring("/page/".length())));
    }
    if (path.equals("/metrics")) {
      requireMethod(exchange, READING);
      return Optional.of(new Answer(200, PageMetrics.CONTENT_TYPE, metrics.text(), Map.of()));
    }
    return api(exchange, path, query);
  }

  private Optional<Answer> api(HttpExchange exchange, String path, Query query) throws IOException {
    switch (path) {
      case "/api/feedback", "/api/captures" -> {
        requireMethod(exchange, List.of("POST"));
        return Optional.of(write(exchange, path));
      }
      case "/api/rules" -> {
        if (exchange.getRequestMethod().equals("POST")) {
          return Optional.of(write(exchange, path));
        }
      }
      case "/api/demo" -> {
        DemoApi control =
            demo.orElseThrow(
                () -> new Refused(404, "expected a page of gradflow demo, got another"));
        if (exchange.getRequestMethod().equals("POST")) {
          access.requireOwnPage(exchange);
          return Optional.of(Answer.json(control.act(body(exchange))));
        }
        requireMethod(exchange, READING);
        return Optional.of(Answer.json(control.state()));
      }
      default -> {}
    }
    if (!READS.contains(path)) {
      throw new Refused(404, "expected a path of the page, got another");
    }
    if (path.equals("/api/events")) {
      requireMethod(exchange, List.of("GET"));
      String after = exchange.getRequestHeaders().getFirst("Last-Event-ID");
      events.serve(exchange, query.streams(), after == null ? query.text("after") : after);
      return Optional.empty();
    }
    requireMethod(exchange, READING);
    return Optional.of(
        switch (path) {
          case "/api/status" -> Answer.json(status());
          case "/api/runs" -> Answer.json(reads.runs());
          case "/api/rules" -> Answer.json(reads.rules());
          case "/api/manifest" -> Answer.json(reads.manifest(query.stream()));
          case "/api/steps" -> Answer.json(reads.steps(query.stream(), query));
          case "/api/cells" -> Answer.binary(reads.cells(query.stream(), query));
          case "/api/step" -> Answer.json(reads.step(query.stream(), query.number("step")));
          case "/api/histogram" -> Answer.json(reads.histogram(query.stream(), query));
          case "/api/incidents" -> Answer.json(reads.incidents(query.stream()));
          default -> Answer.json(reads.runEvents(query.stream()));
        });
  }

  private static void requireMethod(HttpExchange exchange, List<String> methods) {
    if (!methods.contains(exchange.getRequestMethod())) {
      exchange.getResponseHeaders().set("Allow", String.join(", ", methods));
      throw new Refused(405, "expected method " + methods.get(0) + ", got another");
    }
  }

  private byte[] status() {
    Reading reading = live.reading();
    long now = System.currentTimeMillis();
    return Json.bytes(
        out ->
            Json.object(
                out,
                () -> {
                  out.writeStringField("version", version);
                  out.writeNumberField("now", now);
                  out.writeBooleanField("writes", writing.isPresent());
                  out.writeBooleanField("demo", demo.isPresent());
                  out.writeStringField("runbook", options.runbook());
                  LiveJson.reading(out, reading, now);
                }));
  }

  private Answer write(HttpExchange exchange, String path) throws IOException {
    Writing to =
        writing.orElseThrow(
            () ->
                new Refused(
                    403, "expected a page that may write, got one that may not: start it so"));
    access.requireOwnPage(exchange);
    JsonNode body = body(exchange);
    return switch (path) {
      case "/api/feedback" -> {
        to.feedback(body);
        yield Answer.nothing(204);
      }
      case "/api/captures" -> Answer.json(to.capture(body));
      default -> Answer.json(to.rule(body));
    };
  }

  private static JsonNode body(HttpExchange exchange) throws IOException {
    return Writing.body(bytes(exchange));
  }

  private static byte[] bytes(HttpExchange exchange) throws IOException {
    byte[] bytes = exchange.getRequestBody().readNBytes(MOST_BODY_BYTES + 1);
    if (bytes.length > MOST_BODY_BYTES) {
      throw new Refused(413, "expected at most " + MOST_BODY_BYTES + " bytes, got more");
    }
    return bytes;
  }

  private Answer file(HttpExchange exchange, String name) {
    StaticFiles.StaticFile file =
        files
            .file(name)
            .orElseThrow(() -> new Refused(404, "expected a file of the page, got another"));
    boolean zipped = file.gzipped() != null && takesGzip(exchange);
    Answer answer =
        hasAlready(exchange, file.tag())
            ? Answer.nothing(304)
            : new Answer(200, file.type(), zipped ? file.gzipped() : file.plain(), Map.of());
    answer = answer.with("ETag", file.tag()).with("Vary", "Accept-Encoding");
    answer = answer.with("Cache-Control", "no-cache");
    return zipped && answer.status() == 200 ? answer.with("Content-Encoding", "gzip") : answer;
  }

  /** Whether the client has what bears a tag; on its way the tag may have become a weak one. */
  private static boolean hasAlready(HttpExchange exchange, String tag) {
    return exchange.getRequestHeaders().getOrDefault("If-None-Match", List.of()).stream()
        .flatMap(line -> Stream.of(line.split(",", -1)))
        .map(String::strip)
        .anyMatch(known -> known.equals("*") || known.equals(tag) || known.equals("W/" + tag));
  }

  private static boolean takesGzip(HttpExchange exchange) {
    String accepted = exchange.getRequestHeaders().getFirst("Accept-Encoding");
    if (accepted == null) {
      return false;
    }
    for (String one : accepted.split(",", -1)) {
      String[] pair = one.strip().split(";", 2);
      if (pair[0].strip().equalsIgnoreCase("gzip")) {
        return pair.length == 1 || !pair[1].replace(" ", "").matches("q=0(\\.0*)?");
      }
    }
    return false;
  }

  // --- the token

  /** What to answer to who has no leave, or asks for it; empty: go on. */
  private Optional<Answer> login(HttpExchange exchange, String path, Query query)
      throws IOException {
    if (path.equals("/login") && exchange.getRequestMethod().equals("POST")) {
      String given = Query.of(new String(bytes(exchange), StandardCharsets.UTF_8)).text("token");
      return Optional.of(access.isToken(given) ? welcome(exchange, "") : form());
    }
    if (path.equals("/") && query.text("token") != null) {
      return Optional.of(
          access.isToken(query.text("token"))
              ? welcome(exchange, withoutToken(exchange.getRequestURI().getRawQuery()))
              : form());
    }
    if (access.isAllowed(exchange)) {
      return Optional.empty();
    }
    return Optional.of(
        path.equals("/") || path.equals("/login")
            ? form()
            : Answer.error(
                    401, "expected the token of this page, got none or another: send it as Bearer")
                .with("WWW-Authenticate", "Bearer"));
  }

  private Answer welcome(HttpExchange exchange, String query) {
    return Answer.nothing(303)
        .with("Set-Cookie", access.sessionCookie(exchange))
        .with("Location", query.isEmpty() ? "/" : "/?" + query);
  }

  private static String withoutToken(String rawQuery) {
    List<String> others =
        List.of(rawQuery.split("&", -1)).stream()
            .filter(piece -> !piece.equals("token") && !piece.startsWith("token="))
            .toList();
    String query = String.join("&", others);
    return PLAIN_QUERY.matcher(query).matches() ? query : "";
  }

  private static Answer form() {
    String html =
        """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width">
        <title>gradflow</title>
        <h1>gradflow</h1>
        <form method="post" action="/login">
        <p><label>Token <input type="password" name="token" autocomplete="current-password" \
        required autofocus></label>
        <p><button>Open</button>
        </form>
        """;
    return new Answer(401, Answer.HTML, html.getBytes(StandardCharsets.UTF_8), Map.of());
  }

  // --- the answer

  private static void send(HttpExchange exchange, Answer answer) {
    try {
      Headers headers = exchange.getResponseHeaders();
      headers.set("Cache-Control", "no-store");
      answer.headers().forEach(headers::set);
      byte[] body = answer.body();
      if (body.length >= LEAST_GZIPPED_BYTES
          && !headers.containsKey("Content-Encoding")
          && !headers.containsKey("ETag")
          && Answer.JSON.equals(answer.type())
          && takesGzip(exchange)) {
        body = StaticFiles.gzip(body);
        headers.set("Content-Encoding", "gzip");
        headers.set("Vary", "Accept-Encoding");
      }
      if (answer.type() != null) {
        headers.set("Content-Type", answer.type());
      }
      if (exchange.getRequestMethod().equals("HEAD") || body.length == 0) {
        exchange.sendResponseHeaders(answer.status(), -1);
      } else {
        exchange.sendResponseHeaders(answer.status(), body.length);
        exchange.getResponseBody().write(body);
      }
    } catch (IOException e) {
      throw new Gone(e);
    }
  }

  @Override
  public void close() {
    events.close();
    server.stop(0);
    threads.shutdownNow();
  }
}
