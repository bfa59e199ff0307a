package io.gradflow.cli;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Which Kafka cluster a command reads. */
final class KafkaCluster {
  @Option(
      names = "--bootstrap-server",
      paramLabel = "HOST:PORT",
      defaultValue = "localhost:9092",
      description = "The Kafka cluster (default: ${DEFAULT-VALUE}, where the demo's broker is).")
  private String bootstrapServers;

  String bootstrapServers() {
    return bootstrapServers;
  }

  /** The same for a command that also reads clusters which demand that clients log in. */
  static final class WithClient {
    @Mixin private KafkaCluster cluster;

    @Option(
        names = "--config",
        paramLabel = "FILE",
        description = "Properties of the Kafka clients, for security.")
    private Optional<Path> config = Optional.empty();

    String bootstrapServers() {
      return cluster.bootstrapServers();
    }

    /**
     * Properties of the clients, the brokers not among them.
     *
     * @throws IllegalArgumentException if the file cannot be read
     */
    Map<String, String> client() {
      return config.map(file -> new OptionFile("--config", file).properties()).orElseGet(Map::of);
    }
  }
}
