package io.gradflow.operators.analysis;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AnalysisTest {
  @Test
  void takesNd4jWhereItIs() {
    assertThat(Analysis.matrices()).isInstanceOf(Nd4jMatrices.class).isSameAs(Analysis.matrices());
  }

  @ParameterizedTest
  @ValueSource(strings = {"nd4j-api", "nd4j-native-api", "javacpp", "openblas"})
  void takesPlainLoopsWhereAJarIsMissing(String jar) throws Exception {
    assertThat(chosenWithout(jar)).isEqualTo(PlainMatrices.class.getName());
  }

  @Test
  void takesPlainLoopsWithoutALibraryForThisMachine() throws Exception {
    assertThat(chosenWithout("nd4j-native-1.0.0-M2.1-")).isEqualTo(PlainMatrices.class.getName());
  }

  @Test
  void saysWhatIsMissingAndWhereItGoes() {
    String line =
        Analysis.missing(
            new ExceptionInInitializerError(
                new IllegalStateException(new UnsatisfiedLinkError("no jnind4jcpu"))));
    assertThat(line)
        .startsWith("Matrices are analysed by plain loops")
        .contains(
            "expected ND4J 1.0.0-M2.1 with its library for " + System.getProperty("os.name"),
            "got java.lang.UnsatisfiedLinkError: no jnind4jcpu",
            "put its jars into Flink's lib folder, see docs/operations.md");
  }

  private static String chosenWithout(String jars) throws IOException, InterruptedException {
    return OwnJvm.run(Chosen.class, jar -> !jar.startsWith(jars), "-XX:TieredStopAtLevel=1");
  }

  /** The JVM's main. */
  static final class Chosen {
    private Chosen() {}

    public static void main(String[] arguments) {
      Matrices first = Analysis.matrices();
      // What could not be loaded once must not fail otherwise the second time.
      System.out.println(first == Analysis.matrices() ? first.getClass().getName() : "two");
    }
  }
}
