package io.gradflow.core.simulation;

import io.gradflow.core.norm.Lane;
import io.gradflow.core.norm.LaneStep;
import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.RankGroup;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What the oracle remembers of what the machines were given and said: as much of the past as they
 * have after a restore.
 */
final class Ledger implements Copies.Remembered {
  Map<RankGroup, GroupBook> groups = new LinkedHashMap<>();
  Map<String, RunBook> runs = new LinkedHashMap<>();

  /** What must have become of the shards, and what the machines counted. */
  Map<ShardFate, Long> expected = new EnumMap<>(ShardFate.class);

  Map<ShardFate, Long> counted = new EnumMap<>(ShardFate.class);

  /** A shard whose manifest its group does not know. */
  record Waiting(Sent sent, long since) {}

  /** Of a rank group. */
  static final class GroupBook implements Copies.Remembered {
    long attempt = -1;
    Set<Long> manifests = new HashSet<>();
    List<Waiting> waiting = new ArrayList<>();
    Map<Lane, GroupLaneBook> lanes = new LinkedHashMap<>();
  }

  /** Of a lane of a rank group. */
  static final class GroupLaneBook implements Copies.Remembered {
    long lastClosed = -1;

    /** Whether it is known who was heard before which step closed. */
    boolean certain = true;

    /** Closed steps in a row without the rank, by stage. */
    Map<Stage, Map<Integer, Integer>> misses = new EnumMap<>(Stage.class);

    /** Ranks that contradicted themselves about closed steps since the last one closed. */
    Set<Integer> conflicting = new TreeSet<>();

    /** Those whose contributors are still known. */
    TreeSet<Long> closed = new TreeSet<>();

    Map<Long, GroupStepBook> steps = new HashMap<>();
  }

  /** Of a step of a rank group. */
  static final class GroupStepBook implements Copies.Remembered {
    boolean closed;
    long firstAt;

    /** Ranks that contradicted themselves while it was open. */
    Set<Integer> conflicting = new TreeSet<>();

    Map<Sent.Identity, Sent> seen = new HashMap<>();

    /** Not sent on yet. */
    List<Sent> pending = new ArrayList<>();
  }

  /** Of a run. */
  static final class RunBook implements Copies.Remembered {
    long attempt = -1;
    int torn;
    Set<Long> manifests = new HashSet<>();
    List<Parcel> waiting = new ArrayList<>();
    Map<LaneStep, StepBook> steps = new LinkedHashMap<>();
    Map<Lane, Long> lastPublished = new HashMap<>();
    Map<Lane, TreeMap<Long, Step>> rows = new LinkedHashMap<>();
  }

  /** Of a step of a run. */
  static final class StepBook implements Copies.Remembered {
    Set<Sent> contents = new LinkedHashSet<>();
    Set<Integer> conflicting = new TreeSet<>();

    /** The last one published, -1 before the first. */
    long revision = -1;

    boolean late;
  }

  long expected(ShardFate fate) {
    return expected.getOrDefault(fate, 0L);
  }

  long counted(ShardFate fate) {
    return counted.getOrDefault(fate, 0L);
  }
}
