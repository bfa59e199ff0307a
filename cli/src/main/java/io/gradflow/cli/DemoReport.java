package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.training.Fault;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingResult;
import java.util.Optional;

/**
 * What a headless demo prints at its end: one JSON object on one line, in which what is absent is
 * null.
 */
final class DemoReport {
  private DemoReport() {}

  /**
   * The report.
   *
   * @param ranks that trained
   * @param dropped records the ranks' publishers dropped
   */
  static String of(
      String run,
      Scenario scenario,
      int ranks,
      TrainingResult result,
      Optional<Fault> fault,
      RunFollower follower,
      long dropped) {
    ObjectNode report = new ObjectMapper().createObjectNode();
    report
        .put("run", run)
        .put("scenario", scenario.label())
        .put("ranks", ranks)
        .put("steps", result.steps());
    report.put("stepsAssembled", follower.stepsAssembled());
    putFinite(report, "completeness", follower.meanCompleteness());
    putFinite(report, "lossFirst", result.firstLoss());
    putFinite(report, "lossLast", result.lastLoss());
    if (fault.isPresent()) {
      report
          .putObject("fault")
          .put("kind", fault.get().kind().label())
          .put("step", fault.get().step())
          .put("layer", fault.get().layer())
          .put("rank", fault.get().rank());
    } else {
      report.putNull("fault");
    }
    ArrayNode incidents = report.putArray("incidents");
    follower.incidents().forEach(alert -> incidents.add(AlertText.summary(alert)));
    ArrayNode advice = report.putArray("advice");
    follower.advice().forEach(alert -> advice.add(AlertText.advice(alert)));
    report.put("deadLetters", follower.deadLetters()).put("dropped", dropped);
    return report.toString();
  }

  /** JSON has no NaN: what is no number is absent. */
  private static void putFinite(ObjectNode report, String name, double value) {
    if (Double.isFinite(value)) {
      report.put(name, value);
    } else {
      report.putNull(name);
    }
  }
}
