package io.gradflow.operators.analysis;

import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.PlainMatrices;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Which matrices this JVM computes with. */
public final class Analysis {
  private static final Logger LOG = LoggerFactory.getLogger(Analysis.class);

  private Analysis() {}

  /**
   * ND4J's if it is on the class path and has a library for this machine. Plain loops otherwise,
   * and one line of the log that says what is missing: results are the same, large models take
   * longer.
   */
  public static Matrices matrices() {
    return Chosen.MATRICES;
  }

  /** Chosen once: ND4J is not asked again after it failed to load. */
  private static final class Chosen {
    private static final Matrices MATRICES = choose();
  }

  private static Matrices choose() {
    try {
      return new Nd4jMatrices();
    } catch (LinkageError | RuntimeException e) {
      LOG.warn(missing(e));
      return new PlainMatrices();
    }
  }

  static String missing(Throwable failure) {
    Throwable cause = failure;
    while (cause.getCause() != null) {
      cause = cause.getCause();
    }
    return "Matrices are analysed by plain loops, which takes longer for many layers:"
        + " expected ND4J 1.0.0-M2.1 with its library for %s on Flink's class path, got %s;"
            .formatted(System.getProperty("os.name") + " " + System.getProperty("os.arch"), cause)
        + " put its jars into Flink's lib folder, see docs/operations.md";
  }
}
