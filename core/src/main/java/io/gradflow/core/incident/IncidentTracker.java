package io.gradflow.core.incident;

import io.gradflow.core.Hash64;
import io.gradflow.core.detect.Finding;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.detect.StepFindings;
import io.gradflow.core.incident.Alert.State;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;

/**
 * Folds the findings of a run into incidents, one per cause, and says what is to be published.
 *
 * <ul>
 *   <li><b>Folding.</b> One sick training makes many findings: growing weights spike and end in
 *       NaN. A finding joins the incident of its stream if its onset lies less than {@code
 *       foldSteps} after the incident's last sick step. Ranks that do not report are another
 *       matter, with incidents of their own, unless they fall silent in a training already ruined
 *       by NaN.
 *   <li><b>Advice</b> is no fault: each kind of it has an incident of its own, which opens only
 *       while no fault of the stream is open.
 *   <li><b>Cause.</b> The finding of the earliest onset, not the one that spoke first: slow
 *       detectors speak after fast effects. A later finding takes the root over if its onset is
 *       earlier, that of a trend (an estimate) by more than {@code onsetTolerance}, or if it is of
 *       one onset with the root and explains it ({@link Nature#precedence}). NaN stays the root
 *       once it is, for after it nothing is worth much, and what names a rank or says how the
 *       training is driven is not taken over by trends, whose beginning is but estimated. The
 *       incident's id stays as it was opened.
 *   <li><b>Memory.</b> A resolved incident is remembered for {@code rememberSteps}: a slow detector
 *       may speak only then of what began with it, and that joins it too.
 *   <li><b>Transitions.</b> OPENED at the first finding; UPDATED at once when the severity rises or
 *       root or class are revised, and every {@code updateSteps} while there are findings; RESOLVED
 *       when none of its kinds is active; OPENED again, under the same id, when a finding joins a
 *       resolved incident; EXPIRED when a higher attempt takes over, or (by wall time) when nothing
 *       more is heard of the run.
 * </ul>
 *
 * <p>The same findings give the same alerts but for {@code detectedAt}.
 */
public final class IncidentTracker {
  private static final int MOST_CHANGES = 8;

  /** The longer ago an estimated onset is, the less it is worth. */
  private static final int AGE_OVER_ERROR = 10;

  private final IncidentPolicy policy;

  /** A tracker of that policy; it keeps no state. */
  public IncidentTracker(IncidentPolicy policy) {
    this.policy = policy;
  }

  /**
   * What became of the findings of a step.
   *
   * @param state of the run after it
   * @param alerts to be published, in order
   */
  public record Outcome(RunIncidents state, List<Alert> alerts) {}

  /**
   * Takes in the verdict on a step.
   *
   * @param before state of the run, null at its first step
   * @param nowMs wall time; goes into the alerts and decides nothing
   */
  public Outcome fold(RunIncidents before, StepFindings step, long nowMs) {
    var alerts = new ArrayList<Alert>();
    RunIncidents run = before;
    if (run == null || step.id().attempt() > run.attempt()) {
      if (run != null) {
        alerts.addAll(expired(run, false, nowMs));
      }
      run =
          new RunIncidents(step.id().runId(), step.id().attempt(), List.of(), restarted(run, step));
    } else if (step.id().attempt() < run.attempt()) {
      return new Outcome(run, List.of());
    }
    RunIncidents current = run;
    Course course = course(run, step).after(step);
    List<Finding> unclaimed =
        step.findings().stream()
            .filter(finding -> !finding.shadow())
            .filter(finding -> !finding.kind().isAdvice() || isHealthy(current, step))
            .sorted(
                Comparator.comparingLong(this::apparentOnset)
                    .thenComparingInt(Nature::precedence)
                    .thenComparing(Finding::kind))
            .collect(Collectors.toCollection(ArrayList::new));
    var incidents = new ArrayList<Incident>();
    for (Incident incident : run.incidents()) {
      if (incident.stream().equals(step.id().stream())) {
        var own = unclaimed.stream().filter(finding -> belongs(finding, incident)).toList();
        if (step.timed() && own.isEmpty()) {
          incidents.add(incident);
          continue;
        }
        unclaimed.removeAll(own);
        Incident after = follow(run, incident, own, step, course, nowMs, alerts);
        if (!isForgotten(after, step)) {
          incidents.add(after);
        }
      } else {
        incidents.add(incident);
      }
    }
    while (!unclaimed.isEmpty()) {
      Incident fresh = open(run, unclaimed.get(0), step);
      var own = unclaimed.stream().filter(finding -> belongs(finding, fresh)).toList();
      unclaimed.removeAll(own);
      Incident joined = join(fresh, own, step, course);
      Incident opened = joined.first(CauseRules.of(joined).cause());
      incidents.add(opened);
      alerts.add(alert(run, opened, State.OPENED, false, nowMs));
    }
    // Those of silent ranks first: they have the first claim on findings of their kind.
    incidents.sort(Comparator.comparing(incident -> !isApart(incident.root())));
    return new Outcome(
        new RunIncidents(
            run.runId(), run.attempt(), List.copyOf(incidents), with(run.courses(), course)),
        alerts);
  }

  /** What is published when nothing was heard of a run for {@link IncidentPolicy#orphanAfter}. */
  public List<Alert> expire(RunIncidents run, long nowMs) {
    return expired(run, true, nowMs);
  }

  private static List<Alert> expired(RunIncidents run, boolean timed, long nowMs) {
    return run.incidents().stream()
        .filter(Incident::isOpen)
        .map(
            incident ->
                alert(
                    run,
                    incident.published(incident.lastStep(), CauseRules.of(incident).cause()),
                    State.EXPIRED,
                    timed,
                    nowMs))
        .toList();
  }

  private Incident follow(
      RunIncidents run,
      Incident before,
      List<Finding> own,
      StepFindings step,
      Course course,
      long nowMs,
      List<Alert> alerts) {
    Incident after = join(before, own, step, course);
    Cause cause = CauseRules.of(after).cause();
    // What release 0.1 opened has no cause yet: it takes one, and nothing is news.
    boolean isOld = before.background() == null;
    boolean isRevised = !isOld && cause != before.background().cause();
    if (isOld) {
      after = after.first(cause);
    }
    long now = Math.max(step.id().step(), after.lastStep());
    State transition = null;
    if (own.isEmpty()) {
      if (before.isOpen() && after.activities().isEmpty()) {
        transition = State.RESOLVED;
        after = after.resolved(now);
      } else if (before.isOpen() && isRevised) {
        transition = State.UPDATED;
      }
    } else if (!before.isOpen()) {
      transition = State.OPENED;
      after = after.reopened();
    } else if (after.severity() != before.severity()
        || !isSameCause(after.root(), before.root())
        || isRevised
        || (isAdvice(before)
            ? after.suspects().size() > before.suspects().size()
            : now - before.publishedStep() >= policy.updateSteps())) {
      transition = State.UPDATED;
    }
    if (transition != null) {
      after = after.published(now, cause);
      alerts.add(alert(run, after, transition, false, nowMs));
    }
    return after;
  }

  private Incident open(RunIncidents run, Finding root, StepFindings step) {
    String id =
        new Hash64()
            .add(run.runId())
            .add(run.attempt())
            .add(step.id().stream())
            .add(root.kind().name())
            .add(root.layer())
            .add(root.rank() == null ? -1L : root.rank())
            .add(step.id().step())
            .hex();
    return new Incident(
        id,
        0,
        step.id().stream(),
        root,
        root.severity(),
        step.id().step(),
        step.id().step(),
        step.id().step(),
        null,
        step.policyVersion(),
        List.of(),
        List.of(),
        step.blindSpots(),
        List.of(),
        null);
  }

  private static Course course(RunIncidents run, StepFindings step) {
    String stream = step.id().stream();
    return run.courses() == null
        ? Course.of(stream)
        : run.courses().stream()
            .filter(course -> course.stream().equals(stream))
            .findFirst()
            .orElseGet(() -> Course.of(stream));
  }

  private static List<Course> with(List<Course> courses, Course course) {
    var all = new ArrayList<Course>();
    if (courses != null) {
      courses.stream().filter(other -> !other.stream().equals(course.stream())).forEach(all::add);
    }
    all.add(course);
    return List.copyOf(all);
  }

  /** What of the courses is left to an attempt that begins with that step. */
  private static List<Course> restarted(RunIncidents before, StepFindings step) {
    return before == null || before.courses() == null
        ? null
        : before.courses().stream().map(course -> course.restarted(step.id().step())).toList();
  }

  /** The incident with these findings, and with what the step says of its kinds. */
  private Incident join(Incident incident, List<Finding> own, StepFindings step, Course course) {
    Finding root = incident.root();
    Severity severity = incident.severity();
    var chain = new ArrayList<>(incident.chain());
    for (Finding finding : own) {
      if (isTruerCause(finding, root) || isWorse(finding, root)) {
        root = finding;
      }
      severity = severity.compareTo(finding.severity()) >= 0 ? severity : finding.severity();
      addLink(chain, finding);
    }
    chain.sort(Comparator.comparingLong(Alert.Link::step));
    Background background =
        incident
            .known()
            .after(
                Math.min(root.onsetStep(), chain.get(0).step()),
                Math.min(apparentOnset(root), incident.openedStep()),
                own,
                step,
                course,
                incident.isOpen());
    return new Incident(
        incident.incidentId(),
        incident.transition(),
        incident.stream(),
        root,
        severity,
        incident.openedStep(),
        own.isEmpty() ? incident.lastStep() : Math.max(incident.lastStep(), step.id().step()),
        incident.publishedStep(),
        incident.resolvedStep(),
        step.policyVersion(),
        suspects(incident, root, own),
        List.copyOf(chain),
        own.isEmpty() ? incident.blindSpots() : step.blindSpots(),
        activities(incident, chain, step),
        background);
  }

  private static List<Incident.Activity> activities(
      Incident incident, List<Alert.Link> chain, StepFindings step) {
    var activities = new ArrayList<Incident.Activity>();
    for (Incident.Activity activity : incident.activities()) {
      if (activity.manifestId() != step.manifestId()) {
        activities.add(activity);
      }
    }
    for (FindingKind kind : step.active()) {
      if (chain.stream().anyMatch(link -> link.kind() == kind)) {
        activities.add(new Incident.Activity(step.manifestId(), kind));
      }
    }
    return List.copyOf(activities);
  }

  private List<Alert.Suspect> suspects(Incident incident, Finding root, List<Finding> own) {
    var suspects = new ArrayList<Alert.Suspect>();
    if (root.kind() == incident.root().kind()) {
      suspects.addAll(incident.suspects());
    }
    for (Finding finding : own) {
      boolean isNew =
          suspects.stream()
              .noneMatch(
                  suspect ->
                      Objects.equals(suspect.layer(), finding.layer())
                          && Objects.equals(suspect.rank(), finding.rank()));
      boolean names = finding.layer() != null || finding.rank() != null;
      if (finding.kind() == root.kind() && names && isNew && suspects.size() < policy.suspects()) {
        suspects.add(
            new Alert.Suspect(
                finding.layer(),
                finding.rank(),
                finding.score(),
                finding.host(),
                finding.device()));
      }
    }
    return List.copyOf(suspects);
  }

  private void addLink(List<Alert.Link> chain, Finding finding) {
    int ofKind = 0;
    for (Alert.Link link : chain) {
      if (link.kind() == finding.kind()) {
        ofKind++;
        if (Objects.equals(link.layer(), finding.layer())
            && Objects.equals(link.rank(), finding.rank())) {
          return;
        }
      }
    }
    if (ofKind < policy.linksPerKind()) {
      chain.add(
          new Alert.Link(
              finding.onsetStep(),
              finding.kind(),
              finding.layer(),
              finding.rank(),
              finding.observed()));
    }
  }

  private boolean belongs(Finding finding, Incident incident) {
    boolean near = finding.onsetStep() < incident.lastStep() + policy.foldSteps();
    if (finding.kind().isAdvice() || isAdvice(incident)) {
      return finding.kind() == incident.root().kind() && (near || incident.isOpen());
    }
    if (isTimed(finding) || isTimed(incident.root())) {
      return near && isTimed(finding) && isTimed(incident.root());
    }
    if (!near) {
      return false;
    }
    if (!isApart(finding)) {
      return !isApart(incident.root());
    }
    boolean ruined =
        incident.holds(FindingKind.NON_FINITE)
            && finding.onsetStep() >= incident.root().onsetStep();
    return isApart(incident.root()) || ruined;
  }

  private static boolean isAdvice(Incident incident) {
    return incident.root().kind().isAdvice();
  }

  private static boolean isHealthy(RunIncidents run, StepFindings step) {
    return run.incidents().stream()
        .filter(incident -> incident.stream().equals(step.id().stream()))
        .noneMatch(incident -> incident.isOpen() && !isAdvice(incident));
  }

  private boolean isForgotten(Incident incident, StepFindings step) {
    int steps = isAdvice(incident) ? policy.foldSteps() : policy.rememberSteps();
    return !incident.isOpen() && step.id().step() >= incident.lastStep() + steps;
  }

  /** The onset a finding is surely not later than. */
  private long apparentOnset(Finding finding) {
    if (!Nature.of(finding.kind()).isEstimate()) {
      return finding.onsetStep();
    }
    long[] tail = finding.tailSteps();
    long age = tail.length == 0 ? 0 : tail[tail.length - 1] - finding.onsetStep();
    return finding.onsetStep() + Math.max(policy.onsetTolerance(), age / AGE_OVER_ERROR);
  }

  private boolean isTruerCause(Finding finding, Finding root) {
    if (root.kind() == FindingKind.NON_FINITE) {
      return false;
    }
    // An estimate of when a trend began says little against what was seen as it happened.
    if (Nature.of(root.kind()).isProven() && Nature.of(finding.kind()).isEstimate()) {
      return false;
    }
    // A NaN is as a rule what an explosion ends in, soon after an onset that is only estimated.
    long simultaneous =
        finding.kind() == FindingKind.NON_FINITE ? root.onsetStep() : apparentOnset(root);
    boolean explains = Nature.precedence(finding) < Nature.precedence(root);
    return apparentOnset(finding) < root.onsetStep()
        || (explains && finding.onsetStep() <= simultaneous);
  }

  private static boolean isApart(Finding finding) {
    return Nature.of(finding.kind()).isApart();
  }

  /** A stall is told by wall time: nothing of it may become part of what a replay tells again. */
  private static boolean isTimed(Finding finding) {
    return finding.kind() == FindingKind.STALLED_RUN;
  }

  private static boolean isSameCause(Finding one, Finding other) {
    return one.kind() == other.kind()
        && Objects.equals(one.layer(), other.layer())
        && Objects.equals(one.rank(), other.rank());
  }

  /** Whether it is the same finding at a later, worse step. */
  private static boolean isWorse(Finding finding, Finding root) {
    return isSameCause(finding, root)
        && finding.onsetStep() == root.onsetStep()
        && finding.observed() > root.observed();
  }

  private static Alert alert(
      RunIncidents run, Incident incident, State state, boolean timed, long nowMs) {
    Finding root = incident.root();
    CauseRules.Verdict verdict = CauseRules.of(incident);
    return new Alert(
        new Hash64().add(incident.incidentId()).add((long) incident.transition()).hex(),
        incident.incidentId(),
        incident.transition(),
        run.runId(),
        run.attempt(),
        incident.stream(),
        state,
        root.kind(),
        incident.severity(),
        incident.openedStep(),
        incident.lastStep(),
        Math.min(root.onsetStep(), incident.openedStep()),
        incident.resolvedStep(),
        root.layer(),
        root.rank(),
        root.host(),
        root.device(),
        incident.suspects(),
        incident.chain(),
        new Alert.Evidence(
            root.observed(), root.threshold(), root.unit(), root.tailSteps(), root.tail()),
        message(incident),
        root.advice(),
        incident.blindSpots(),
        verdict.confidence(),
        incident.policyVersion(),
        timed || isTimed(root),
        nowMs,
        context(incident, verdict.cause()));
  }

  private static Alert.Context context(Incident incident, Cause cause) {
    Background background = incident.known();
    return isAdvice(incident)
        ? Alert.Context.NONE
        : new Alert.Context(
            cause,
            Story.of(incident),
            background.lossBefore(),
            background.lossAfter(),
            lines(background),
            incident.lastGoodStep(),
            background.lastCheckpoint(),
            NextAction.of(incident, cause));
  }

  /** What changed, the last checkpoint among it. */
  private static List<String> lines(Background background) {
    var changes = new ArrayList<>(background.changes());
    if (background.lastCheckpoint() != null) {
      changes.add(Change.ofEvent(background.lastCheckpoint(), "checkpoint", null));
    }
    changes.sort(Comparator.comparingLong(Change::step));
    return changes.stream()
        .skip(Math.max(0, changes.size() - MOST_CHANGES))
        .map(Change::line)
        .toList();
  }

  /** The root's sentence, with the kinds that followed. */
  private static String message(Incident incident) {
    String sentence = incident.root().message();
    String followers =
        incident.chain().stream()
            .map(Alert.Link::kind)
            .filter(kind -> kind != incident.root().kind())
            .distinct()
            .map(FindingKind::name)
            .collect(Collectors.joining(", "));
    return followers.isEmpty()
        ? sentence
        : sentence.substring(0, sentence.length() - 1) + "; with it: " + followers + ".";
  }
}
