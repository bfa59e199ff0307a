package io.gradflow.jobs;

import io.gradflow.core.norm.Limits;
import java.time.Duration;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.kafka.clients.producer.ProducerConfig;

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
   * Resolves the settings. An option that does not exist is refused in arguments and in Flink's
   * configuration; in the environment it is somebody else's, for trainers use the same prefix.
   *
   * @param arguments pairs of {@code --gradflow.option value}
   * @param environment of the process
   * @param flink the cluster's configuration
   * @throws UnusableSettings naming the option, what was expected and what came
   */
  public static JobSettings resolve(
      String[] arguments, Map<String, String> environment, ReadableConfig flink) {
    Configuration resolved = new Configuration();
    flink
        .toMap()
        .forEach(
            (name, value) -> {
              if (name.startsWith(PREFIX)) {
                requireKnown(name, "Flink's configuration");
                resolved.setString(name, value);
              }
            });
    environment.forEach(
        (variable, value) -> {
          String name = variable.toLowerCase(Locale.ROOT).replace('_', '.');
          if (isKnown(name)) {
            resolved.setString(name, value);
          }
        });
    for (int i = 0; i < arguments.length; i += 2) {
      String argument = arguments[i];
      if (!argument.startsWith("--" + PREFIX)) {
        throw new UnusableSettings(
            "unknown argument '%s': expected --gradflow.<option> <value>, e.g. --%s broker:9092"
                .formatted(argument, GradflowOptions.BOOTSTRAP_SERVERS.key()));
      }
      String name = argument.substring(2);
      requireKnown(name, "the arguments");
      // A value may not look like an option: it is the next one, and this one's was forgotten.
      if (i + 1 == arguments.length || arguments[i + 1].startsWith("--" + PREFIX)) {
        throw new UnusableSettings(
            "argument %s has no value: expected %s <value>".formatted(argument, argument));
      }
      resolved.setString(name, arguments[i + 1]);
    }
    JobSettings settings = new JobSettings(resolved);
    GradflowOptions.ALL.stream().filter(settings::has).forEach(settings::get);
    settings.limits();
    settings.transactionTimeout();
    return settings;
  }

  private static void requireKnown(String name, String where) {
    if (!isKnown(name)) {
      throw new UnusableSettings(
          "unknown option %s in %s: expected one of %s, or %s<name>"
              .formatted(
                  name,
                  where,
                  GradflowOptions.ALL.stream()
                      .map(ConfigOption::key)
                      .collect(Collectors.joining(", ")),
                  GradflowOptions.KAFKA_PROPERTIES_PREFIX));
    }
  }

  private static boolean isKnown(String name) {
    String prefix = GradflowOptions.KAFKA_PROPERTIES_PREFIX;
    return (name.startsWith(prefix) && name.length() > prefix.length())
        || GradflowOptions.ALL.stream().anyMatch(option -> option.key().equals(name));
  }

  /**
   * The value of an option, its default if it was not set.
   *
   * @throws UnusableSettings if the value is not of the option's type, or the option has no default
   *     and is not set
   */
  public <T> T get(ConfigOption<T> option) {
    T value;
    try {
      value = resolved.get(option);
    } catch (IllegalArgumentException e) {
      throw new UnusableSettings(
          "option %s: expected %s, got '%s'"
              .formatted(option.key(), choices(option), resolved.toMap().get(option.key())));
    }
    if (value == null) {
      throw new UnusableSettings(
          "option %s is not set: pass --%s <value>, or set %s"
              .formatted(
                  option.key(),
                  option.key(),
                  option.key().toUpperCase(Locale.ROOT).replace('.', '_')));
    }
    return value;
  }

  /** What the value of an option may be. */
  private static String choices(ConfigOption<?> option) {
    if (option.defaultValue() instanceof Enum<?> one) {
      return Arrays.stream(one.getDeclaringClass().getEnumConstants())
          .map(Enum::toString)
          .collect(Collectors.joining(" or "));
    }
    return option.defaultValue() instanceof MemorySize
        ? "a size such as 256 mb"
        : "a whole number such as " + option.defaultValue();
  }

  /** Whether an option without default was set. */
  public boolean has(ConfigOption<?> option) {
    return resolved.contains(option);
  }

  /**
   * What one subtask may hold.
   *
   * @throws UnusableSettings if a limit is below 1
   */
  Limits limits() {
    try {
      return new Limits(
          get(GradflowOptions.LIMIT_RUNS),
          get(GradflowOptions.LIMIT_LAYERS),
          get(GradflowOptions.LIMIT_BYTES).getBytes());
    } catch (IllegalArgumentException e) {
      throw e instanceof UnusableSettings
          ? e
          : new UnusableSettings("option gradflow.limits." + e.getMessage());
    }
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
   * How long a transaction of exactly-once alerts may stay open: what the user says of Kafka's
   * clients, else 10 minutes. The sink's own default of an hour is above the broker's limit of 15
   * minutes.
   *
   * @throws UnusableSettings if it is not a number of milliseconds
   */
  public Duration transactionTimeout() {
    String name = ProducerConfig.TRANSACTION_TIMEOUT_CONFIG;
    String value = kafkaProperties().getProperty(name);
    try {
      return value == null ? Duration.ofMinutes(10) : Duration.ofMillis(Long.parseLong(value));
    } catch (NumberFormatException e) {
      throw new UnusableSettings(
          "option %s%s: expected milliseconds, got '%s'"
              .formatted(GradflowOptions.KAFKA_PROPERTIES_PREFIX, name, value));
    }
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
    setIfAbsent(cluster, needed, ExecutionOptions.BUFFER_TIMEOUT, Duration.ofMillis(5));
    setIfAbsent(
        cluster, needed, CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(10));
    environment.configure(needed);
  }

  private static <T> void setIfAbsent(
      ReadableConfig cluster, Configuration needed, ConfigOption<T> option, T value) {
    if (cluster.getOptional(option).isEmpty()) {
      needed.set(option, value);
    }
  }
}
