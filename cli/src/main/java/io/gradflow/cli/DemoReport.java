package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.training.Fault;
import io.gradflow.training.TrainingResult;

/**
 * What a headless demo prints at its end: one JSON object on one line, in which what is absent is
 * null.
 */
final class DemoReport {
  private DemoReport() {}

  /** The report on a training that has ended, when what it published was read back. */
  static String of(DemoTraining training, TrainingResult result) {
    DemoPlan plan = training.plan();
    RunFollower follower = training.follower();
    ObjectNode report = new ObjectMapper().createObjectNode();
    report
        .put("run", training.run())
        .put("scenario", plan.scenario().label())
        .put("ranks", plan.policy().ranks())
        .put("steps", result.steps());
    report.put("stepsAssembled", follower.stepsAssembled());
    putFinite(report, "completeness", follower.meanCompleteness());
    putFinite(report, "lossFirst", result.firstLoss());
    putFinite(report, "lossLast", result.lastLoss());
    Fault fault = plan.fault().orElse(null);
    if (fault == null) {
      report.putNull("fault");
    } else {
      report
          .putObject("fault")
          .put("kind", fault.kind().label())
          .put("step", fault.step())
          .put("layer", fault.layer())
          .put("rank", fault.rank());
    }
    ArrayNode incidents = report.putArray("incidents");
    follower.incidents().forEach(alert -> incidents.add(AlertText.summary(alert)));
    ArrayNode advice = report.putArray("advice");
    follower.advice().forEach(alert -> advice.add(AlertText.advice(alert)));
    report.put("deadLetters", follower.deadLetters()).put("dropped", training.dropped());
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
