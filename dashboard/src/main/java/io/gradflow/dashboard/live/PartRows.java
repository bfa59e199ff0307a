package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.norm.Step;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.TreeMap;

/**
 * Rows of steps that were split to fit a record, until they are whole. The oldest are forgotten.
 */
public final class PartRows {
  private static final int MOST = 256;

  /** What parts of one step have in common. */
  private record Key(
      RunStream of, long attempt, long step, long manifestId, long revision, int parts) {}

  private final Map<Key, NavigableMap<Integer, StepRow>> waiting = new LinkedHashMap<>();
  private int kept;

  /**
   * Adds a record.
   *
   * @return the row of the step, if it is whole
   */
  public Optional<StepRow> add(Step part, Origin origin) {
    StepRow row = StepRow.of(part, origin);
    if (part.parts() == 1) {
      return Optional.of(row);
    }
    Key key =
        new Key(
            new RunStream(part.id().runId(), part.id().stream()),
            row.attempt(),
            row.step(),
            row.manifestId(),
            row.revision(),
            part.parts());
    NavigableMap<Integer, StepRow> rows = waiting.computeIfAbsent(key, fresh -> new TreeMap<>());
    kept += rows.put(part.part(), row) == null ? 1 : 0;
    if (rows.size() == part.parts()) {
      waiting.remove(key);
      kept -= rows.size();
      return Optional.of(StepRow.joined(List.copyOf(rows.values())));
    }
    Iterator<NavigableMap<Integer, StepRow>> oldest = waiting.values().iterator();
    while (kept > MOST && waiting.size() > 1) {
      kept -= oldest.next().size();
      oldest.remove();
    }
    return Optional.empty();
  }

  /** The offset of the oldest part that waits for others of the stream; none: a large number. */
  long firstOffset(RunStream of) {
    return waiting.entrySet().stream()
        .filter(entry -> entry.getKey().of().equals(of))
        .flatMap(entry -> entry.getValue().values().stream())
        .mapToLong(StepRow::offset)
        .min()
        .orElse(Long.MAX_VALUE);
  }
}
