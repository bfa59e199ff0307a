package io.gradflow.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** That every benchmark works; how fast it is, is for {@code gradflow bench} to say. */
class BenchTest {
  private final StringWriter output = new StringWriter();
  private final StringWriter error = new StringWriter();

  @ParameterizedTest
  @MethodSource("io.gradflow.benchmarks.Measuring#names")
  void measures(String name) throws Exception {
    String table = Measuring.once(new PrintWriter(error)).table(name).toString();
    assertThat(table)
        .startsWith(name + "\n")
        .containsPattern("plain, µs +nd4j, µs +times faster\n")
        .containsPattern("[0-9]\n$");
    assertThat(error.toString()).contains("measuring " + name + " {by=plain").contains(" us/op\n");
  }

  @Test
  void saysWhatThereIsToMeasure() {
    assertThat(run("--help")).isZero();
    assertThat(output.toString())
        .startsWith("Usage: gradflow bench [-hV] [NAME]\n")
        .contains("One of: " + String.join(", ", Measuring.names()));
  }

  @Test
  void refusesWhatIsNone() {
    assertThat(run("nonsense")).isEqualTo(2);
    assertThat(error.toString())
        .isEqualTo(
            "gradflow: expected one of: "
                + String.join(" ", Measuring.names())
                + "; got: nonsense; see gradflow bench --help\n");
    assertThat(output.toString()).isEmpty();
  }

  private int run(String... arguments) {
    CommandLine commandLine = Bench.commandLine();
    commandLine.setOut(new PrintWriter(output));
    commandLine.setErr(new PrintWriter(error));
    return commandLine.execute(arguments);
  }
}
