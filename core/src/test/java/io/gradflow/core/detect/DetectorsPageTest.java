package io.gradflow.core.detect;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.reflect.RecordComponent;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Test;

/** The page for people says the defaults that are in force. */
class DetectorsPageTest {
  private static final Path PAGE = Path.of("..", "docs", "detectors.md");
  private static final Pattern ROW =
      Pattern.compile("^\\| (\\w+) \\| `(\\w+)` \\| ([0-9.]+) \\|", Pattern.MULTILINE);

  @Test
  void theTableOfDefaultsIsTheDefaultPolicy() throws Exception {
    assertThat(documented()).isEqualTo(inForce());
  }

  @Test
  void everyKindHasItsSection() throws IOException {
    for (FindingKind kind : FindingKind.values()) {
      assertThat(Files.readString(PAGE)).contains("\n### " + kind + "\n");
    }
  }

  private static Map<String, Double> documented() throws IOException {
    var settings = new TreeMap<String, Double>();
    ROW.matcher(Files.readString(PAGE))
        .results()
        .forEach(
            row ->
                settings.put(row.group(1) + " " + row.group(2), Double.parseDouble(row.group(3))));
    return settings;
  }

  private static Map<String, Double> inForce() throws ReflectiveOperationException {
    var settings = new TreeMap<String, Double>();
    for (RecordComponent component : DetectionPolicy.class.getRecordComponents()) {
      Object value = component.getAccessor().invoke(DetectionPolicy.DEFAULT);
      if (value instanceof Record ofDetector) {
        String kind = component.getName().replaceAll("([A-Z])", "_$1").toUpperCase(Locale.ROOT);
        for (RecordComponent setting : ofDetector.getClass().getRecordComponents()) {
          settings.put(
              kind + " " + setting.getName(), number(setting.getAccessor().invoke(ofDetector)));
        }
      } else if (value instanceof Number number && !component.getName().equals("version")) {
        settings.put("all " + component.getName(), number.doubleValue());
      }
    }
    return settings;
  }

  private static double number(Object value) {
    return ((Number) value).doubleValue();
  }
}
