package io.gradflow.dashboard.web;

import io.gradflow.dashboard.live.RunStream;
import io.gradflow.dashboard.live.StepRow;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/** Steps as clients are told them, each written once for all clients; the last ones are kept. */
final class StepEvents {
  private static final long MOST_BYTES = 32L << 20;

  private final Map<Key, byte[]> written = new LinkedHashMap<>();
  private long bytes;

  /**
   * A row of a stream; rows are told apart by where they are in the topic, and by what they are
   * laid out for.
   */
  private record Key(RunStream of, int partition, long offset, long manifestId) {}

  /** The event's data. */
  synchronized byte[] of(RunStream stream, StepRow row) {
    Key key = new Key(stream, row.partition(), row.offset(), row.manifestId());
    byte[] known = written.get(key);
    if (known != null) {
      return known;
    }
    byte[] fresh = LiveJson.step(stream, row);
    written.put(key, fresh);
    bytes += fresh.length;
    Iterator<byte[]> oldest = written.values().iterator();
    while (bytes > MOST_BYTES && written.size() > 1) {
      bytes -= oldest.next().length;
      oldest.remove();
    }
    return fresh;
  }

  /** Forgets all: the topics may be others. */
  synchronized void clear() {
    written.clear();
    bytes = 0;
  }
}
