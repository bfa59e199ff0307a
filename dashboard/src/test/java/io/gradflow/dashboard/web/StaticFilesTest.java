package io.gradflow.dashboard.web;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.dashboard.web.DashboardOptions.Limits;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** The page's files as a browser gets them, and nothing but them. */
class StaticFilesTest {
  private final HttpClient http = HttpClient.newHttpClient();
  private TestServer server;

  @BeforeEach
  void start() throws IOException {
    server =
        TestServer.start(
            TestServer.options(
                InetAddress.getLoopbackAddress(),
                Optional.empty(),
                Optional.empty(),
                Limits.USUAL,
                Optional.empty()),
            Duration.ofSeconds(5));
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private HttpResponse<byte[]> get(String path, String... headers) throws Exception {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create("http://localhost:" + server.port() + path));
    if (headers.length > 0) {
      request.headers(headers);
    }
    return http.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
  }

  @Test
  void theRootIsThePage() throws Exception {
    HttpResponse<byte[]> page = get("/");

    assertThat(page.statusCode()).isEqualTo(200);
    assertThat(new String(page.body(), StandardCharsets.UTF_8)).startsWith("<!doctype html>");
    assertThat(page.headers().firstValue("Content-Type")).contains("text/html; charset=utf-8");
    assertThat(page.headers().firstValue("Content-Security-Policy").orElseThrow())
        .startsWith("default-src 'none'")
        .doesNotContain("unsafe");
    assertThat(get("/page/index.html").body()).isEqualTo(page.body());
  }

  @Test
  void filesAreCompressedAndSentOnce() throws Exception {
    HttpResponse<byte[]> plain = get("/page/main.js");
    HttpResponse<byte[]> zipped = get("/page/main.js", "Accept-Encoding", "br, gzip;q=0.8");
    HttpResponse<byte[]> refused = get("/page/main.js", "Accept-Encoding", "gzip;q=0");
    String tag = plain.headers().firstValue("ETag").orElseThrow();
    HttpResponse<byte[]> again = get("/page/main.js", "If-None-Match", tag);
    HttpResponse<byte[]> changed = get("/page/main.js", "If-None-Match", "\"another\"");

    assertThat(plain.headers().firstValue("Content-Type"))
        .contains("text/javascript; charset=utf-8");
    assertThat(plain.headers().firstValue("Content-Encoding")).isEmpty();
    assertThat(zipped.headers().firstValue("Content-Encoding")).contains("gzip");
    assertThat(zipped.headers().firstValue("Vary")).contains("Accept-Encoding");
    assertThat(zipped.body().length).isLessThan(plain.body().length);
    assertThat(new GZIPInputStream(new ByteArrayInputStream(zipped.body())).readAllBytes())
        .isEqualTo(plain.body());
    assertThat(refused.body()).isEqualTo(plain.body());
    assertThat(again.statusCode()).isEqualTo(304);
    assertThat(again.body()).isEmpty();
    assertThat(again.headers().firstValue("ETag")).contains(tag);
    assertThat(changed.statusCode()).isEqualTo(200);
  }

  /** What proxies make of a tag, and lists of them. */
  @Test
  void aTagIsKnownAgainInEveryFormOfIt() throws Exception {
    String tag = get("/page/main.js").headers().firstValue("ETag").orElseThrow();

    for (String form : List.of("W/" + tag, "\"another\", " + tag, "*")) {
      assertThat(get("/page/main.js", "If-None-Match", form).statusCode()).as(form).isEqualTo(304);
    }
  }

  @Test
  void nothingButTheFolderOfThePageIsServed() throws Exception {
    for (String path :
        List.of(
            "/page/",
            "/page",
            "/page/../Dashboard.class",
            "/page/%2e%2e/Dashboard.class",
            "/page/..%2fDashboard.class",
            "/page/.%2e/Dashboard.class",
            "/page/./main.js",
            "/page//main.js",
            "/page//etc/passwd",
            "/page/..\\\\Dashboard.class",
            "/page/main.js%00.html",
            "/page/main.js/",
            "/page/no.js",
            "/page/package-info.class",
            "/index.html",
            "/etc/passwd",
            "/../../etc/passwd",
            "file:///etc/passwd")) {
      assertThat(server.ask("GET " + path).split("\r\n", 2)[0])
          .as(path)
          .matches("HTTP/1.1 (404 Not Found|400 Bad Request)");
    }
    assertThat(server.ask("GET /page/%2e%2e/Dashboard.class")).startsWith("HTTP/1.1 404");
    assertThat(server.ask("GET /page/../Dashboard.class")).startsWith("HTTP/1.1 404");
    assertThat(server.ask("GET /page//etc/passwd")).startsWith("HTTP/1.1 404");
  }

  @Test
  void headTellsWhatGetWouldWithoutABody() throws Exception {
    for (String path : List.of("/", "/page/main.js", "/api/runs", "/metrics", "/healthz")) {
      String answer = server.ask("HEAD " + path);

      assertThat(answer).as(path).startsWith("HTTP/1.1 200").endsWith("\r\n\r\n");
      assertThat(answer.toLowerCase(Locale.ROOT)).as(path).contains("content-type: ");
    }
    assertThat(server.ask("HEAD /page/no.js")).startsWith("HTTP/1.1 404").endsWith("\r\n\r\n");
  }

  @Test
  void otherMethodsAreRefusedAndTheRightOnesNamed() throws Exception {
    for (String request :
        List.of(
            "PUT /",
            "DELETE /page/main.js",
            "OPTIONS /api/runs",
            "POST /metrics",
            "BREW /healthz",
            "TRACE /",
            "HEAD /api/events?run=r")) {
      assertThat(server.ask(request)).as(request).startsWith("HTTP/1.1 405").contains("Allow: GET");
    }
    assertThat(server.ask("PATCH /api/feedback")).contains("Allow: POST\r\n");
  }

  @Test
  void whatIsTooLongOrNoAddressIsRefused() throws Exception {
    assertThat(server.ask("GET /page/" + "a".repeat(100_000) + ".js")).startsWith("HTTP/1.1 404");
    assertThat(server.ask("GET /api/steps?run=" + "r".repeat(100_000)))
        .startsWith("HTTP/1.1 400")
        .contains("at most 500 characters, got 100000");
    assertThat(server.ask("GET /api/steps?" + "a&".repeat(1) + "b=1&".repeat(10_000) + "run=r"))
        .startsWith("HTTP/1.1 200");
    StringBuilder many = new StringBuilder("GET /api/steps?run=r");
    for (int i = 0; i < 100; i++) {
      many.append("&p").append(i).append("=1");
    }
    assertThat(server.ask(many.toString())).startsWith("HTTP/1.1 400").contains("32 parameters");
    for (String query : List.of("run=%zz", "run=%", "run=%4", "%zz=1&run=r")) {
      assertThat(server.ask("GET /api/steps?" + query)).as(query).startsWith("HTTP/1.1 400");
    }
    assertThat(server.ask("GET /api/runs")).startsWith("HTTP/1.1 200");
  }
}
