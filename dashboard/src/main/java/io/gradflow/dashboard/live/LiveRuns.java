package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Stream;

/**
 * What is known of all runs, within bounds. One thread writes; any number read, each under the one
 * lock, which nobody holds for longer than a look-up.
 *
 * <p>When the steps of all runs take more than the bound, the run that was longest neither updated
 * nor looked at gives up its oldest.
 */
public final class LiveRuns {
  private static final int MOST_STREAMS = 5_000;
  private static final int MOST_RULES = 10_000;
  private static final int MOST_VERDICTS = 50_000;
  private static final int STEPS_AT_ONCE = 32;
  private static final int SIMILAR = 5;
  private static final int RECENT_INCIDENTS = 2_000;
  private static final long ALERT_BYTES = 64L << 20;

  /** A decoded alert is about so many times as large as its record. */
  private static final int ALERT_GROWTH = 4;

  private final long windowBytes;
  private final Map<RunStream, LiveStream> streams = new LinkedHashMap<>(16, 0.75f, true);
  private final Map<String, Feedback> verdicts = new LinkedHashMap<>();
  private final Map<String, IncidentRow> incidents = new LinkedHashMap<>();
  private final Map<String, Rule> rules = new TreeMap<>();
  private Reading reading = Reading.NOTHING;
  private PartRows parts = new PartRows();
  private long bytes;
  private long alertBytes;
  private long version;

  /**
   * @param windowBytes what the steps of all runs may take of memory
   */
  public LiveRuns(long windowBytes) {
    this.windowBytes = windowBytes;
  }

  /** Forgets all: the topics are read anew. */
  public synchronized void begin(Reading fresh) {
    streams.clear();
    verdicts.clear();
    incidents.clear();
    rules.clear();
    parts = new PartRows();
    bytes = 0;
    alertBytes = 0;
    progress(fresh);
  }

  /**
   * Takes what was read together: nobody sees a part of it, or more than {@code after} says.
   *
   * @param records what is to be done with the records
   */
  public synchronized void read(Runnable records, Reading after) {
    records.run();
    progress(after);
  }

  /** Says how far the topics have been read, and wakes who waits for news. */
  public synchronized void progress(Reading now) {
    reading = now;
    version++;
    notifyAll();
  }

  // --- what comes

  /** A part of a manifest. */
  public synchronized void manifest(Manifest part, Origin origin) {
    LiveStream stream = stream(new RunStream(part.runId(), part.stream()));
    long before = stream.window().bytes();
    stream.manifest(part, origin);
    take(stream.window().bytes() - before);
  }

  /** Something happened to a run. */
  public synchronized void event(RunEvent event, Origin origin) {
    stream(new RunStream(event.runId(), event.stream())).event(event, origin.offset());
  }

  /**
   * A step, or a part of one.
   *
   * @return the row, if with it a step is whole that was not there before
   */
  public synchronized Optional<StepRow> step(Step part, Origin origin) {
    Optional<StepRow> row = parts.add(part, origin);
    if (row.isEmpty()) {
      return row;
    }
    LiveStream stream = stream(new RunStream(part.id().runId(), part.id().stream()));
    long before = stream.window().bytes();
    boolean first = stream.step(row.get());
    take(stream.window().bytes() - before);
    return first ? row : Optional.empty();
  }

  private void take(long more) {
    bytes += more;
    if (bytes > windowBytes) {
      makeRoom();
    }
  }

  private void makeRoom() {
    for (LiveStream stream : streams.values()) {
      long freed = 1;
      while (freed > 0) {
        if (bytes <= windowBytes) {
          return;
        }
        freed = stream.window().evict(STEPS_AT_ONCE);
        bytes -= freed;
      }
    }
  }

  /**
   * An alert.
   *
   * @param recordBytes of its record
   * @return whether it says anything new
   */
  public synchronized boolean alert(Alert alert, Origin origin, int recordBytes) {
    LiveStream stream = stream(new RunStream(alert.runId(), alert.stream()));
    String key = key(alert.runId(), alert.incidentId());
    IncidentRow row =
        stream.alert(alert, origin.offset(), ALERT_GROWTH * recordBytes, verdicts.get(key));
    if (row == null) {
      return false;
    }
    IncidentRow before = incidents.remove(key);
    incidents.put(key, row);
    alertBytes += row.bytes() - (before == null ? 0 : before.bytes());
    IncidentRow excess = stream.excess();
    if (excess != null) {
      forget(excess);
    }
    while (alertBytes > ALERT_BYTES && incidents.size() > 1) {
      forget(incidents.values().iterator().next());
    }
    return true;
  }

  private void forget(IncidentRow row) {
    Alert alert = row.alert();
    incidents.remove(key(alert.runId(), alert.incidentId()));
    alertBytes -= row.bytes();
    stream(new RunStream(alert.runId(), alert.stream())).forget(row);
  }

  /** A verdict. */
  public synchronized void verdict(Feedback feedback) {
    String key = key(feedback.runId(), feedback.incidentId());
    verdicts.remove(key);
    verdicts.put(key, feedback);
    if (verdicts.size() > MOST_VERDICTS) {
      verdicts.remove(verdicts.keySet().iterator().next());
    }
    IncidentRow row = incidents.get(key);
    if (row != null) {
      incidents.put(key, row.judged(feedback));
      stream(new RunStream(feedback.runId(), row.alert().stream())).verdict(feedback);
    }
  }

  /** A rule. */
  public synchronized void rule(Rule rule) {
    String key = key(rule.scope(), rule.kind().name());
    if (rules.size() < MOST_RULES || rules.containsKey(key)) {
      rules.put(key, rule);
    }
  }

  private static String key(String run, String of) {
    return run + '\n' + of;
  }

  private LiveStream stream(RunStream name) {
    LiveStream stream = streams.get(name);
    if (stream == null) {
      stream = new LiveStream(name, reading.floors(name.run()));
      streams.put(name, stream);
      if (streams.size() > MOST_STREAMS) {
        forgetStream();
      }
    }
    return stream;
  }

  private void forgetStream() {
    Iterator<LiveStream> oldest = streams.values().iterator();
    LiveStream stream = oldest.next();
    oldest.remove();
    bytes -= stream.window().bytes();
    for (IncidentRow row : stream.incidents()) {
      incidents.remove(key(stream.name().run(), row.alert().incidentId()));
      alertBytes -= row.bytes();
    }
  }

  // --- what is asked

  /** How far the topics have been read. */
  public synchronized Reading reading() {
    return reading;
  }

  /** What the steps of all runs take of memory. */
  public synchronized long bytes() {
    return bytes;
  }

  /** A look at one stream, which counts as looked at; empty if nothing is known of it. */
  public synchronized <T> Optional<T> look(RunStream name, Function<LiveStream, T> question) {
    return Optional.ofNullable(streams.get(name)).map(question);
  }

  /** A look at all streams, the most recently updated first. */
  public synchronized <T> List<T> lookAtAll(int most, Function<LiveStream, T> question) {
    List<LiveStream> all = new ArrayList<>(streams.values());
    all.sort(Comparator.comparingLong(LiveStream::lastAt).reversed());
    return all.stream().limit(most).map(question).toList();
  }

  /** The rules, by scope and kind. */
  public synchronized List<Rule> rules() {
    return List.copyOf(rules.values());
  }

  /** An incident of a run; empty if it is not known. */
  public synchronized Optional<IncidentRow> incident(String run, String incidentId) {
    return Optional.ofNullable(incidents.get(key(run, incidentId)));
  }

  /** The incidents of all runs that were last updated. */
  public synchronized List<IncidentRow> recentIncidents() {
    return incidents.values().stream()
        .skip(Math.max(0, incidents.size() - RECENT_INCIDENTS))
        .toList();
  }

  /**
   * Incidents that are like one: of its kind first, then those that share its root layer, rank or
   * host, then the latest.
   */
  public static List<IncidentRow> similar(IncidentRow to, Collection<IncidentRow> among) {
    Alert alert = to.alert();
    return among.stream()
        .filter(row -> !row.alert().incidentId().equals(alert.incidentId()))
        .filter(row -> row.alert().kind() == alert.kind() || likeness(row.alert(), alert) > 0)
        .sorted(
            Comparator.comparing((IncidentRow row) -> row.alert().kind() != alert.kind())
                .thenComparing(row -> -likeness(row.alert(), alert))
                .thenComparing(row -> -row.alert().detectedAt())
                .thenComparing(row -> row.alert().incidentId()))
        .limit(SIMILAR)
        .toList();
  }

  private static int likeness(Alert one, Alert other) {
    return same(one.rootLayer(), other.rootLayer())
        + same(one.host(), other.host())
        + (one.runId().equals(other.runId()) ? same(one.rootRank(), other.rootRank()) : 0);
  }

  private static int same(Object one, Object other) {
    return one != null && Objects.equals(one, other) ? 1 : 0;
  }

  /** Open incidents by kind and severity, of those kept; what was seen stays with 0. */
  public synchronized Map<FindingKind, Map<Severity, Integer>> openByKind() {
    Map<FindingKind, Map<Severity, Integer>> open = new EnumMap<>(FindingKind.class);
    for (IncidentRow row : incidents.values()) {
      open.computeIfAbsent(row.alert().kind(), fresh -> new EnumMap<>(Severity.class))
          .merge(row.alert().severity(), row.isOpen() ? 1 : 0, Integer::sum);
    }
    return open;
  }

  // --- what clients are told

  /** Where somebody stands who has just fetched all of a stream. */
  public synchronized Position current(RunStream name) {
    Position read = reading.read(name.run());
    long partsFrom = parts.firstOffset(name);
    LiveStream stream = streams.get(name);
    return stream == null ? read : stream.current(read, partsFrom);
  }

  /**
   * What follows a position, the oldest first; lifted to what has been read where nothing does.
   *
   * @param most steps at once
   */
  public synchronized Told since(RunStream name, Position position, int most) {
    Position read = reading.read(name.run());
    LiveStream stream = streams.get(name);
    if (stream == null) {
      Position floors = reading.floors(name.run());
      boolean reset = position.steps() < floors.steps() || position.steps() > read.steps();
      return reset
          ? new Told(List.of(new Change.Told(new Change.Reset(), read)), read)
          : new Told(List.of(), read);
    }
    long partsFrom = parts.firstOffset(name);
    List<Change.Told> told = stream.since(position, read, partsFrom, most);
    Position after = told.isEmpty() ? position : told.get(told.size() - 1).after();
    boolean all = told.isEmpty() || stream.since(after, read, partsFrom, 1).isEmpty();
    if (!all) {
      return new Told(told, after);
    }
    Position lifted = stream.current(read, partsFrom);
    return new Told(told, lifted.withAttempt(Math.max(after.attempt(), lifted.attempt())));
  }

  /** Changes, and the position of somebody who has been told them all. */
  public record Told(List<Change.Told> changes, Position after) {}

  /** The number of the latest verdict of a stream; 0 if there is none. */
  public synchronized long judged(RunStream name) {
    return look(name, LiveStream::judged).orElse(0L);
  }

  /** Verdicts of a stream after that number, by number. */
  public synchronized Map<Long, Feedback> verdictsSince(RunStream name, long number) {
    return look(name, stream -> (Map<Long, Feedback>) stream.verdictsSince(number))
        .orElse(Map.of());
  }

  /** The number of what was last told to be read. */
  public synchronized long version() {
    return version;
  }

  /** Waits until more has been read than at that version, or until the time is over. */
  public synchronized void await(long known, long limitMs) throws InterruptedException {
    long end = System.nanoTime() + limitMs * 1_000_000;
    while (version == known) {
      long left = (end - System.nanoTime()) / 1_000_000;
      if (left <= 0) {
        return;
      }
      wait(left);
    }
  }

  /** Streams, the least recently updated or looked at first. For tests. */
  synchronized Stream<LiveStream> inOrder() {
    return new ArrayList<>(streams.values()).stream();
  }
}
