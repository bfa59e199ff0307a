package io.gradflow.cli;

import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;

/**
 * A file that an option names. What is wrong with it is an {@link IllegalArgumentException}, in one
 * line that never repeats what the file holds.
 *
 * @param option as it is written on the command line
 */
record OptionFile(String option, Path file) {
  /** Its text, without the blanks around it. */
  String text() {
    try {
      return Files.readString(file).strip();
    } catch (IOException e) {
      throw unreadable(e);
    }
  }

  /** The one line it has. */
  String line() {
    String text = text();
    if (text.isEmpty() || text.lines().count() > 1) {
      throw new IllegalArgumentException(
          "%s: expected one line in %s, got none or several".formatted(option, file));
    }
    return text;
  }

  /** Its properties by name. */
  Map<String, String> properties() {
    Properties properties = new Properties();
    try (Reader reader = Files.newBufferedReader(file)) {
      properties.load(reader);
    } catch (IOException | IllegalArgumentException e) {
      // The latter of escapes that are none.
      throw unreadable(e);
    }
    Map<String, String> byName = new TreeMap<>();
    properties
        .stringPropertyNames()
        .forEach(name -> byName.put(name, properties.getProperty(name)));
    return byName;
  }

  /** That it cannot be read, or not as what it should be. */
  IllegalArgumentException unreadable(Exception why) {
    return new IllegalArgumentException(
        "%s: expected a readable file, got %s".formatted(option, Causes.innermost(why)), why);
  }
}
