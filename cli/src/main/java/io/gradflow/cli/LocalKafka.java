package io.gradflow.cli;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.metadata.storage.Formatter;
import org.apache.kafka.server.common.MetadataVersion;

/**
 * A real Kafka broker in this JVM: one KRaft node, broker and controller in one, on the loopback
 * interface only.
 *
 * <p>Its data live in a folder of its own that {@link #close()} removes. Topics are never created
 * by being used. One broker means one replica: what a crash of the machine leaves is nobody's
 * promise.
 */
final class LocalKafka implements AutoCloseable {
  private static final Duration CLOSING = Duration.ofSeconds(15);

  private final KafkaRaftServer server;
  private final Path folder;
  private final int port;

  private LocalKafka(KafkaRaftServer server, Path folder, int port) {
    this.server = server;
    this.folder = folder;
    this.port = port;
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
      KafkaConfig config = new KafkaConfig(settings(folder, port, Ports.anyFree()), false);
      format(folder);
      KafkaRaftServer server = new KafkaRaftServer(config, Time.SYSTEM);
      server.startup();
      return new LocalKafka(server, folder, port);
    } catch (Exception | LinkageError e) {
      // LinkageError: classes that register for the end of the process do not load once it ends.
      Workspace.remove(folder);
      throw new CommandFailed(
          "the local broker did not start on port %d: %s; more in %s"
              .formatted(port, Causes.innermost(e), workspace.log()),
          e);
    }
  }

  private static void format(Path folder) throws Exception {
    new Formatter()
        .setPrintStream(
            new PrintStream(OutputStream.nullOutputStream(), false, StandardCharsets.UTF_8))
        .setClusterId(Uuid.randomUuid().toString())
        .setNodeId(1)
        .setReleaseVersion(MetadataVersion.latestProduction())
        .setControllerListenerName("CONTROLLER")
        .addDirectory(folder.toString())
        .setMetadataLogDirectory(folder.toString())
        .run();
  }

  private static Map<String, String> settings(Path folder, int port, int controllerPort) {
    Map<String, String> settings = new HashMap<>();
    settings.put("process.roles", "broker,controller");
    settings.put("node.id", "1");
    settings.put("log.dirs", folder.toString());
    settings.put(
        "listeners",
        "CLIENTS://127.0.0.1:%d,CONTROLLER://127.0.0.1:%d".formatted(port, controllerPort));
    settings.put("advertised.listeners", "CLIENTS://127.0.0.1:" + port);
    settings.put("listener.security.protocol.map", "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT");
    settings.put("inter.broker.listener.name", "CLIENTS");
    settings.put("controller.listener.names", "CONTROLLER");
    settings.put("controller.quorum.voters", "1@127.0.0.1:" + controllerPort);
    settings.put("auto.create.topics.enable", "false");
    // One broker holds the only replica of everything.
    settings.put("offsets.topic.replication.factor", "1");
    settings.put("transaction.state.log.replication.factor", "1");
    settings.put("transaction.state.log.min.isr", "1");
    settings.put("share.coordinator.state.topic.replication.factor", "1");
    settings.put("share.coordinator.state.topic.min.isr", "1");
    // A handful of clients: few internal partitions, small buffers, nobody to wait for.
    settings.put("offsets.topic.num.partitions", "4");
    settings.put("transaction.state.log.num.partitions", "4");
    settings.put("group.initial.rebalance.delay.ms", "0");
    settings.put("log.cleaner.dedupe.buffer.size", Integer.toString(4 << 20));
    // The only voter has nobody to wait for before it elects itself.
    settings.put("controller.quorum.election.timeout.ms", "100");
    settings.put("controller.quorum.election.backoff.max.ms", "100");
    return settings;
  }

  /** What clients connect to, {@code host:port}. */
  String bootstrapServers() {
    return "127.0.0.1:" + port;
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
    Workspace.remove(folder);
  }
}
