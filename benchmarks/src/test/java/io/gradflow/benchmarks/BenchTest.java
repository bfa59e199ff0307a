package io.gradflow.benchmarks;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Locale;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import picocli.CommandLine;

/** That every benchmark works; how fast it is, is for {@code gradflow bench} to say. */
class BenchTest {
  private final StringWriter output = new StringWriter();
  private final StringWriter error = new StringWriter();

  @ParameterizedTest
  @MethodSource
  void comparesWhoAnalysesMatrices(String name) throws Exception {
    assertThat(measured(name))
        .containsPattern("plain, µs +nd4j, µs +times faster\n")
        .containsPattern("[0-9]\n$");
    assertThat(error.toString()).contains("measuring " + name + " {by=plain").contains(" us/op\n");
  }

  static List<String> comparesWhoAnalysesMatrices() {
    return Measuring.names(MatrixBenchmarks.class);
  }

  @ParameterizedTest
  @MethodSource
  void comparesSignalsWithNorms(String name) throws Exception {
    assertThat(measured(name))
        .containsPattern("signals +[A-Z0-9 ]+ +of norms")
        .containsPattern("\n +norms +[0-9.]+ +1[.]00")
        .containsPattern("\n +all +[0-9.]+ +[0-9.]+");
    assertThat(error.toString()).contains("signals=ALL}").contains(" us/op\n");
  }

  static List<String> comparesSignalsWithNorms() {
    return Measuring.names(SignalBenchmarks.class);
  }

  @ParameterizedTest
  @MethodSource
  void comparesDetectorsWithOneScoreALayer(String name) throws Exception {
    assertThat(measured(name))
        .containsPattern("\n +loop +[0-9.]+ +[0-9.]+")
        .containsPattern("\n +norms +[0-9.]+ +1[.]00")
        .containsPattern("\n +all +[0-9.]+ +[0-9.]+");
  }

  static List<String> comparesDetectorsWithOneScoreALayer() {
    return Measuring.names(DetectBenchmarks.class);
  }

  @ParameterizedTest
  @MethodSource
  void comparesPublishingWithSending(String name) throws Exception {
    String table = measured(name);
    assertThat(table).containsPattern("gradient +layers +through +median, µs +p99, µs +p99.9, µs");
    for (String gradient : List.of("columns", "arrays")) {
      for (PublishBenchmarks.Through through : PublishBenchmarks.Through.values()) {
        String way = through.name().toLowerCase(Locale.ROOT).replace('_', ' ');
        assertThat(table)
            .containsPattern("\n +" + gradient + " +12 +" + way + " +[0-9.,]+ +[0-9.,]+ +[0-9.,]+");
      }
    }
  }

  static List<String> comparesPublishingWithSending() {
    return Measuring.names(PublishBenchmarks.class);
  }

  @Test
  void whatDetectorsRememberGrowsWithTheLayersNotWithTheSteps() {
    double early = DetectorState.bytes(100, 50);

    assertThat(DetectorState.bytes(100, 500)).isEqualTo(early);
    assertThat(DetectorState.bytes(200, 50)).isBetween(1.5 * early, 2 * early);
  }

  private String measured(String name) throws Exception {
    String table = Measuring.once(new PrintWriter(error)).table(name).toString();
    assertThat(table).startsWith(name);
    return table;
  }

  @Test
  void saysWhatThereIsToMeasure() {
    assertThat(run("--help")).isZero();
    assertThat(output.toString()).startsWith("Usage: gradflow bench [-hV] [NAME]\n");
    assertThat(output.toString().replaceAll("\\s+", " "))
        .contains("matrices, geometry, links,")
        .contains("signals, bytes, measuring,")
        .contains("detectors, state, detecting, publisher, publishing, reporting");
  }

  @Test
  void refusesWhatIsNone() {
    assertThat(run("nonsense")).isEqualTo(2);
    assertThat(error.toString())
        .isEqualTo(
            "gradflow: expected one of: "
                + String.join(" ", new Bench.Names())
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
