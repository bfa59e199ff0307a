package io.gradflow.dashboard.web;

import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.ManifestPlace;
import io.gradflow.dashboard.live.Recorded;
import io.gradflow.dashboard.live.RunStream;
import io.gradflow.dashboard.live.Stages;
import io.gradflow.dashboard.live.StepRow;
import io.gradflow.dashboard.metrics.PageMetrics;
import io.gradflow.dashboard.web.DashboardOptions.Limits;
import io.gradflow.dashboard.web.DashboardOptions.Tls;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/** A real server of the page on the loopback interface, whose topics hold nothing. */
final class TestServer implements AutoCloseable {
  private final LiveRuns live = new LiveRuns(64 << 20);
  private final PageMetrics metrics = new PageMetrics(live, PageMetrics.OfRuns.NONE);
  private final WebServer web;
  private final int port;

  private TestServer(DashboardOptions options, Duration patience) throws IOException {
    var server = Sockets.bind(options);
    web =
        new WebServer(
            server, options, "test", live, new Empty(), Optional.empty(), metrics, patience);
    web.start();
    port = server.getAddress().getPort();
  }

  private record Empty() implements Recorded {
    @Override
    public void steps(RunStream of, List<StepRow> rows, Consumer<Step> each) {}

    @Override
    public List<StepRow> rows(
        RunStream of, Stages stages, long attempt, long before, long from, long to, int most) {
      return List.of();
    }

    @Override
    public Optional<Manifest> manifest(ManifestPlace place) {
      return Optional.empty();
    }
  }

  static TestServer start(DashboardOptions options, Duration patience) throws IOException {
    return new TestServer(options, patience);
  }

  /** A server that is also called page.example. */
  static DashboardOptions options(
      InetAddress listen,
      Optional<String> token,
      Optional<Tls> tls,
      Limits limits,
      Optional<DemoControl> demo) {
    return new DashboardOptions(
        "127.0.0.1:1",
        Map.of(),
        Optional.empty(),
        new InetSocketAddress(listen, 0),
        Set.of("page.example"),
        token,
        tls,
        DashboardOptions.Writes.REFUSED,
        "",
        PageMetrics.OfRuns.NONE,
        limits,
        demo);
  }

  LiveRuns live() {
    return live;
  }

  int port() {
    return port;
  }

  /** How many event streams are open. */
  int clients() {
    return metrics.clients().get();
  }

  /** The whole answer to a request as it stands. */
  String ask(String request, String... headers) throws IOException {
    return send("localhost:" + port, request, "", headers);
  }

  String send(String host, String request, String body, String... headers) throws IOException {
    try (Socket socket = new Socket(InetAddress.getLoopbackAddress(), port)) {
      StringBuilder text = new StringBuilder(request + " HTTP/1.1\r\nConnection: close\r\n");
      text.append("Host: ").append(host).append("\r\n");
      for (String header : headers) {
        text.append(header).append("\r\n");
      }
      text.append("Content-Length: ").append(body.length()).append("\r\n\r\n").append(body);
      socket.getOutputStream().write(text.toString().getBytes(StandardCharsets.US_ASCII));
      return new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }
  }

  @Override
  public void close() {
    web.close();
  }
}
