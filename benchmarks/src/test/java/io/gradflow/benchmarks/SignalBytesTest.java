package io.gradflow.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.benchmarks.SignalBytes.Place;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** That docs/signals.md has the bytes that are measured, within a fifth. */
class SignalBytesTest {
  private static final Path PAGE = Path.of("..", "docs", "signals.md");

  @Test
  void areThoseOfTheDocumentation() throws Exception {
    Map<String, List<String>> documented = documented();
    SignalBytes bytes = SignalBytes.measured();

    assertThat(documented).hasSize(SignalSet.values().length);
    for (SignalSet signals : SignalSet.values()) {
      List<String> cells = documented.get(signals.word());
      assertThat(cells).as(signals.word()).hasSize(Place.values().length);
      Iterator<String> next = cells.iterator();
      for (Place place : Place.values()) {
        double measured = bytes.row(signals).get(place);
        assertThat(Double.parseDouble(next.next()))
            .as("%s of %s", place, signals.word())
            .isCloseTo(measured, within(0.5 + 0.2 * Math.abs(measured)));
      }
    }
  }

  /** The cells of the rows of the page's table of bytes, by the word in the first one. */
  private static Map<String, List<String>> documented() throws Exception {
    Map<String, List<String>> rows = new HashMap<>();
    boolean inTable = false;
    for (String line : Files.readAllLines(PAGE)) {
      inTable = line.startsWith("| bytes a layer |") || (inTable && line.startsWith("|"));
      List<String> cells = Arrays.stream(line.split("\\|")).map(String::trim).toList();
      if (inTable && !line.startsWith("|-") && !cells.get(1).equals("bytes a layer")) {
        rows.put(cells.get(1).replace("`", ""), cells.subList(2, cells.size()));
      }
    }
    return rows;
  }
}
