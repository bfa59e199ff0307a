package io.gradflow.dashboard.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.net.InetAddress;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Who is answered what over HTTP, by a real server that knows no run. */
class AccessTest {
  private static final String TOKEN = "a token of this page";
  private static final Duration PATIENCE = Duration.ofSeconds(5);
  private TestServer server;
  private int port;

  /** A training that has ended. */
  private record Ended() implements DemoControl {
    @Override
    public State state() {
      return new State("r", "healthy", List.of(), List.of(), 2, 3, 4, false, null);
    }

    @Override
    public long strike(String scenario, String layer, Integer rank) {
      throw new IllegalStateException("the training has ended: restart it");
    }

    @Override
    public String restart(String scenario, long seed) {
      return "r2";
    }
  }

  private void start(Optional<String> token) throws IOException {
    server = TestServer.start(options(token, InetAddress.getLoopbackAddress()), PATIENCE);
    port = server.port();
  }

  private static DashboardOptions options(Optional<String> token, InetAddress listen) {
    return TestServer.options(
        listen, token, Optional.empty(), DashboardOptions.Limits.USUAL, Optional.of(new Ended()));
  }

  @AfterEach
  void stop() {
    server.close();
  }

  private String ask(String request, String... headers) throws IOException {
    return server.ask(request, headers);
  }

  private String send(String host, String request, String body, String... headers)
      throws IOException {
    return server.send(host, request, body, headers);
  }

  @Test
  void requestsThatAreWrongAreToldSoInOneLine() throws IOException {
    start(Optional.empty());
    assertThat(ask("GET /api/steps"))
        .startsWith("HTTP/1.1 400")
        .contains("expected the parameter run");
    assertThat(ask("GET /api/steps?run=%zz")).startsWith("HTTP/1.1 400");
    assertThat(ask("GET /api/steps?run=r&from=x")).startsWith("HTTP/1.1 400");
    assertThat(ask("GET /api/steps?run=" + "r".repeat(501))).startsWith("HTTP/1.1 400");
    assertThat(ask("GET /api/step?run=r&step=99999999999999999999")).startsWith("HTTP/1.1 400");
    assertThat(ask("GET /api/step?run=r&step=-1")).startsWith("HTTP/1.1 404");
    assertThat(ask("GET /api/manifest?run=r")).startsWith("HTTP/1.1 404");
    assertThat(ask("GET /api/histogram?run=r&layer=0")).startsWith("HTTP/1.1 404");
    assertThat(ask("GET /api/nothing")).startsWith("HTTP/1.1 404");
    assertThat(ask("GET /page/..%2f..%2fpackage-info.class")).startsWith("HTTP/1.1 404");
    assertThat(ask("GET /page/../Dashboard.class")).startsWith("HTTP/1.1 404");
    assertThat(ask("POST /api/runs")).startsWith("HTTP/1.1 405").contains("Allow: GET, HEAD");
    assertThat(ask("GET /api/feedback")).startsWith("HTTP/1.1 405");
    assertThat(ask("GET /api/steps?run=r")).startsWith("HTTP/1.1 200").contains("\"step\":[]");
    assertThat(ask("HEAD /api/runs")).startsWith("HTTP/1.1 200").doesNotContain("[]");
  }

  @Test
  void everyAnswerIsLockedToItsOwnPage() throws IOException {
    start(Optional.empty());
    for (String request : List.of("GET /api/runs", "GET /nothing", "GET /healthz")) {
      assertThat(ask(request).toLowerCase(Locale.ROOT))
          .contains("content-security-policy: default-src 'none'; script-src 'self'")
          .contains("x-content-type-options: nosniff")
          .contains("cache-control: no-store");
    }
  }

  @Test
  void anotherNameThatLeadsHereIsRefused() throws IOException {
    start(Optional.empty());
    assertThat(send("evil.example", "GET /api/runs", "")).startsWith("HTTP/1.1 421");
    assertThat(send("page.example:99", "GET /api/runs", "")).startsWith("HTTP/1.1 200");
    assertThat(send("127.0.0.1:" + port, "GET /api/runs", "")).startsWith("HTTP/1.1 200");
  }

  @Test
  void withATokenNobodyIsAnsweredWithout() throws IOException {
    start(Optional.of(TOKEN));
    assertThat(ask("GET /api/runs")).startsWith("HTTP/1.1 401");
    assertThat(ask("GET /metrics")).startsWith("HTTP/1.1 401");
    assertThat(ask("GET /page/index.html")).startsWith("HTTP/1.1 401");
    assertThat(ask("GET /api/runs", "Authorization: Bearer another")).startsWith("HTTP/1.1 401");
    assertThat(ask("GET /api/runs", "Cookie: gradflow=" + "0".repeat(64)))
        .startsWith("HTTP/1.1 401");
    assertThat(ask("GET /")).startsWith("HTTP/1.1 401").contains("<form");
    assertThat(ask("GET /healthz")).startsWith("HTTP/1.1 200");
    assertThat(ask("GET /metrics", "Authorization: Bearer " + TOKEN))
        .startsWith("HTTP/1.1 200")
        .contains("gradflow_runs{state=\"RUNNING\"} 0.0");

    String welcome = ask("GET /?run=a%0d%0ab&token=a+token+of+this+page");
    assertThat(welcome).startsWith("HTTP/1.1 303").contains("HttpOnly; SameSite=Strict");
    assertThat(welcome).contains("Location: /?run=a%0d%0ab\r\n").doesNotContain(TOKEN);
    String cookie = welcome.replaceAll("(?s).*Set-cookie: ([^;]*);.*", "$1");
    assertThat(ask("GET /api/runs", "Cookie: other=1; " + cookie)).startsWith("HTTP/1.1 200");
    assertThat(send("localhost:" + port, "POST /login", "token=a+token+of+this+page"))
        .startsWith("HTTP/1.1 303");
    assertThat(send("localhost:" + port, "POST /login", "token=no")).startsWith("HTTP/1.1 401");
  }

  @Test
  void writesNeedLeaveAndTheirOwnPage() throws IOException {
    start(Optional.empty());
    String json = "Content-Type: application/json";
    String page = "X-Gradflow: page";
    String here = "localhost:" + port;
    assertThat(send(here, "POST /api/feedback", "{}", json, page)).startsWith("HTTP/1.1 403");
    String strike = "{\"action\":\"strike\",\"scenario\":\"x\"}";
    assertThat(send(here, "POST /api/demo", strike, json)).startsWith("HTTP/1.1 403");
    assertThat(send(here, "POST /api/demo", strike, page)).startsWith("HTTP/1.1 415");
    assertThat(send(here, "POST /api/demo", strike, json, page, "Origin: http://evil.example"))
        .startsWith("HTTP/1.1 403");
    assertThat(send(here, "POST /api/demo", strike, json, page, "Origin: http://" + here))
        .startsWith("HTTP/1.1 409")
        .contains("the training has ended");
    assertThat(send(here, "POST /api/demo", "[1", json, page)).startsWith("HTTP/1.1 400");
    assertThat(send(here, "POST /api/demo", "{\"action\":1}", json, page))
        .startsWith("HTTP/1.1 400");
    assertThat(send(here, "POST /api/demo", "x".repeat(70_000), json, page))
        .startsWith("HTTP/1.1 413");
    assertThat(
            send(
                here,
                "POST /api/demo",
                "{\"action\":\"restart\",\"scenario\":\"healthy\",\"seed\":1}",
                json,
                page))
        .contains("{\"run\":\"r2\"}");
  }

  @Test
  void aProxyOnThisMachineMaySpeakTlsInTheServersPlace() throws IOException {
    start(Optional.of(TOKEN));
    String proxied = "X-Forwarded-Proto: https";
    String welcome = send("page.example", "POST /login", "token=a+token+of+this+page", proxied);
    assertThat(welcome).contains("SameSite=Strict; Secure\r\n");
    assertThat(send("page.example", "POST /login", "token=a+token+of+this+page"))
        .contains("SameSite=Strict\r\n");
    String strike = "{\"action\":\"strike\",\"scenario\":\"x\"}";
    String[] headers = {
      "Authorization: Bearer " + TOKEN,
      "Content-Type: application/json",
      "X-Gradflow: page",
      "Origin: https://page.example",
      proxied
    };
    assertThat(send("page.example", "POST /api/demo", strike, headers)).startsWith("HTTP/1.1 409");
    assertThat(send("page.example", "POST /api/demo", strike, Arrays.copyOf(headers, 4)))
        .startsWith("HTTP/1.1 403");
  }

  @Test
  void optionsThatExposeThePageAreRefusedInOneLine() throws IOException {
    start(Optional.empty());
    InetAddress all = InetAddress.getByName("0.0.0.0");
    assertThatThrownBy(() -> options(Optional.of(TOKEN), all))
        .hasMessage(
            "listen address 0.0.0.0: expected a token and a certificate, for others can reach it,"
                + " got no certificate: give both, or listen on 127.0.0.1");
    assertThatThrownBy(() -> options(Optional.empty(), all))
        .hasMessage(
            "listen address 0.0.0.0: expected a token and a certificate, for others can reach it,"
                + " got no token: give both, or listen on 127.0.0.1");
    assertThatThrownBy(() -> options(Optional.of("short"), InetAddress.getLoopbackAddress()))
        .hasMessage("token: expected 16 characters or more, got 5");
  }
}
