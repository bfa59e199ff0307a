package io.gradflow.cli;

import java.nio.file.Path;
import java.time.Duration;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.utils.Time;

/**
 * A real Kafka broker in this JVM, a {@link KafkaNode} whose data live in a folder of their own
 * that {@link #close()} removes.
 */
final class LocalKafka implements AutoCloseable {
  private static final Duration CLOSING = Duration.ofSeconds(15);

  private final KafkaRaftServer server;
  private final KafkaNode node;

  private LocalKafka(KafkaRaftServer server, KafkaNode node) {
    this.server = server;
    this.node = node;
  }

  /**
   * Starts a broker and returns when it accepts clients.
   *
   * @param workspace where its folder is made
   * @param port a free port for clients
   */
  static LocalKafka start(Workspace workspace, int port) {
    Path folder = workspace.newFolder("kafka");
    try {
      KafkaNode node = new KafkaNode(folder, port, Ports.anyFree());
      node.format();
      KafkaRaftServer server =
          new KafkaRaftServer(new KafkaConfig(node.settings(), false), Time.SYSTEM);
      server.startup();
      return new LocalKafka(server, node);
    } catch (Exception | LinkageError e) {
      // LinkageError: classes that register for the end of the process do not load once it ends.
      Workspace.remove(folder);
      throw new CommandFailed(
          "the local broker did not start on port %d: %s; more in %s"
              .formatted(port, Causes.innermost(e), workspace.log()),
          e);
    }
  }

  /** What clients connect to, {@code host:port}. */
  String bootstrapServers() {
    return node.bootstrapServers();
  }

  /** Stops the broker, waiting no longer than some seconds, and removes its data. */
  @Override
  public void close() {
    Closing.within(
        CLOSING,
        "broker",
        () -> {
          server.shutdown();
          server.awaitShutdown();
        });
    Workspace.remove(node.folder());
  }
}
