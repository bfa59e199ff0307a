package io.gradflow.jobs;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.description.HtmlFormatter;
import org.junit.jupiter.api.Test;

/** The documented table of options is the options'. */
class OptionsTableTest {
  @Test
  void theTableSaysWhatTheOptionsSay() throws IOException {
    List<String> documented =
        Files.readAllLines(Path.of("..", "docs", "operations.md")).stream()
            .filter(line -> line.startsWith("| `gradflow."))
            .toList();

    assertThat(documented)
        .as("table of options in docs/operations.md")
        .containsExactlyElementsOf(
            GradflowOptions.ALL.stream().map(OptionsTableTest::row).toList());
  }

  private static String row(ConfigOption<?> option) {
    Object value = option.defaultValue();
    return "| `%s` | %s | %s | %s |"
        .formatted(
            option.key(),
            type(value),
            value == null ? "none" : "`" + value + "`",
            new HtmlFormatter().format(option.description()));
  }

  private static String type(Object value) {
    if (value instanceof Number) {
      return "number";
    }
    return value instanceof Enum<?> ? "choice" : value instanceof MemorySize ? "size" : "text";
  }
}
