package io.gradflow.core.simulation;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The pure machines under thousands of deliveries; {@code ./gradflow test simulation} says more.
 */
class SimulationTest {
  @Test
  void noSeedDiffersFromTheOracle() {
    Simulate.Total total = Simulate.seeds(Simulate.SEEDS, System.out, System.err);
    assertThat(total.differences()).isZero();
    assertThat(total.seeds()).isEqualTo(Simulate.SEEDS);
    assertThat(total.crashes()).isGreaterThan(Simulate.SEEDS / 4);
    assertThat(total.duplicates()).isGreaterThan(4 * Simulate.SEEDS);
    assertThat(total.losses()).isGreaterThan(Simulate.SEEDS);
  }

  @ParameterizedTest
  @EnumSource(mode = EnumSource.Mode.EXCLUDE, names = "NOTHING")
  void whatIsBrokenIsCaught(Break broken) {
    assertThat(Simulate.seedsToCatch(broken, System.out))
        .isLessThanOrEqualTo(Simulate.SEEDS_OF_A_BREAK);
  }

  @Test
  void aSeedReplaysEventByEvent() {
    String first = output("--seed", "48");
    assertThat(first).contains(" reads run run", "publishes run run").contains("0 differences");
    assertThat(withoutSeconds(output("--seed", "48"))).isEqualTo(withoutSeconds(first));
  }

  @Test
  void wrongArgumentsAreSaidInOneLine() {
    assertThat(output("--seed", "x"))
        .isEqualTo(
            "gradflow: test simulation expected nothing, --seed N or --seeds N, got: --seed x\n");
    assertThat(output("--seeds", "0")).startsWith("gradflow: test simulation expected");
  }

  private static String withoutSeconds(String output) {
    return output.replaceAll("\\d+\\.\\d s", "");
  }

  private static String output(String... args) {
    var bytes = new ByteArrayOutputStream();
    var stream = new PrintStream(bytes, true, StandardCharsets.UTF_8);
    Simulate.run(args, stream, stream);
    return bytes.toString(StandardCharsets.UTF_8);
  }
}
