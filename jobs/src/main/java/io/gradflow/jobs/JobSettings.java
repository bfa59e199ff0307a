package io.gradflow.jobs;

import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * What a job was told, resolved: an argument {@code --gradflow.x.y value} goes before the
 * environment's {@code GRADFLOW_X_Y}, that before Flink's own configuration, that before the
 * default.
 */
public final class JobSettings {
  private static final String PREFIX = "gradflow.";

  private final Configuration resolved;

  private JobSettings(Configuration resolved) {
    this.resolved = resolved;
  }

  /**
   * Resolves the settings.
   *
   * @param arguments pairs of {@code --gradflow.option value}
   * @param environment of the process
   * @param flink the cluster's configuration
   * @throws IllegalArgumentException naming the argument, what was expected and what came
   */
  public static JobSettings resolve(
      String[] arguments, Map<String, String> environment, ReadableConfig flink) {
    Configuration resolved = new Configuration();
    if (flink instanceof Configuration known) {
      known
          .toMap()
          .forEach(
              (key, value) -> {
                if (key.startsWith(PREFIX)) {
                  resolved.setString(key, value);
                }
              });
    }
    environment.forEach(
        (name, value) -> {
          if (name.startsWith("GRADFLOW_")) {
            resolved.setString(name.toLowerCase(Locale.ROOT).replace('_', '.'), value);
          }
        });
    for (int i = 0; i < arguments.length; i += 2) {
      String name = arguments[i];
      if (!name.startsWith("--" + PREFIX)) {
        throw new IllegalArgumentException(
            "unknown argument '"
                + name
                + "': expected --gradflow.<option> <value>, e.g. --"
                + GradflowOptions.BOOTSTRAP_SERVERS.key()
                + " broker:9092");
      }
      if (i + 1 == arguments.length) {
        throw new IllegalArgumentException(
            "argument " + name + " has no value: expected " + name + " <value>");
      }
      resolved.setString(name.substring(2), arguments[i + 1]);
    }
    return new JobSettings(resolved);
  }

  /**
   * The value of an option, its default if it was not set.
   *
   * @throws IllegalArgumentException if the value is not of the option's type, or the option has no
   *     default and is not set
   */
  public <T> T get(ConfigOption<T> option) {
    T value;
    try {
      value = resolved.get(option);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          "option "
              + option.key()
              + ": got '"
              + resolved.toMap().get(option.key())
              + "'. "
              + option.description(),
          e);
    }
    if (value == null) {
      throw new IllegalArgumentException(
          "option " + option.key() + " is not set: pass --" + option.key() + " <value>");
    }
    return value;
  }

  /** Whether an option without default was set. */
  public boolean has(ConfigOption<?> option) {
    return resolved.contains(option);
  }

  /** The properties that every Kafka client gets. */
  public Properties kafkaProperties() {
    Properties properties = new Properties();
    resolved
        .toMap()
        .forEach(
            (key, value) -> {
              if (key.startsWith(GradflowOptions.KAFKA_PROPERTIES_PREFIX)) {
                properties.setProperty(
                    key.substring(GradflowOptions.KAFKA_PROPERTIES_PREFIX.length()), value);
              }
            });
    return properties;
  }

  /**
   * Sets what both jobs need of Flink. What must hold is set; what is a matter of taste is set only
   * where the cluster's configuration is silent.
   */
  static void prepare(StreamExecutionEnvironment environment) {
    Configuration needed = new Configuration();
    needed.set(PipelineOptions.GENERIC_TYPES, false);
    needed.set(PipelineOptions.AUTO_GENERATE_UIDS, false);
    ReadableConfig cluster = environment.getConfiguration();
    setIfAbsent(cluster, needed, PipelineOptions.MAX_PARALLELISM, 360);
    setIfAbsent(cluster, needed, ExecutionOptions.BUFFER_TIMEOUT, java.time.Duration.ofMillis(5));
    setIfAbsent(
        cluster,
        needed,
        CheckpointingOptions.CHECKPOINTING_INTERVAL,
        java.time.Duration.ofSeconds(10));
    environment.configure(needed);
  }

  private static <T> void setIfAbsent(
      ReadableConfig cluster, Configuration needed, ConfigOption<T> option, T value) {
    if (cluster.getOptional(option).isEmpty()) {
      needed.set(option, value);
    }
  }
}
