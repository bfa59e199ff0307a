package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.schema.Topic;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LocalStackTest {
  private static final OptionalInt ANY = OptionalInt.of(0);

  @TempDir Path folder;

  private final StringWriter lines = new StringWriter();
  private final Progress progress = new Progress(new PrintWriter(lines));

  @Test
  void bringsUpBrokerTopicsAndFlinkAndLeavesNothing() {
    try (LocalStack stack = LocalStack.start(settings(ANY, ANY), progress)) {
      assertThat(progress.took()).containsOnlyKeys("broker", "topics", "flink");
      assertThat(lines.toString())
          .contains(stack.kafka().bootstrapServers())
          .contains(stack.flink().web().toString())
          .contains(Topic.values().length + " created");
    }
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void saysWhichPortIsTakenByWhomAndWhatToDo() throws Exception {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      OptionalInt port = OptionalInt.of(taken.getLocalPort());
      assertThatThrownBy(() -> LocalStack.start(settings(port, ANY), progress))
          .isInstanceOf(CommandFailed.class)
          .hasMessage(
              "port %d is in use, and the local broker needs it: stop what listens there, or choose another with --kafka-port",
              port.getAsInt());
      assertThatThrownBy(() -> LocalStack.start(settings(ANY, port), progress))
          .isInstanceOf(CommandFailed.class)
          .hasMessage(
              "port %d is in use, and Flink's web page needs it: stop what listens there, or choose another with --flink-port",
              port.getAsInt());
    }
    assertThat(folder).isEmptyDirectory();
  }

  private LocalStack.Settings settings(OptionalInt kafkaPort, OptionalInt flinkPort) {
    return new LocalStack.Settings(new Workspace(folder), kafkaPort, flinkPort, 2, 2);
  }
}
