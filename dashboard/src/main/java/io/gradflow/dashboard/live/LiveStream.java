package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.Stream;

/** All that is kept of one stream of a run. For use under the lock of {@link LiveRuns}. */
public final class LiveStream {
  static final int MOST_STEPS = 10_000;
  private static final int MOST_EVENTS = 200;
  private static final int MOST_INCIDENTS = 1_000;
  private static final int MOST_MANIFESTS = 256;
  private static final int RATE_STEPS = 50;
  private static final long SILENT_MS = 60_000;

  /** A run that is slower than this many steps' time is silent. */
  private static final int SILENT_STEPS = 20;

  private final RunStream name;
  private final StepWindow window;
  private final Map<Long, ManifestPlace> manifests = new LinkedHashMap<>();
  private final NavigableMap<Long, RunEvent> events = new TreeMap<>();
  private final Map<String, IncidentRow> incidents = new LinkedHashMap<>();
  private final NavigableMap<Long, String> incidentsByOffset = new TreeMap<>();
  private final NavigableMap<Long, Feedback> verdicts = new TreeMap<>();
  private final ArrayDeque<Long> arrivals = new ArrayDeque<>();
  private ManifestPlace manifest;
  private long eventsFloor;
  private long alertsFloor;
  private long lastAt;
  private long firstStep = -1;
  private long lifecycleAttempt = -1;
  private RunEvent.Type lifecycle;
  private long finishedStep = -1;
  private long judged;

  /** How a run goes. */
  public enum State {
    RUNNING,
    PAUSED,
    FINISHED,
    /** Nothing came for long. */
    SILENT
  }

  /**
   * @param floors offsets up to which nothing is known
   */
  LiveStream(RunStream name, Position floors) {
    this.name = name;
    this.window = new StepWindow(floors.steps());
    this.eventsFloor = floors.events();
    this.alertsFloor = floors.alerts();
  }

  // --- what comes

  void manifest(Manifest part, Origin origin) {
    ManifestPlace place = manifests.remove(part.manifestId());
    place = place == null ? ManifestPlace.of(part, origin) : place.with(part, origin);
    manifests.put(part.manifestId(), place);
    lastAt = Math.max(lastAt, origin.timestamp());
    manifest = place.isWhole() ? place : manifest;
    Stages fresh = window.stages().by(manifests);
    if (fresh.goesOnFrom(window.stages())) {
      window.lay(fresh);
    }
    if (manifests.size() > MOST_MANIFESTS) {
      manifests.remove(manifests.keySet().iterator().next());
    }
  }

  /**
   * A step, or what one stage of a pipeline says of it.
   *
   * @return whether the step was not there before
   */
  boolean step(StepRow row) {
    if (!window.stages().has(row.manifestId()) && !turnTo(row)) {
      return false;
    }
    boolean first = window.at(row.step()) == null;
    if (!window.add(row)) {
      return false;
    }
    lastAt = Math.max(lastAt, row.at());
    if (first) {
      firstStep = firstStep < 0 ? row.step() : Math.min(firstStep, row.step());
      arrivals.add(row.at());
      if (arrivals.size() > RATE_STEPS) {
        arrivals.remove();
      }
    }
    if (lifecycle == RunEvent.Type.FINISHED && row.attempt() > lifecycleAttempt) {
      lifecycle = null;
    }
    if (window.size() > MOST_STEPS) {
      window.evict(window.size() - MOST_STEPS);
    }
    return first;
  }

  /**
   * Makes the window show steps of another manifest: beside what it shows, or instead of it. Of
   * models whose steps come in turns, the one of the later manifest is shown.
   *
   * @return false if what it shows is newer
   */
  private boolean turnTo(StepRow row) {
    Stages shown = window.stages();
    Stages fresh = Stages.around(row.manifestId(), manifests);
    StepRow newest = window.newest();
    boolean bothKnown = !shown.places().isEmpty() && !fresh.places().isEmpty();
    boolean goesOn =
        newest == null
            || (bothKnown ? fresh.goesOnFrom(shown) : newest.cells().length == row.cells().length);
    if (!goesOn) {
      // A stage whose manifest has not been read yet has no place among the others.
      boolean early = shown.isSplit() && fresh.places().isEmpty();
      if (row.attempt() < window.attempt()
          || (early && row.attempt() == window.attempt())
          || fresh.isOlderThan(shown)) {
        return false;
      }
      window.begin(row.offset());
      arrivals.clear();
      firstStep = -1;
    }
    window.lay(fresh);
    return true;
  }

  void event(RunEvent event, long offset) {
    if (events.put(offset, event) == null && events.size() > MOST_EVENTS) {
      eventsFloor = Math.max(eventsFloor, events.pollFirstEntry().getKey());
    }
    lastAt = Math.max(lastAt, event.at());
    switch (event.type()) {
      case STARTED, RESUMED, PAUSED, FINISHED -> {
        if (event.attempt() >= lifecycleAttempt) {
          lifecycle = event.type();
          lifecycleAttempt = event.attempt();
          finishedStep = event.type() == RunEvent.Type.FINISHED ? event.step() : finishedStep;
        }
      }
      default -> {}
    }
  }

  /**
   * An alert.
   *
   * @return the incident as it stands now; null if the alert says nothing new
   */
  IncidentRow alert(Alert alert, long offset, int bytes, Feedback verdict) {
    IncidentRow before = incidents.get(alert.incidentId());
    if (before != null && before.alert().transition() >= alert.transition()) {
      return null;
    }
    IncidentRow row = new IncidentRow(alert, offset, bytes, verdict);
    if (before != null) {
      incidentsByOffset.remove(before.offset());
    }
    incidents.put(alert.incidentId(), row);
    incidentsByOffset.put(offset, alert.incidentId());
    return row;
  }

  /** The incident to give up if there are too many; null if there are not. */
  IncidentRow excess() {
    return incidents.size() <= MOST_INCIDENTS
        ? null
        : incidents.values().stream()
            .min(Comparator.comparing(IncidentRow::isOpen).thenComparingLong(IncidentRow::offset))
            .orElseThrow();
  }

  void forget(IncidentRow row) {
    incidents.remove(row.alert().incidentId());
    incidentsByOffset.remove(row.offset());
    alertsFloor = Math.max(alertsFloor, row.offset());
  }

  void verdict(Feedback feedback) {
    IncidentRow row = incidents.get(feedback.incidentId());
    if (row != null) {
      incidents.put(feedback.incidentId(), row.judged(feedback));
      verdicts.put(++judged, feedback);
      if (verdicts.size() > MOST_INCIDENTS) {
        verdicts.pollFirstEntry();
      }
    }
  }

  // --- what a client is told

  /** Everything is known to somebody at that position. */
  Position current(Position read, long partsFrom) {
    return new Position(
        Math.max(window.lastOffset(), Math.min(read.steps(), partsFrom - 1)),
        window.attempt(),
        Math.max(alertsFloor, read.alerts()),
        Math.max(eventsFloor, read.events()),
        shownManifest());
  }

  /**
   * What follows a position, the oldest first.
   *
   * @param read the last offsets read of the partitions that hold the run: a position beyond them
   *     is of other topics
   */
  List<Change.Told> since(Position position, Position read, long partsFrom, int most) {
    if (!window.reaches(position)
        || position.alerts() < alertsFloor
        || position.events() < eventsFloor
        || position.steps() > read.steps()
        || position.alerts() > read.alerts()
        || position.events() > read.events()) {
      return List.of(new Change.Told(new Change.Reset(), current(read, partsFrom)));
    }
    List<Change.Told> told = new ArrayList<>();
    Position at = position;
    if (shownManifest() != at.manifestId()) {
      at = at.withManifest(shownManifest());
      told.add(new Change.Told(new Change.Described(at.manifestId()), at));
    }
    for (Map.Entry<Long, RunEvent> event : events.tailMap(at.events(), false).entrySet()) {
      at = at.withEvents(event.getKey());
      told.add(new Change.Told(new Change.Happened(event.getValue()), at));
    }
    List<Change.Told> steps = window.since(at, most);
    told.addAll(steps);
    if (!steps.isEmpty()) {
      at = steps.get(steps.size() - 1).after();
    }
    for (Map.Entry<Long, String> entry : incidentsByOffset.tailMap(at.alerts(), false).entrySet()) {
      at = at.withAlerts(entry.getKey());
      told.add(new Change.Told(new Change.Alerted(incidents.get(entry.getValue())), at));
    }
    return told;
  }

  private long shownManifest() {
    return stages().id();
  }

  /** The number of the latest verdict. */
  long judged() {
    return judged;
  }

  /** Verdicts after that number, by number. */
  NavigableMap<Long, Feedback> verdictsSince(long number) {
    return new TreeMap<>(verdicts.tailMap(number, false));
  }

  /** Every verdict on its incidents. */
  public List<Feedback> verdicts() {
    return incidents.values().stream().map(IncidentRow::verdict).filter(Objects::nonNull).toList();
  }

  // --- what is asked

  /** Which stream this is. */
  public RunStream name() {
    return name;
  }

  /** The steps kept. */
  public StepWindow window() {
    return window;
  }

  /**
   * What the steps are of, else what the manifest that came last is of; without places and with the
   * id 0 if no whole manifest is known.
   */
  public Stages stages() {
    Stages ofSteps = window.stages();
    boolean whole =
        !ofSteps.places().isEmpty() && ofSteps.places().stream().allMatch(ManifestPlace::isWhole);
    if (whole && window.newest() != null) {
      return ofSteps;
    }
    return manifest == null ? Stages.unknown(0) : Stages.around(manifest.manifestId(), manifests);
  }

  /** Incidents and advice in the order of opening. */
  public Collection<IncidentRow> incidents() {
    return List.copyOf(incidents.values());
  }

  /** The last events of the run, the oldest first. */
  public List<RunEvent> events() {
    return List.copyOf(events.values());
  }

  /** When something came of it for the last time, ms since the epoch; 0: never. */
  public long lastAt() {
    return lastAt;
  }

  /** The first step known; -1 if none is. */
  public long firstStep() {
    return firstStep;
  }

  /** The last step known; -1 if none is. */
  public long lastStep() {
    return window.newest() == null ? finishedStep : window.newest().step();
  }

  /** The highest attempt known; -1 if none is. */
  public long attempt() {
    long ofManifest = manifest == null ? -1 : manifest.attempt();
    return Math.max(Math.max(window.attempt(), lifecycleAttempt), ofManifest);
  }

  /** How fast the last steps came; 0 before the second. */
  public double stepsPerSecond() {
    long span = arrivals.isEmpty() ? 0 : arrivals.getLast() - arrivals.getFirst();
    return span <= 0 ? 0 : (arrivals.size() - 1) * 1_000.0 / span;
  }

  /** How it goes. */
  public State state(long now) {
    if (lifecycle == RunEvent.Type.FINISHED) {
      return State.FINISHED;
    }
    if (lifecycle == RunEvent.Type.PAUSED) {
      return State.PAUSED;
    }
    double rate = stepsPerSecond();
    double patience = rate == 0 ? SILENT_MS : Math.max(SILENT_MS, SILENT_STEPS * 1_000 / rate);
    return now - lastAt > patience ? State.SILENT : State.RUNNING;
  }

  /** How many incidents are open, advice left out. */
  public long open() {
    return openFaults().count();
  }

  /** The highest severity of what is open, advice included; null if nothing is. */
  public Severity worst() {
    return incidents.values().stream()
        .filter(IncidentRow::isOpen)
        .map(row -> row.alert().severity())
        .max(Comparator.naturalOrder())
        .orElse(null);
  }

  private Stream<IncidentRow> openFaults() {
    return incidents.values().stream()
        .filter(row -> row.isOpen() && !row.alert().kind().isAdvice());
  }
}
