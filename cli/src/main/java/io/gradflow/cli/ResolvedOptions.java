package io.gradflow.cli;

import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.JobSettings;
import io.gradflow.jobs.NormJob;
import io.gradflow.jobs.UnusableSettings;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ExecutionOptions;
import org.apache.flink.configuration.GlobalConfiguration;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.ReadableConfig;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;

/**
 * What both jobs would be told by a configuration file and an environment: every option with where
 * its value comes from, and everything that is wrong with them, not the first mistake alone.
 *
 * <p>What an option may be is decided where the jobs decide it.
 */
final class ResolvedOptions {
  private static final String PREFIX = "gradflow.";

  private final List<String> problems = new ArrayList<>();
  private final Map<String, Value> values = new TreeMap<>();
  private final JobSettings settings;
  private ReadableConfig flink;

  /**
   * One option.
   *
   * @param value as text; stars for what is secret, null for what is not set
   * @param from the file, the environment's variable, {@code default}, or {@code the jobs}
   */
  record Value(String name, String value, String from) {}

  /**
   * Resolves what a file and an environment say.
   *
   * @param path of a Flink {@code config.yaml}
   * @throws CommandFailed if the file is not there or is no such configuration
   */
  static ResolvedOptions of(Path path, Map<String, String> environment) {
    return new ResolvedOptions(path.getFileName().toString(), read(path), environment);
  }

  private ResolvedOptions(String fileName, Configuration file, Map<String, String> environment) {
    for (ConfigOption<?> option : GradflowOptions.ALL) {
      Object value = option.defaultValue();
      put(option.key(), value == null ? null : value.toString(), "default");
    }
    Configuration usable = ofFile(file, fileName);
    Map<String, String> usableEnvironment = ofEnvironment(environment);
    settings = JobSettings.resolve(new String[0], usableEnvironment, usable);
    flink = usable;
    requireBootstrapServers(fileName);
    requireFalse(usable, PipelineOptions.GENERIC_TYPES, "every type has a serializer of its own");
    requireFalse(usable, PipelineOptions.AUTO_GENERATE_UIDS, "savepoints need the jobs' own uids");
    if (problems.isEmpty()) {
      define(usable, NormJob::define);
      define(usable, AlertJob::define);
    }
  }

  private static Configuration read(Path path) {
    try {
      return FlinkConfigFile.read(path);
    } catch (IOException e) {
      throw new CommandFailed(
          "%s: expected a Flink configuration file, got %s".formatted(path, Causes.innermost(e)),
          e);
    } catch (RuntimeException e) {
      throw new CommandFailed(
          "%s: expected YAML as Flink reads it, got: %s".formatted(path, mistake(e)), e);
    }
  }

  /** The last two lines of a parser's message say what is wrong and where. */
  private static String mistake(RuntimeException failure) {
    Throwable cause = failure;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    List<String> lines =
        String.valueOf(cause.getMessage())
            .lines()
            .map(line -> line.strip().replace("in reader, ", "at "))
            .filter(line -> !line.isEmpty())
            .toList();
    return String.join(" ", lines.subList(Math.max(0, lines.size() - 2), lines.size()));
  }

  /** Takes over what is right in the file, key by key. */
  private Configuration ofFile(Configuration file, String fileName) {
    Configuration usable = new Configuration();
    FlinkOptions known = FlinkOptions.known();
    file.toMap()
        .forEach(
            (key, value) -> {
              Configuration alone = new Configuration();
              alone.setString(key, value);
              Optional<String> problem =
                  key.startsWith(PREFIX) ? refusal(Map.of(), alone) : known.problem(key, alone);
              put(key, value, fileName);
              if (problem.isPresent()) {
                problems.add(fileName + ": " + problem.get());
              } else {
                usable.setString(key, value);
              }
            });
    return usable;
  }

  private Map<String, String> ofEnvironment(Map<String, String> environment) {
    Map<String, String> usable = new TreeMap<>();
    environment.forEach(
        (variable, value) -> {
          String key = variable.toLowerCase(Locale.ROOT).replace('_', '.');
          if (values.containsKey(key) || key.startsWith(GradflowOptions.KAFKA_PROPERTIES_PREFIX)) {
            Optional<String> problem = refusal(Map.of(variable, value), new Configuration());
            put(key, value, "environment " + variable);
            if (problem.isPresent()) {
              problems.add("environment %s: %s".formatted(variable, problem.get()));
            } else {
              usable.put(variable, value);
            }
          }
        });
    return usable;
  }

  private static Optional<String> refusal(Map<String, String> environment, Configuration flink) {
    try {
      JobSettings.resolve(new String[0], environment, flink);
      return Optional.empty();
    } catch (UnusableSettings e) {
      return Optional.of(e.getMessage());
    }
  }

  private void requireBootstrapServers(String fileName) {
    String key = GradflowOptions.BOOTSTRAP_SERVERS.key();
    if (!settings.has(GradflowOptions.BOOTSTRAP_SERVERS)) {
      problems.add(
          "option %s is not set: expected host:port of Kafka brokers; set it in %s, or %s in the environment"
              .formatted(key, fileName, key.toUpperCase(Locale.ROOT).replace('.', '_')));
    }
  }

  private void requireFalse(Configuration file, ConfigOption<Boolean> option, String because) {
    if (file.getOptional(option).orElse(false)) {
      problems.add(
          "option %s: expected false, got true: %s; leave it out".formatted(option.key(), because));
    }
  }

  /** The same calls as when a job is submitted, up to the submission. */
  private void define(
      Configuration file, BiConsumer<StreamExecutionEnvironment, JobSettings> definition) {
    try {
      StreamExecutionEnvironment job =
          StreamExecutionEnvironment.getExecutionEnvironment(new Configuration(file));
      definition.accept(job, settings);
      job.getStreamGraph();
      flink = job.getConfiguration();
      for (ConfigOption<?> option :
          List.of(
              PipelineOptions.GENERIC_TYPES,
              PipelineOptions.AUTO_GENERATE_UIDS,
              PipelineOptions.MAX_PARALLELISM,
              ExecutionOptions.BUFFER_TIMEOUT,
              CheckpointingOptions.CHECKPOINTING_INTERVAL)) {
        if (file.getOptional(option).isEmpty()) {
          put(option.key(), flink.toMap().get(option.key()), "the jobs");
        }
      }
    } catch (RuntimeException e) {
      problems.add("the jobs cannot be defined with this: " + Causes.innermost(e));
    }
  }

  private void put(String key, String value, String from) {
    boolean secret = value != null && GlobalConfiguration.isSensitive(key);
    values.put(key, new Value(key, secret ? GlobalConfiguration.HIDDEN_CONTENT : value, from));
  }

  /** Every option that is set or has a default; gradflow's first. */
  List<Value> values() {
    return values.values().stream()
        .sorted(
            Comparator.comparing((Value value) -> !value.name().startsWith(PREFIX))
                .thenComparing(Value::name))
        .toList();
  }

  /** What is wrong, a sentence each. */
  List<String> problems() {
    return List.copyOf(problems);
  }

  /** What is right of gradflow's options. */
  JobSettings settings() {
    return settings;
  }

  /** Flink's options, with what the jobs add where they could be defined. */
  ReadableConfig flink() {
    return flink;
  }
}
