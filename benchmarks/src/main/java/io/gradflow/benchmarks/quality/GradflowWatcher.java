package io.gradflow.benchmarks.quality;

import io.gradflow.core.detect.DetectionPolicy;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.LayerTable;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.RunDetector;
import io.gradflow.core.detect.RunTrends;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Cause;
import io.gradflow.core.incident.IncidentPolicy;
import io.gradflow.core.incident.IncidentTracker;
import io.gradflow.core.incident.RunIncidents;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.training.zoo.Truth;
import java.lang.reflect.RecordComponent;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;

/**
 * gradflow as AlertJob runs it: {@link RunDetector} and {@link IncidentTracker}. Incidents of
 * severity warning or more are alarms, critical ones wake somebody; advice is neither.
 *
 * <p>Its sensitivity is one factor on the thresholds of all detectors that are numbers of {@code
 * double}, but for memories, shares and tolerances, see {@link #AS_THEY_ARE}; counts of steps stay.
 * A threshold that the factor would take out of its range stays too.
 */
final class GradflowWatcher implements Watcher {
  /** Settings that say how to measure, or are shares of something: no thresholds to scale. */
  private static final Set<String> AS_THEY_ARE =
      Set.of(
          "memory",
          "k",
          "zeros",
          "experts",
          "clipped",
          "coefficient",
          "normTolerance",
          "tolerance",
          "recomputed",
          "pauses",
          "widening");

  private static final double[] FACTORS = {4, 2.83, 2, 1.41, 1.19, 1, 0.84, 0.71, 0.5};

  private final Consumer<Alert> alerts;

  /** A watcher that tells nobody else. */
  GradflowWatcher() {
    this(alert -> {});
  }

  /**
   * @param alerts told of every alert as it is published
   */
  GradflowWatcher(Consumer<Alert> alerts) {
    this.alerts = alerts;
  }

  @Override
  public String name() {
    return "gradflow";
  }

  @Override
  public double[] factors() {
    return FACTORS.clone();
  }

  @Override
  public double standard() {
    return 1;
  }

  @Override
  public boolean classifies() {
    return true;
  }

  /** The defaults with all thresholds multiplied. */
  static DetectionPolicy policy(double factor) {
    DetectionPolicy policy = DetectionPolicy.DEFAULT;
    if (factor == 1) {
      return policy;
    }
    for (RecordComponent component : DetectionPolicy.class.getRecordComponents()) {
      if (!component.getType().isRecord()) {
        continue;
      }
      FindingKind kind = FindingKind.valueOf(constant(component.getName()));
      if (kind.isAdvice()) {
        continue;
      }
      for (RecordComponent setting : component.getType().getRecordComponents()) {
        if (setting.getType() == double.class && !AS_THEY_ARE.contains(setting.getName())) {
          double value = (double) read(setting, read(component, policy));
          policy = scaled(policy, kind, setting.getName(), value * factor);
        }
      }
    }
    return policy;
  }

  private static DetectionPolicy scaled(
      DetectionPolicy policy, FindingKind kind, String name, double value) {
    Rule rule =
        new Rule(DetectionPolicy.EVERY_RUN, kind, 0, policy.mode(kind), Map.of(name, value));
    try {
      return policy.with(rule);
    } catch (IllegalArgumentException outOfRange) {
      return policy;
    }
  }

  private static Object read(RecordComponent component, Object of) {
    try {
      return component.getAccessor().invoke(of);
    } catch (ReflectiveOperationException e) {
      throw new IllegalStateException(component + " cannot be read", e);
    }
  }

  private static String constant(String camelCase) {
    return camelCase.replaceAll("([A-Z])", "_$1").toUpperCase(Locale.ROOT);
  }

  @Override
  public Watch watch(double factor) {
    return new Run(policy(factor), alerts);
  }

  private static final class Run implements Watch {
    private final DetectionPolicy policy;
    private final Consumer<Alert> alerts;
    private final IncidentTracker tracker = new IncidentTracker(IncidentPolicy.DEFAULT);
    private final Map<Long, LayerTable> tables = new HashMap<>();
    private final Alarms alarms = new Alarms();
    private final Map<String, Integer> episodes = new LinkedHashMap<>();
    private RunTrends trends;
    private RunIncidents incidents;

    Run(DetectionPolicy policy, Consumer<Alert> alerts) {
      this.policy = policy;
      this.alerts = alerts;
    }

    @Override
    public void manifest(Manifest manifest) {
      tables.computeIfAbsent(manifest.manifestId(), id -> LayerTable.of(manifest));
    }

    @Override
    public void step(long at, Step step) {
      LayerTable table = Objects.requireNonNull(tables.get(step.manifestId()), "no manifest");
      RunDetector.Judgement judgement = RunDetector.judge(policy, table, trends, step);
      trends = judgement.state();
      if (judgement.findings().isEmpty()) {
        return;
      }
      IncidentTracker.Outcome outcome = tracker.fold(incidents, judgement.findings().get(), 0);
      incidents = outcome.state();
      for (Alert alert : outcome.alerts()) {
        alerts.accept(alert);
        hear(at, alert);
      }
      // What lasts without being published again.
      incidents.incidents().stream()
          .filter(incident -> incident.lastStep() == step.id().step())
          .map(incident -> episodes.get(incident.incidentId()))
          .filter(Objects::nonNull)
          .forEach(episode -> alarms.lasts(episode, at));
    }

    private void hear(long at, Alert alert) {
      if (alert.severity() == Severity.INFO
          || alert.state() == Alert.State.RESOLVED
          || alert.state() == Alert.State.EXPIRED) {
        return;
      }
      boolean pages = alert.severity() == Severity.CRITICAL;
      Alarm.Reading reading = reading(at, alert);
      Integer episode = episodes.get(alert.incidentId());
      if (episode == null || alert.state() == Alert.State.OPENED) {
        episodes.put(alert.incidentId(), alarms.raise(reading, pages));
      } else {
        alarms.lasts(episode, at);
        alarms.say(episode, reading, pages);
      }
    }

    @Override
    public List<Alarm> alarms() {
      return alarms.all();
    }
  }

  private static Alarm.Reading reading(long at, Alert alert) {
    List<String> layers = new ArrayList<>();
    List<Integer> ranks = new ArrayList<>();
    if (alert.rootLayer() != null) {
      layers.add(alert.rootLayer());
    }
    if (alert.rootRank() != null) {
      ranks.add(alert.rootRank());
    }
    for (Alert.Suspect suspect : alert.suspects()) {
      if (suspect.layer() != null && !layers.contains(suspect.layer())) {
        layers.add(suspect.layer());
      }
      if (suspect.rank() != null && !ranks.contains(suspect.rank())) {
        ranks.add(suspect.rank());
      }
    }
    return new Alarm.Reading(
        at,
        cause(alert),
        List.copyOf(layers),
        List.copyOf(ranks),
        "%s %s: %s".formatted(alert.severity(), alert.kind(), alert.message()));
  }

  /** The cause as the truth calls it; null if the alert names none. */
  static Truth.Cause cause(Alert alert) {
    Cause cause = alert.context().cause();
    return cause == null ? null : Truth.Cause.valueOf(cause.name());
  }
}
