package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ForwardCommandTest {
  @TempDir private Path folder;

  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "| expected at least one --alertmanager or --webhook, got none",
        "--webhook http://me:SECRET@a | --webhook: expected a URL without credentials, got some; put them into a file and name that",
        "--webhook ftp://a/SECRET | --webhook: expected a URL like https://host:port/path",
        "--webhook http://a/%SECRET | --webhook: expected a URL like https://host:port/path, got none",
        "--min-severity grave | Invalid value for option '--min-severity': expected one of [INFO, WARNING, CRITICAL] (case-insensitive) but was 'grave'",
      })
  void wrongUseIsOneLineWithoutSecretsAndExitCodeTwo(String args, String message) {
    String[] words = args == null ? new String[0] : args.split(" ");
    assertThat(run(words)).isEqualTo(2);
    assertThat(err.toString()).isEqualTo("gradflow: %s; see gradflow forward --help%n", message);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aFileOfCredentialsHoldsALineOfAKnownKind() throws IOException {
    Path file = Files.writeString(folder.resolve("auth"), "Digest SECRET\n");

    assertThat(run("--webhook", "http://a", "--webhook-auth-file", file.toString())).isEqualTo(2);
    assertThat(err.toString())
        .contains("auth: expected a line 'bearer TOKEN' or 'basic USER:PASSWORD', got something")
        .doesNotContain("SECRET");
  }

  @Test
  void withoutABrokerNothingIsForwardedAndItSaysSo() {
    assertThat(run("--webhook", "http://a", "--bootstrap-server", "127.0.0.1:1")).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: no Kafka broker answers at 127.0.0.1:1 within 5 s; is it running?%n"
                .formatted());
  }

  private int run(String... args) {
    return Gradflow.run(
        new PrintWriter(out),
        new PrintWriter(err),
        Stream.concat(Stream.of("forward"), Stream.of(args)).toArray(String[]::new));
  }
}
