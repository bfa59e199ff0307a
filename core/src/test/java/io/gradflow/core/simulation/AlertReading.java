package io.gradflow.core.simulation;

import static io.gradflow.core.simulation.Difference.unless;

import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.LayerTable;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.RunDetector;
import io.gradflow.core.detect.RunTrends;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.IncidentPolicy;
import io.gradflow.core.incident.IncidentTracker;
import io.gradflow.core.incident.RunIncidents;
import io.gradflow.core.norm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;

/** What detection makes of the published steps of one run, read as they lie in their topic. */
final class AlertReading {
  private static final DetectionPolicy POLICY = policy();

  private final Map<Long, LayerTable> tables = new HashMap<>();
  private final IncidentTracker tracker = new IncidentTracker(IncidentPolicy.DEFAULT);
  private RunTrends trends;
  private RunIncidents incidents;

  /**
   * Runs are short here, and so is the warm-up. How late shards come is what disturbances change:
   * stragglers are another matter in every delivery.
   */
  private static DetectionPolicy policy() {
    DetectionPolicy usual =
        DetectionPolicy.DEFAULT.with(
            new Rule(DetectionPolicy.EVERY_RUN, FindingKind.STRAGGLER, 0, Rule.Mode.OFF, Map.of()));
    return new DetectionPolicy(
        usual.version(),
        3,
        4,
        usual.minCompleteness(),
        usual.modes(),
        usual.nonFinite(),
        usual.explodingSpike(),
        usual.explodingTrend(),
        usual.vanishingTrend(),
        usual.vanishingDepth(),
        usual.deadLayer(),
        usual.missingShards(),
        usual.contract(),
        usual.rankDivergence(),
        usual.replicaMismatch(),
        usual.straggler(),
        usual.stalledRun(),
        usual.adviceDepth(),
        usual.adviceInitialisation(),
        usual.adviceLearningRate(),
        usual.adviceClip(),
        usual.adviceLossScale(),
        usual.adviceBatchSize(),
        usual.explodingShift(),
        usual.explodingWeights(),
        usual.explodingUpdate(),
        usual.explodingDepth(),
        usual.explodingAbsolute(),
        usual.vanishingAbsolute(),
        usual.plateau(),
        usual.underflow(),
        usual.oscillation(),
        usual.clipSaturation());
  }

  AlertReading(List<Plan> plans) {
    for (Plan plan : plans) {
      tables.put(plan.manifest.manifestId(), LayerTable.of(plan.manifest));
    }
  }

  private List<String> read(Step step, long now) {
    LayerTable table = tables.get(step.manifestId());
    RunDetector.Judgement judgement = RunDetector.judge(POLICY, table, trends, step);
    trends = judgement.state();
    List<String> alerts = new ArrayList<>();
    if (judgement.findings().isPresent()) {
      var outcome = tracker.fold(incidents, judgement.findings().get(), now);
      incidents = outcome.state();
      outcome.alerts().forEach(alert -> alerts.add(describe(alert)));
    }
    return alerts;
  }

  /**
   * All of an alert but when it was detected, and what events of the run are known by then: they
   * come by another way than steps.
   */
  private static String describe(Alert alert) {
    return "%s/%d %s %s %s steps %d-%d of %d resolved %s: %s %s %s %s %s %s %s %s %s %s %s"
        .formatted(
            alert.incidentId(),
            alert.transition(),
            alert.alertId(),
            alert.state(),
            alert.severity(),
            alert.openedStep(),
            alert.lastStep(),
            alert.attempt(),
            alert.resolvedStep(),
            alert.message(),
            alert.chain(),
            alert.suspects(),
            alert.evidence().observed(),
            Arrays.toString(alert.evidence().tail()),
            alert.confidence(),
            alert.context().cause(),
            alert.context().account(),
            alert.context().lossBefore(),
            alert.context().lossAfter(),
            alert.context().lastGoodStep());
  }

  /** The alerts of an undisturbed reading. */
  static List<String> of(List<Plan> plans, List<Step> steps) {
    AlertReading reading = new AlertReading(plans);
    List<String> alerts = new ArrayList<>();
    for (Step step : steps) {
      alerts.addAll(reading.read(step, 0));
    }
    return alerts;
  }

  /** Fails unless a reading with crashes and repetitions publishes the same alerts. */
  static void check(List<Plan> plans, List<Step> steps, List<String> undisturbed, Chance chance) {
    AlertReading reading = new AlertReading(plans);
    List<String> alerts = new ArrayList<>();
    HashSet<String> ever = new HashSet<>();
    int at = 0;
    int crashes = chance.below(3);
    int savedAt = 0;
    int savedAlerts = 0;
    RunTrends savedTrends = null;
    RunIncidents savedIncidents = null;
    while (at < steps.size()) {
      if (chance.oneIn(12)) {
        savedAt = at;
        savedAlerts = alerts.size();
        savedTrends = Copies.of(reading.trends);
        savedIncidents = reading.incidents;
      } else if (crashes > 0 && chance.oneIn(12)) {
        crashes--;
        at = savedAt;
        alerts.subList(savedAlerts, alerts.size()).clear();
        reading.trends = Copies.of(savedTrends);
        reading.incidents = savedIncidents;
      } else {
        List<String> of = reading.read(steps.get(at), at);
        alerts.addAll(of);
        ever.addAll(of);
        if (chance.oneIn(10)) {
          List<String> again = reading.read(steps.get(at), at);
          unless(again.isEmpty(), "a step read twice gave the alerts %s", again);
        }
        at++;
      }
    }
    unless(alerts.equals(undisturbed), "alerts: expected %s, got %s", undisturbed, alerts);
    unless(
        ever.equals(new HashSet<>(undisturbed)),
        "alerts before a crash were others: expected %s, got %s",
        undisturbed,
        ever);
  }
}
