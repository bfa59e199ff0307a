package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GradflowTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Test
  void helpListsEveryCommand() {
    assertThat(run("help")).isZero();
    assertThat(out.toString()).contains("topics", "test ");
    assertThat(err.toString()).isEmpty();
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "| expected a command, got none; see gradflow --help",
        "nonsense | Unmatched argument at index 0: 'nonsense'; see gradflow --help",
        "topics | expected create or check, got neither; see gradflow topics --help",
        "topics check | Missing required option: '--bootstrap-server=HOST:PORT'; see gradflow topics check --help",
        "topics check --bootstrap-server nowhere | --bootstrap-server: expected host:port, got 'nowhere'; see gradflow topics check --help",
        "topics create --bootstrap-server a:1 --partitions 0 | --partitions: expected at least 1, got 0; see gradflow topics create --help",
        "topics create --bootstrap-server a:1 --partitions x | Invalid value for option '--partitions': 'x' is not an int; see gradflow topics create --help",
      })
  void wrongUseIsOneLineAndExitCodeTwo(String args, String message) {
    assertThat(run(args == null ? new String[0] : args.split(" "))).isEqualTo(2);
    assertThat(err.toString()).isEqualTo("gradflow: %s%n", message);
    assertThat(out.toString()).isEmpty();
  }

  private int run(String... args) {
    return Gradflow.run(new PrintWriter(out), new PrintWriter(err), args);
  }
}
