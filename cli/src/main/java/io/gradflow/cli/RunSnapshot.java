package io.gradflow.cli;

import java.net.URI;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What is known of one run at one moment, for a person to look at.
 *
 * @param run the run's id, as its trainer chose it: any text
 * @param scenario what the training is doing
 * @param step the newest step assembled
 * @param steps how many steps the training will take; empty if nobody said
 * @param stepsPerSecond how fast steps are assembled
 * @param loss of the newest step; NaN if unknown
 * @param globalNorm L2 norm over all layers of the newest step; NaN if missing, infinite if any
 *     gradient is not finite
 * @param completeness φ of the newest step, 0 to 1
 * @param dropped records the trainers dropped so far
 * @param layers in the order of depth, the input's first
 * @param incidents in the order in which they opened
 * @param page where the run is shown in a browser; empty if nothing serves it
 * @param flink Flink's web page
 * @param elapsed since the training began
 */
record RunSnapshot(
    String run,
    String scenario,
    long step,
    OptionalLong steps,
    double stepsPerSecond,
    double loss,
    double globalNorm,
    double completeness,
    long dropped,
    List<LayerTrace> layers,
    List<Incident> incidents,
    Optional<URI> page,
    URI flink,
    Duration elapsed) {

  RunSnapshot {
    layers = List.copyOf(layers);
    incidents = List.copyOf(incidents);
  }

  /**
   * The recent norms of one layer. A reading is log2 of an L2 norm: negative infinity says that the
   * norm is zero, {@link #NON_FINITE} that it has none because a gradient is NaN or infinite,
   * {@link #MISSING} that nothing arrived.
   *
   * @param name the layer's own name
   * @param block what it is folded into where there is no room for every layer
   * @param baseline the reading that recent ones are compared with; NaN while there is none yet
   * @param recent readings of the last steps, one a step, the newest last
   */
  record LayerTrace(String name, String block, double baseline, List<Double> recent) {
    static final double NON_FINITE = Double.POSITIVE_INFINITY;
    static final double MISSING = Double.NaN;

    LayerTrace {
      recent = List.copyOf(recent);
    }
  }

  /**
   * An incident of the run, or advice.
   *
   * @param kind of its root finding
   * @param severity info, warning or critical
   * @param rootLayer the layer named as its cause
   * @param openedStep the step at which it opened
   * @param resolvedStep the step at which it resolved; empty while it is open
   * @param message one plain sentence
   * @param advice what to do about it
   * @param cause class of its cause
   * @param account what happened, in order; empty if nothing is told
   */
  record Incident(
      String kind,
      String severity,
      Optional<String> rootLayer,
      long openedStep,
      OptionalLong resolvedStep,
      String message,
      Optional<String> advice,
      Optional<String> cause,
      String account) {
    /** Whether nothing is wrong, but something could be better. */
    boolean isAdvice() {
      return severity.equals("info");
    }

    boolean open() {
      return resolvedStep.isEmpty();
    }
  }
}
