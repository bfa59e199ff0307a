package io.gradflow.trainer;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Predicate;

/**
 * What a training does about which alerts, each action once per incident: at its first transition
 * that calls for it. Incidents that have ended call for nothing.
 *
 * <p>Unless {@link #live} it is a dry run: the log says what would have been done. Nothing that an
 * action throws comes out of {@link #accept}; it is logged. An action that has to end the training
 * therefore sets what the loop looks at.
 *
 * <p>Hand alerts over on one thread: that of the training, with {@link AlertFollower#pending}.
 */
public final class AlertActions implements Consumer<Alert> {
  private static final System.Logger LOG = System.getLogger(AlertActions.class.getName());
  private static final int MAX_INCIDENTS = 10_000;

  private final boolean live;
  private final List<Rule> rules;
  private final Map<Deed, Boolean> done =
      new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<Deed, Boolean> eldest) {
          return size() > MAX_INCIDENTS;
        }
      };

  private record Rule(AlertAction action, Predicate<Alert> when, Consumer<Alert> code) {}

  private record Deed(String incidentId, AlertAction action) {}

  private AlertActions(boolean live, List<Rule> rules) {
    this.live = live;
    this.rules = List.copyOf(rules);
  }

  /** No actions yet, and a dry run. */
  public static AlertActions dryRun() {
    return new AlertActions(false, List.of());
  }

  /**
   * These and one more.
   *
   * @param when which alerts call for it, e.g. {@link #atLeast}
   * @param code what does it
   */
  public AlertActions on(AlertAction action, Predicate<Alert> when, Consumer<Alert> code) {
    List<Rule> more = new ArrayList<>(rules);
    more.add(
        new Rule(
            Objects.requireNonNull(action, "action"),
            Objects.requireNonNull(when, "when"),
            Objects.requireNonNull(code, "code")));
    return new AlertActions(live, more);
  }

  /** The same actions, done rather than told. */
  public AlertActions live() {
    return new AlertActions(true, rules);
  }

  /** Alerts of this severity or a higher one, of these kinds; of any if none is named. */
  public static Predicate<Alert> atLeast(Severity severity, FindingKind... kinds) {
    Set<FindingKind> wanted = Set.of(kinds);
    return alert ->
        alert.severity().compareTo(severity) >= 0
            && (wanted.isEmpty() || wanted.contains(alert.kind()));
  }

  /** Does what an alert calls for, in the order in which the actions were given. Never throws. */
  @Override
  public void accept(Alert alert) {
    if (alert.state() == Alert.State.RESOLVED || alert.state() == Alert.State.EXPIRED) {
      return;
    }
    for (Rule rule : rules) {
      try {
        if (rule.when().test(alert)
            && done.putIfAbsent(new Deed(alert.incidentId(), rule.action()), true) == null) {
          act(rule, alert);
        }
      } catch (RuntimeException | Error e) {
        LOG.log(
            System.Logger.Level.WARNING,
            "gradflow could not %s for %s".formatted(rule.action(), text(alert)),
            e);
      }
    }
  }

  private void act(Rule rule, Alert alert) {
    if (live) {
      LOG.log(
          System.Logger.Level.WARNING,
          () -> "gradflow: %s for %s".formatted(rule.action(), text(alert)));
      rule.code().accept(alert);
    } else {
      LOG.log(
          System.Logger.Level.WARNING,
          () -> "gradflow would %s (a dry run) for %s".formatted(rule.action(), text(alert)));
    }
  }

  private static String text(Alert alert) {
    return "%s %s at step %d, incident %s: %s"
        .formatted(
            alert.severity(),
            alert.kind(),
            alert.openedStep(),
            alert.incidentId(),
            alert.message());
  }
}
