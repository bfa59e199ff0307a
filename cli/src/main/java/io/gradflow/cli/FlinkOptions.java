package io.gradflow.cli;

import java.io.File;
import java.io.IOException;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.jar.JarFile;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.FallbackKey;
import org.apache.flink.state.rocksdb.RocksDBConfigurableOptions;
import org.apache.flink.state.rocksdb.RocksDBNativeMetricOptions;
import org.apache.flink.state.rocksdb.RocksDBOptions;

/**
 * The options that Flink itself knows, from its own classes. Plugins have more of them, of which
 * nothing is known here: a key that is none of these is a mistake only if it looks like one of
 * them.
 */
final class FlinkOptions {
  private static final String PACKAGE = "org/apache/flink/configuration/";

  private final Map<String, ConfigOption<?>> byKey = new TreeMap<>();

  private FlinkOptions() {}

  /** Those of the Flink on this class path. */
  static FlinkOptions known() {
    FlinkOptions options = new FlinkOptions();
    List<Class<?>> holders =
        new ArrayList<>(
            List.of(
                RocksDBOptions.class,
                RocksDBConfigurableOptions.class,
                RocksDBNativeMetricOptions.class));
    try (JarFile jar =
        new JarFile(
            new File(
                CoreOptions.class.getProtectionDomain().getCodeSource().getLocation().toURI()))) {
      for (String name : jar.stream().map(entry -> entry.getName()).toList()) {
        if (name.startsWith(PACKAGE) && name.endsWith("Options.class")) {
          String type = name.substring(0, name.length() - ".class".length()).replace('/', '.');
          holders.add(Class.forName(type, false, CoreOptions.class.getClassLoader()));
        }
      }
    } catch (IOException | URISyntaxException | ClassNotFoundException e) {
      throw new IllegalStateException("Flink's own options cannot be listed", e);
    }
    holders.forEach(options::add);
    return options;
  }

  private void add(Class<?> holder) {
    for (Field field : holder.getFields()) {
      if (Modifier.isStatic(field.getModifiers()) && field.getType() == ConfigOption.class) {
        try {
          ConfigOption<?> option = (ConfigOption<?>) field.get(null);
          byKey.put(option.key(), option);
          for (FallbackKey other : option.fallbackKeys()) {
            byKey.putIfAbsent(other.getKey(), option);
          }
        } catch (IllegalAccessException e) {
          throw new IllegalStateException(field + " is public and cannot be read", e);
        }
      }
    }
  }

  /**
   * What is wrong with a key or its value, in one sentence.
   *
   * @param flink the configuration it is set in
   */
  Optional<String> problem(String key, Configuration flink) {
    ConfigOption<?> option = byKey.get(key);
    if (option == null) {
      return byKey.keySet().stream()
          .filter(known -> distance(key, known) <= Math.max(2, key.length() / 8))
          .min(Comparator.comparingInt(known -> distance(key, known)))
          .map(
              known ->
                  "unknown option %s: Flink has none of that name; did you mean %s?"
                      .formatted(key, known));
    }
    try {
      flink.getOptional(option);
      return Optional.empty();
    } catch (IllegalArgumentException e) {
      return Optional.of(
          "option %s: expected what Flink can read, got '%s' (%s)"
              .formatted(key, flink.toMap().get(key), reason(e)));
    }
  }

  /** Without the list of everything that would have been right. */
  private static String reason(IllegalArgumentException failure) {
    return Causes.innermost(failure).replaceFirst("^\\w+Exception: ", "").split(": ", 2)[0];
  }

  /** How many letters must be added, left out or exchanged to make one of the other. */
  private static int distance(String a, String b) {
    int[] row = new int[b.length() + 1];
    for (int j = 0; j <= b.length(); j++) {
      row[j] = j;
    }
    for (int i = 1; i <= a.length(); i++) {
      int diagonal = row[0];
      row[0] = i;
      for (int j = 1; j <= b.length(); j++) {
        int exchanged = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
        diagonal = row[j];
        row[j] = Math.min(exchanged, 1 + Math.min(row[j], row[j - 1]));
      }
    }
    return row[b.length()];
  }
}
