package io.gradflow.cli;

import io.gradflow.jobs.GradflowOptions;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ConfigurationUtils;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.FallbackKey;
import org.apache.flink.configuration.MetricOptions;
import org.apache.flink.runtime.highavailability.JobResultStoreOptions;
import org.apache.flink.state.rocksdb.RocksDBOptions;

/**
 * Every key that Flink or gradflow reads, from the options in their classes. Flink ignores keys
 * that nobody reads, and a misspelt one with them.
 */
final class FlinkKeys {
  private static final String REPORTER = "metrics.reporter.";

  /** What the Prometheus reporter reads; it declares no options. */
  private static final String REPORTER_PORT = "port";

  private final Map<String, ConfigOption<?>> options = new HashMap<>();
  private final Map<String, ConfigOption<?>> reporterOptions = new HashMap<>();

  FlinkKeys() throws IOException, URISyntaxException, ReflectiveOperationException {
    GradflowOptions.ALL.forEach(option -> add(options, option));
    for (Class<?> one :
        List.of(CoreOptions.class, JobResultStoreOptions.class, RocksDBOptions.class)) {
      Path jar = Path.of(one.getProtectionDomain().getCodeSource().getLocation().toURI());
      try (JarFile file = new JarFile(jar.toFile())) {
        for (String name : file.stream().map(JarEntry::getName).toList()) {
          if (name.startsWith("org/apache/flink/") && name.endsWith("Options.class")) {
            addAll(Class.forName(name.replace(".class", "").replace('/', '.')));
          }
        }
      }
    }
  }

  private void addAll(Class<?> holder) throws IllegalAccessException {
    for (Field field : holder.getFields()) {
      if (Modifier.isStatic(field.getModifiers()) && field.getType() == ConfigOption.class) {
        boolean ofReporter =
            holder == MetricOptions.class && field.getName().startsWith("REPORTER_");
        add(ofReporter ? reporterOptions : options, (ConfigOption<?>) field.get(null));
      }
    }
  }

  private static void add(Map<String, ConfigOption<?>> to, ConfigOption<?> option) {
    to.put(option.key(), option);
    for (FallbackKey other : option.fallbackKeys()) {
      to.put(other.getKey(), option);
    }
  }

  /** What is wrong with a key or its value; empty if Flink or gradflow reads it. */
  Optional<String> problem(String key, String value) {
    if (key.startsWith(GradflowOptions.KAFKA_PROPERTIES_PREFIX) || isReporters(key)) {
      return Optional.empty();
    }
    ConfigOption<?> option = options.get(key);
    if (option == null) {
      return isEntryOfMap(key) ? Optional.empty() : Optional.of(key + ": nobody reads this key");
    }
    try {
      Configuration alone = new Configuration();
      alone.setString(key, value);
      alone.get(option);
      return Optional.empty();
    } catch (IllegalArgumentException e) {
      return Optional.of("%s: '%s' cannot be read: %s".formatted(key, value, e.getMessage()));
    }
  }

  private boolean isReporters(String key) {
    if (!key.startsWith(REPORTER) || key.indexOf('.', REPORTER.length()) < 0) {
      return false;
    }
    String own = key.substring(key.indexOf('.', REPORTER.length()) + 1);
    return reporterOptions.containsKey(own) || own.equals(REPORTER_PORT);
  }

  private boolean isEntryOfMap(String key) {
    return options.values().stream()
        .anyMatch(
            option ->
                ConfigurationUtils.canBePrefixMap(option) && key.startsWith(option.key() + "."));
  }
}
