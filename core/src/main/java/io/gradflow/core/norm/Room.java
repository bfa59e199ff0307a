package io.gradflow.core.norm;

import io.gradflow.core.shard.RankGroup;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;

/**
 * What a subtask holds of all its rank groups, against its {@link Limits}.
 *
 * <p>One per subtask, never part of the state: after a restore a group counts from the first time
 * that it is touched, which its deadlines see to within the timeout if it has open steps.
 *
 * <p>A limit that refuses is reported at the first refusal and not again before there was room.
 */
public final class Room {
  private record Use(long layers, long bytes) {
    static final Use NONE = new Use(0, 0);

    int runs() {
      return layers > 0 ? 1 : 0;
    }
  }

  private final Limits limits;
  private final Map<RankGroup, Use> uses = new HashMap<>();
  private final Map<String, Integer> groupsOfRuns = new HashMap<>();
  private final Set<Limits.Kind> reported = EnumSet.noneOf(Limits.Kind.class);
  private long layers;
  private long bytes;

  Room(Limits limits) {
    this.limits = limits;
  }

  /** What the group holds from now on, instead of what it held; a run in use holds layers. */
  void holds(RankGroup group, long nowLayers, long nowBytes) {
    Use now = new Use(nowLayers, nowBytes);
    Use before = now.equals(Use.NONE) ? uses.remove(group) : uses.put(group, now);
    before = before == null ? Use.NONE : before;
    if (now.runs() != before.runs()) {
      groupsOfRuns.merge(group.runId(), now.runs() - before.runs(), Integer::sum);
      groupsOfRuns.remove(group.runId(), 0);
    }
    layers += nowLayers - before.layers;
    bytes += nowBytes - before.bytes;
    if (now.layers < before.layers || now.bytes < before.bytes) {
      reported.removeIf(this::hasRoomAgain);
    }
  }

  private boolean hasRoomAgain(Limits.Kind kind) {
    return switch (kind) {
      case RUNS -> groupsOfRuns.size() < limits.runs();
      // A tenth of the limit must be free, else each single shard that leaves would be news.
      case LAYERS -> layers <= limits.layers() / 10 * 9;
      case BYTES -> bytes <= limits.bytes() / 10 * 9;
    };
  }

  /** The limit that keeps a group from holding so much more; null if there is room. */
  Limits.Kind refusal(RankGroup group, long moreLayers, long moreBytes) {
    if (moreLayers > 0
        && !groupsOfRuns.containsKey(group.runId())
        && groupsOfRuns.size() >= limits.runs()) {
      return Limits.Kind.RUNS;
    }
    if (moreLayers > 0 && layers + moreLayers > limits.layers()) {
      return Limits.Kind.LAYERS;
    }
    return bytes + moreBytes > limits.bytes() ? Limits.Kind.BYTES : null;
  }

  /** True the first time since there was room. */
  boolean isNews(Limits.Kind kind) {
    return reported.add(kind);
  }

  /** One clause: what is held and what is allowed. */
  String describe(Limits.Kind kind) {
    return switch (kind) {
      case RUNS -> "%d runs are held, %d are allowed".formatted(groupsOfRuns.size(), limits.runs());
      case LAYERS -> "%d layers are held, %d are allowed".formatted(layers, limits.layers());
      case BYTES -> "%d bytes are held, %d are allowed".formatted(bytes, limits.bytes());
    };
  }

  /** Runs in use. */
  public int runs() {
    return groupsOfRuns.size();
  }

  /** Layers of the runs in use, once in each rank group. */
  public long layers() {
    return layers;
  }

  /** Bytes held, as far as they are counted: shards and layouts. */
  public long bytes() {
    return bytes;
  }
}
