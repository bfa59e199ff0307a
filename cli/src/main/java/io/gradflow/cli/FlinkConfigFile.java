package io.gradflow.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;

/** A {@code config.yaml} of Flink, by whatever name. */
final class FlinkConfigFile {
  private FlinkConfigFile() {}

  /**
   * Reads the file as Flink does, which wants its own name for it.
   *
   * @throws IOException if it cannot be read
   * @throws RuntimeException of Flink if it is not what Flink reads
   */
  static Configuration read(Path file) throws IOException {
    Path only = Files.createTempDirectory("gradflow-config");
    try {
      Files.copy(file, only.resolve(GlobalConfiguration.FLINK_CONF_FILENAME));
      return GlobalConfiguration.loadConfiguration(only.toString());
    } finally {
      Workspace.remove(only);
    }
  }
}
