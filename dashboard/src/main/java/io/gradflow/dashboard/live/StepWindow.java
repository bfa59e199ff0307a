package io.gradflow.dashboard.live;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Set;
import java.util.TreeMap;

/**
 * The steps of one stream that are kept, each at its highest revision, and what somebody who knows
 * them up to an offset has missed since.
 *
 * <p>A higher attempt makes the steps of lower ones void from its first step on. Nothing is
 * remembered of what was told to whom: every row has the offset of its record, so that what a
 * client misses is the rows of higher offsets.
 */
public final class StepWindow {
  private static final int MOST_ATTEMPTS = 100;

  private final NavigableMap<Long, StepRow> byStep = new TreeMap<>();
  private final NavigableMap<Long, StepRow> byOffset = new TreeMap<>();
  private final NavigableMap<Long, Attempt> attempts = new TreeMap<>();
  private Stages stages = Stages.unknown(0);
  private long floor;
  private long lastOffset = -1;

  /** The highest step of which records were given up, or came before the window. */
  private long lost = -1;

  private long bytes;

  /**
   * Where an attempt begins: its number, its first step, and that step's offset.
   *
   * @param manifests of its steps that came
   */
  private record Attempt(long attempt, long from, long offset, Set<Long> manifests) {}

  /**
   * An empty window.
   *
   * @param floor offset up to which nothing is known
   */
  public StepWindow(long floor) {
    this.floor = floor;
  }

  /** Forgets all, before the step of that offset, which cannot go on from what was. */
  void begin(long offset) {
    byStep.clear();
    byOffset.clear();
    attempts.clear();
    lost = -1;
    bytes = 0;
    floor = offset;
  }

  /** What the rows' cells are of; unknown at first. */
  public Stages stages() {
    return stages;
  }

  /** Lays the rows out for other stages; rows of another model stay as they are. */
  public void lay(Stages fresh) {
    stages = fresh;
    if (!fresh.isSplit()) {
      return;
    }
    for (StepRow row : List.copyOf(byStep.values())) {
      StepRow laid = fresh.laid(row);
      if (laid != null) {
        remove(row);
        put(laid);
      }
    }
  }

  /**
   * Adds a record of a step: the step, or what one stage says of it.
   *
   * @return whether it says anything new: false for a lower revision, a repetition, or what a
   *     higher attempt has made void
   */
  public boolean add(StepRow row) {
    lastOffset = Math.max(lastOffset, row.offset());
    for (Attempt higher : attempts.tailMap(row.attempt(), false).values()) {
      if (higher.from() <= row.step()) {
        return false;
      }
    }
    StepRow held = byStep.get(row.step());
    if (held != null && held.attempt() > row.attempt()) {
      return false;
    }
    boolean begins = attempts.isEmpty() || attempts.lastKey() < row.attempt();
    Attempt attempt = attempts.get(row.attempt());
    if (stages.isSplit() && !isWhole()) {
      // Where records of others of its stages are gone, it would show less than the topic has:
      // whoever misses it has to fetch.
      if (!begins && (attempt == null || (held == null && row.step() <= lost))) {
        floor = Math.max(floor, row.offset());
        return false;
      }
      if (begins
          || attempt.manifests().stream()
              .noneMatch(id -> stages.areOfOneStage(id, row.manifestId()))) {
        loseBefore(row);
      }
    }
    if (attempt != null) {
      attempt.manifests().add(row.manifestId());
    }
    StepRow before = held != null && held.attempt() == row.attempt() ? held : null;
    StepRow shown = stages.with(before, row);
    if (shown == null) {
      return false;
    }
    if (begins) {
      List<StepRow> voided = new ArrayList<>(byStep.tailMap(row.step(), true).values());
      voided.forEach(this::remove);
      lost = Math.min(lost, row.step() - 1);
      attempts.put(
          row.attempt(),
          new Attempt(
              row.attempt(), row.step(), row.offset(), new HashSet<>(Set.of(row.manifestId()))));
      if (attempts.size() > MOST_ATTEMPTS) {
        floor = Math.max(floor, attempts.pollFirstEntry().getValue().offset());
      }
    } else if (held != null) {
      remove(held);
    }
    put(shown);
    return true;
  }

  /**
   * The first step of a stage in an attempt, in a window before which there were steps: what the
   * stage said of lower ones may lie before the window, so that the window has no such steps.
   */
  private void loseBefore(StepRow first) {
    boolean anew =
        attempts.values().stream()
            .flatMap(attempt -> attempt.manifests().stream())
            .noneMatch(id -> stages.areOfOneStage(id, first.manifestId()));
    List<StepRow> partly =
        byStep.headMap(first.step(), false).values().stream()
            .filter(row -> row.attempt() == first.attempt() || anew)
            .toList();
    partly.forEach(this::remove);
    lost = Math.max(lost, first.step() - 1);
    floor = partly.isEmpty() ? floor : Math.max(floor, first.offset());
  }

  private void put(StepRow row) {
    byStep.put(row.step(), row);
    byOffset.put(row.offset(), row);
    bytes += row.bytes();
  }

  private void remove(StepRow row) {
    byStep.remove(row.step());
    byOffset.remove(row.offset());
    bytes -= row.bytes();
  }

  /**
   * Forgets the oldest steps, but never the newest.
   *
   * @return how many bytes that gave
   */
  long evict(int steps) {
    long before = bytes;
    for (int i = 0; i < steps && byStep.size() > 1; i++) {
      StepRow oldest = byStep.firstEntry().getValue();
      remove(oldest);
      lost = Math.max(lost, oldest.step());
      floor = Math.max(floor, oldest.offset());
    }
    return before - bytes;
  }

  /** Whether somebody at that position can be told what follows, one by one. */
  boolean reaches(Position position) {
    return position.steps() >= floor;
  }

  /** What follows a position, the oldest first; a position that it {@link #reaches}. */
  List<Change.Told> since(Position position, int most) {
    List<Change.Told> told = new ArrayList<>();
    Position at = position;
    Map.Entry<Long, StepRow> next = byOffset.higherEntry(at.steps());
    while (next != null && told.size() < most) {
      StepRow row = next.getValue();
      if (row.attempt() < at.attempt() && !attempts.containsKey(at.attempt())) {
        // Who is told knows a higher attempt than this window, which began amid a repetition.
        at = at.withSteps(row.offset());
        next = byOffset.higherEntry(at.steps());
        continue;
      }
      // The first step of an attempt may have been revised since: its rewind comes before any row
      // of the attempt, wherever that row is now.
      for (Attempt begun : attempts.tailMap(at.attempt(), false).values()) {
        if (begun.attempt() <= row.attempt()) {
          at = at.withAttempt(begun.attempt());
          told.add(new Change.Told(new Change.Rewound(begun.from()), at));
        }
      }
      at = at.withStep(row);
      told.add(new Change.Told(new Change.Stepped(row), at));
      next = byOffset.higherEntry(at.steps());
    }
    return told;
  }

  /** The offset of the last record, of whatever worth. */
  long lastOffset() {
    return Math.max(lastOffset, floor);
  }

  /** The highest attempt; -1 before the first step. */
  public long attempt() {
    return attempts.isEmpty() ? -1 : attempts.lastKey();
  }

  /** The step of the highest number; null before the first. */
  public StepRow newest() {
    return byStep.isEmpty() ? null : byStep.lastEntry().getValue();
  }

  /** The step of the lowest number that is kept; null before the first. */
  public StepRow oldest() {
    return byStep.isEmpty() ? null : byStep.firstEntry().getValue();
  }

  /** An offset that all records of older steps lie before; a large number if no row is kept. */
  public long firstOffset() {
    if (stages.isSplit() && !byStep.isEmpty()) {
      return byStep.floorEntry(byStep.firstKey() + stages.skew()).getValue().offset();
    }
    return byOffset.values().stream().mapToLong(StepRow::firstOffset).min().orElse(Long.MAX_VALUE);
  }

  /** Whether nothing of the stream was before what is kept. */
  public boolean isWhole() {
    return floor < 0;
  }

  /** A step; null if it is not kept. */
  public StepRow at(long step) {
    return byStep.get(step);
  }

  /** The steps of a span, both ends included, ascending; the last ones if there are more. */
  public List<StepRow> span(long from, long to, int most) {
    if (from > to) {
      return List.of();
    }
    List<StepRow> rows = new ArrayList<>();
    for (StepRow row : byStep.subMap(from, true, to, true).descendingMap().values()) {
      if (rows.size() == most) {
        break;
      }
      rows.add(row);
    }
    Collections.reverse(rows);
    return rows;
  }

  /** How many steps are kept. */
  public int size() {
    return byStep.size();
  }

  /** What they take of memory. */
  public long bytes() {
    return bytes;
  }
}
