package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.net.InetAddress;
import java.net.ServerSocket;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class GradflowTest {
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @Test
  void helpListsEveryCommand() {
    assertThat(run("help")).isZero();
    assertThat(out.toString())
        .contains(
            "demo",
            "dashboard",
            "alerts",
            "compare",
            "record",
            "replay",
            "validate",
            "dlq",
            "topics",
            "test ");
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
        "demo --scenario wat | scenario: expected one of healthy, vanishing, exploding, spike, nan, dead-layer, missing-rank, got wat; see gradflow demo --help",
        "demo --ranks 0 | training: expected ranks from 1 to 64, got 0; see gradflow demo --help",
        "demo --scenario nan --steps 60 --fault-at 60 | fault nan: expected a step from 0 to 59, as the run has 60 steps, got 60; see gradflow demo --help",
        "demo --kafka-port x | Invalid value for option '--kafka-port': 'x' is not an int; see gradflow demo --help",
        "demo --page-port x | Invalid value for option '--page-port': 'x' is not an int; see gradflow demo --help",
        "dashboard --listen 8080 | --listen: expected host:port, e.g. 127.0.0.1:8080, got '8080'; see gradflow dashboard --help",
        "dashboard --listen 127.0.0.1:70000 | --listen: expected host:port, e.g. 127.0.0.1:8080, got '127.0.0.1:70000'; see gradflow dashboard --help",
        "dashboard --listen no.such.host.invalid:1 | --listen: expected an address of this machine, got 'no.such.host.invalid', which nobody knows; see gradflow dashboard --help",
        "dashboard --listen 0.0.0.0:0 | listen address 0.0.0.0: expected a token and a certificate, for others can reach it, got no token: give both, or listen on 127.0.0.1; see gradflow dashboard --help",
        "dashboard --token-file /nowhere/token | --token-file: expected a readable file, got NoSuchFileException: /nowhere/token; see gradflow dashboard --help",
        "dashboard --config /nowhere/client | --config: expected a readable file, got NoSuchFileException: /nowhere/client; see gradflow dashboard --help",
        "dashboard --tls-key k | Missing required argument(s): --tls-certificate=FILE; see gradflow dashboard --help",
        "dashboard --runbook ftp://x | runbook: expected an http or https address, got another; see gradflow dashboard --help",
        "dashboard --clients 0 | clients: expected 1 or more, got 0; see gradflow dashboard --help",
        "dashboard --memory 0 | window memory: expected 1 MiB or more, got 0 bytes; see gradflow dashboard --help",
        "record --out f | Missing required option: '--run=R'; see gradflow record --help",
        "record --run r --out f --from yesterday | --from: expected a time like 2026-11-22T10:00:00Z, got 'yesterday'; see gradflow record --help",
        "replay | Missing required parameter: 'FILE'; see gradflow replay --help",
        "replay f --speed 0 | --speed: expected a number above 0, got 0.0; see gradflow replay --help",
        "validate | Missing required option: '--file=config.yaml'; see gradflow validate --help",
        "compare a | Missing required parameter: 'RUN[:FROM-TO]'; see gradflow compare --help",
        "compare a:20-10 b | Invalid value for positional parameter at index 0 (RUN[:FROM-TO]): expected FROM up to TO in RUN:FROM-TO, got 'a:20-10'; see gradflow compare --help",
        "compare a b:0-99999999999999999999 | Invalid value for positional parameter at index 1 (RUN[:FROM-TO]): expected step numbers below 2^63 in RUN:FROM-TO, got 'b:0-99999999999999999999'; see gradflow compare --help",
        "compare a b --layers -1 | --layers: expected at least 0, got -1; see gradflow compare --help",
        "dlq | expected show or replay, got neither; see gradflow dlq --help",
        "alerts --format xml | Invalid value for option '--format': expected one of [TEXT, JSON] (case-insensitive) but was 'xml'; see gradflow alerts --help",
      })
  void wrongUseIsOneLineAndExitCodeTwo(String args, String message) {
    assertThat(run(args == null ? new String[0] : args.split(" "))).isEqualTo(2);
    assertThat(err.toString()).isEqualTo("gradflow: %s%n", message);
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void deadLettersAreNotReplayedWithoutSayingWhich() {
    assertThat(run("dlq", "replay")).isEqualTo(2);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: Missing required argument (specify one of these): (--reason=W | --offset=TOPIC-PARTITION@OFFSET | --all); see gradflow dlq replay --help%n"
                .formatted());
  }

  @Test
  void aPortInUseIsOneLineAndExitCodeOne() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      String port = Integer.toString(taken.getLocalPort());
      assertThat(run("demo", "--headless", "--flink-port", port)).isEqualTo(1);
    }
    assertThat(err.toString().lines())
        .singleElement()
        .asString()
        .contains("is in use", "--flink-port");
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void aPageThatCannotBeServedIsOneLineAndExitCodeOne() throws IOException {
    try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      assertThat(run("dashboard", "--listen", "127.0.0.1:" + taken.getLocalPort())).isEqualTo(1);
      assertThat(err.toString())
          .startsWith(
              "gradflow: the page cannot listen on 127.0.0.1:%d: ".formatted(taken.getLocalPort()))
          .hasLineCount(1);
      assertThat(run("demo", "--headless", "--page-port", Integer.toString(taken.getLocalPort())))
          .isEqualTo(1);
      assertThat(err.toString()).contains("gradflow's page needs it", "--page-port");
    }
    assertThat(run("dashboard", "--tls-certificate", "/nowhere/c", "--tls-key", "/nowhere/k"))
        .isEqualTo(1);
    assertThat(err.toString())
        .contains(
            "gradflow: TLS: expected a PEM certificate in /nowhere/c and its unencrypted PKCS #8 key"
                + " in /nowhere/k, got: cannot read /nowhere/c");
    assertThat(run("dashboard", "--memory", "100000000000000")).isEqualTo(2);
    assertThat(err.toString())
        .containsPattern(
            "--memory: expected at most \\d+ MiB, half of this process's heap, got 100000000000000");
    assertThat(out.toString()).isEmpty();
  }

  @Test
  void withoutABrokerThereAreNoAlertsAndItSaysSo() {
    assertThat(run("alerts", "--bootstrap-server", "127.0.0.1:1")).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: no Kafka broker answers at 127.0.0.1:1 within 5 s; is it running?%n"
                .formatted());
  }

  private int run(String... args) {
    return Gradflow.run(new PrintWriter(out), new PrintWriter(err), args);
  }
}
