package io.gradflow.dashboard.web;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.sun.management.UnixOperatingSystemMXBean;
import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.dashboard.live.LiveRuns;
import io.gradflow.dashboard.live.Reading;
import io.gradflow.dashboard.web.DashboardOptions.Limits;
import io.gradflow.schema.Topic;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** Clients that are too many, or do not read. */
class EventStreamsTest {
  private static final Duration LIMIT = Duration.ofSeconds(30);
  private static final int LAYERS = 5_000;

  private static TestServer start(int clients, Duration patience) throws IOException {
    return TestServer.start(
        TestServer.options(
            InetAddress.getLoopbackAddress(),
            Optional.empty(),
            Optional.empty(),
            new Limits(256 << 20, 0, clients),
            Optional.empty()),
        patience);
  }

  private static Socket follow(TestServer server) throws IOException {
    Socket socket = new Socket();
    socket.setReceiveBufferSize(4 << 10);
    socket.connect(new InetSocketAddress(InetAddress.getLoopbackAddress(), server.port()));
    socket
        .getOutputStream()
        .write(
            "GET /api/events?run=run HTTP/1.1\r\nHost: localhost\r\n\r\n"
                .getBytes(StandardCharsets.US_ASCII));
    return socket;
  }

  private static void awaitHello(Socket socket) throws IOException {
    BufferedReader lines =
        new BufferedReader(new InputStreamReader(socket.getInputStream(), StandardCharsets.UTF_8));
    String line = lines.readLine();
    while (line != null && !line.equals("event: hello")) {
      line = lines.readLine();
    }
    assertThat(line).isEqualTo("event: hello");
  }

  private static Reading read(long last) {
    return new Reading(
        1,
        Map.of(Topic.STEPS, new long[] {0}),
        Map.of(Topic.STEPS, new long[] {last}),
        true,
        1,
        0,
        0);
  }

  private static void steps(LiveRuns live, int from, int to) {
    double[] norms = new double[LAYERS];
    Arrays.fill(norms, 2);
    for (int i = from; i <= to; i++) {
      Step step =
          new Step(
              new StepId("run", 1, StepId.MAIN_STREAM, i),
              7,
              0,
              1,
              0,
              1,
              ClosedBy.COMPLETE,
              false,
              1,
              1,
              new int[0],
              new int[0],
              null,
              null,
              1,
              new NormColumns(null, norms, norms, norms, norms, null, null, null, null),
              null,
              new StepScalars(null, null, null, null, false, null, null, 1),
              List.of(),
              null);
      Origin origin = new Origin(Topic.STEPS.topicName(), 0, i, 1);
      live.read(() -> live.step(step, origin), read(i));
    }
  }

  @Test
  void oneClientTooManyIsToldSo() throws IOException {
    try (TestServer server = start(1, LIMIT)) {
      server.live().begin(read(-1));
      try (Socket first = follow(server)) {
        awaitHello(first);

        assertThat(server.ask("GET /api/events?run=run"))
            .startsWith("HTTP/1.1 503")
            .contains(
                "expected at most 1 open pages, got one more: close some, or raise the limit of"
                    + " clients");
        assertThat(server.clients()).isEqualTo(1);
      }
      await().atMost(LIMIT).until(() -> server.clients() == 0);
      try (Socket next = follow(server)) {
        awaitHello(next);
      }
    }
  }

  @Test
  void aClientThatDoesNotReadIsCutOffAndNothingOfItIsLeft() throws IOException {
    try (TestServer server = start(10, Duration.ofMillis(500))) {
      server.live().begin(read(-1));
      try (Socket reading = follow(server)) {
        awaitHello(reading);
        // The same connection from now on reads all: it is not to be cut off.
        Thread reader = reader(reading);
        long open = openFiles();
        try (Socket stuck = follow(server)) {
          await().atMost(LIMIT).until(() -> server.clients() == 2);
          assertThat(threadsThatServe()).isEqualTo(2);

          steps(server.live(), 0, 1_500);

          await().atMost(LIMIT).until(() -> server.clients() == 1);
          await().atMost(LIMIT).until(() -> threadsThatServe() == 1);
          // The client's own end of the connection is in this process, too.
          await().atMost(LIMIT).until(() -> openFiles() <= open + 1);
          assertThat(stuck.isClosed()).isFalse();
        }
        assertThat(reader.isAlive()).isTrue();
      }
    }
  }

  private static Thread reader(Socket of) {
    Thread reader =
        new Thread(
            () -> {
              try {
                of.getInputStream().transferTo(OutputStream.nullOutputStream());
              } catch (IOException e) {
                // Closed by the test.
              }
            });
    reader.setDaemon(true);
    reader.start();
    return reader;
  }

  private static long openFiles() {
    return ((UnixOperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getOpenFileDescriptorCount();
  }

  private static long threadsThatServe() {
    return Thread.getAllStackTraces().values().stream()
        .filter(
            stack ->
                Arrays.stream(stack)
                    .anyMatch(
                        frame ->
                            frame.getClassName().equals(EventStreams.class.getName() + "$Client")))
        .count();
  }
}
