package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalFlinkTest {
  private static final Duration LIMIT = Duration.ofSeconds(30);

  @TempDir Path folder;

  @Test
  void runsJobsShowsThemAndLeavesNothing() throws Exception {
    int port = Ports.anyFree();
    try (LocalFlink flink = LocalFlink.start(new Workspace(folder), port, 2)) {
      LocalFlink.Job job = flink.submit(counting(flink.environment(), Long.MAX_VALUE));
      job.awaitRunning(LIMIT);

      assertThat(get(flink.web() + "/jobs/overview")).contains("counting").contains("RUNNING");
      assertThat(get(flink.web() + "/config")).contains("\"web-submit\":false");
      assertThat(get(flink.web() + "/")).contains("<html");

      job.cancel();
      assertThat(job.ended()).isTrue();
      assertThat(job.failure()).isEmpty();
    }
    assertThat(folder).isEmptyDirectory();
    assertThat(Ports.isFree(port)).isTrue();
  }

  @Test
  void saysInOneLineWhyAJobFailed() {
    try (LocalFlink flink = LocalFlink.start(new Workspace(folder), Ports.anyFree(), 1)) {
      LocalFlink.Job job = flink.submit(counting(flink.environment(), 0));
      assertThatThrownBy(
              () -> {
                job.awaitRunning(LIMIT);
                job.awaitEnd(LIMIT);
              })
          .isInstanceOf(CommandFailed.class)
          .hasMessageStartingWith("the job counting failed: IllegalStateException: counted to 0;");
    }
  }

  /** A job that counts for ever, or fails at a number. */
  private static StreamGraph counting(StreamExecutionEnvironment env, long failsAt) {
    env.fromSequence(0, Long.MAX_VALUE)
        .map(
            n -> {
              if (n == failsAt) {
                throw new IllegalStateException("counted to " + n);
              }
              return n;
            })
        .returns(Types.LONG)
        .sinkTo(new DiscardingSink<>());
    StreamGraph graph = env.getStreamGraph();
    graph.setJobName("counting");
    return graph;
  }

  private static String get(String url) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(java.net.URI.create(url)).timeout(LIMIT).build();
    return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body();
  }
}
