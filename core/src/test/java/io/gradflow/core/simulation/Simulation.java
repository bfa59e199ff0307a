package io.gradflow.core.simulation;

import static io.gradflow.core.simulation.Difference.unless;

import io.gradflow.core.norm.ShardFate;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * Some trainings read by the pure machines, in an order and with disturbances drawn from a seed:
 * partitions interleaved at will and far apart, silence, snapshots, crashes that go back to the
 * last one and read again.
 *
 * <p>A calm workload is read with one restraint, the bound within which no rank may look missing:
 * while anything is read, no partition with something to read is left alone for long.
 */
final class Simulation {
  /** In a calm run, how long a partition may be left alone, and how much of it is read then. */
  private static final long LEFT_ALONE_MS = 1_500;

  private static final long READ_AT_LEAST_MS = 1_000;

  /**
   * What it came to.
   *
   * @param events records read, wake-ups and snapshots
   * @param difference from the oracle; null if there is none
   */
  record Outcome(long events, long crashes, long duplicates, long losses, String difference) {}

  private record Snapshot(
      int[] positions,
      Map<Backend.Table, Map<Object, Object>> state,
      Map<NormPipeline.Alarm, Long> alarms,
      Ledger ledger) {}

  private final Chance chance;
  private final Workload workload;
  private final Break broken;
  private final Consumer<String> trace;
  private final boolean plain;
  private final Oracle oracle;
  private final Backend backend;
  private final int[] positions;
  private final int longestBurst;

  /** In a calm run, a partition that is read no faster than it must be; -1 if none is. */
  private final int laggard;

  private final long tickMs;
  private NormPipeline pipeline;
  private Snapshot snapshot;
  private Set<String> finished = new HashSet<>();
  private long now;
  private long sweptAt;

  /** When reading began or went on after a silence or crash. */
  private long resumedAt = Long.MAX_VALUE;

  private long events;
  private long crashes;
  private int silences;
  private int crashesLeft;

  private Simulation(
      Workload workload, Chance chance, Break broken, boolean plain, Consumer<String> trace) {
    this.workload = workload;
    this.chance = chance;
    this.broken = broken;
    this.plain = plain;
    this.trace = trace;
    oracle = new Oracle(workload, trace);
    backend = new Backend(!plain && chance.oneIn(4), chance, broken);
    positions = new int[workload.partitions.size()];
    longestBurst = chance.of(1, 4, 60);
    laggard = workload.calm && chance.oneIn(2) ? chance.below(positions.length) : -1;
    tickMs = workload.calm ? 200 : chance.of(1, 100, 2_000);
    crashesLeft = plain ? 0 : chance.of(0, 1, 4);
    silences = plain ? 0 : chance.of(0, 0, 2);
  }

  /** Reads the workload of the seed; the trace gets one line per event, null for none. */
  static Outcome run(long seed, Break broken, Consumer<String> trace) {
    Workload workload = new Workload(new Chance(seed));
    Simulation simulation = new Simulation(workload, new Chance(~seed), broken, false, trace);
    String difference = null;
    try {
      simulation.run();
      simulation.readAgain();
      if (workload.calm && !workload.contradicts) {
        Simulation plain = new Simulation(workload, new Chance(seed), broken, true, null);
        plain.run();
        simulation.compare(plain);
      }
    } catch (Difference e) {
      difference = e.getMessage();
    } catch (RuntimeException e) {
      // The machines never throw; broken ones do.
      difference = e + " at " + e.getStackTrace()[0];
    }
    Ledger ledger = simulation.oracle.ledger;
    return new Outcome(
        simulation.events,
        simulation.crashes,
        ledger.expected(ShardFate.DUPLICATE) + ledger.expected(ShardFate.CONFLICT),
        workload.losses,
        difference);
  }

  @SuppressWarnings("AnnotateFormatMethod") // the annotation would be a dependency
  private void trace(String format, Object... args) {
    if (trace != null) {
      trace.accept("%8d ".formatted(now - Workload.START) + format.formatted(args));
    }
  }

  // --- The course of it --------------------------------------------------------------------------

  private void run() {
    workload.plans.forEach(plan -> trace("plan %s", plan));
    now = Workload.START - 1;
    if (!plain && chance.oneIn(2)) {
      now += chance.below(lastWritten() - Workload.START + 1);
    }
    pipeline = new NormPipeline(workload, backend, chance, broken, oracle);
    if (!workload.calm && chance.oneIn(6)) {
      startAtLatest();
    }
    takeSnapshot();
    do {
      while (turn()) {
        events++;
        if (events % 64 == 0) {
          law();
        }
      }
      pipeline.drain(now);
    } while (crashesLeft > 0 && chance.oneIn(6) && crash());
    law();
    if (chance.oneIn(3)) {
      trace("the input ends");
      pipeline.end(now);
    } else {
      fallSilent();
    }
    law();
    unless(backend.retained().isEmpty(), "state was retained: %s", backend.retained());
    unless(pipeline.held() == 0, "a subtask believes to hold something");
    oracle.finished();
  }

  private long lastWritten() {
    long last = 0;
    for (Partition partition : workload.partitions) {
      for (Partition.Entry entry : partition.entries) {
        last = Math.max(last, entry.appendedAt());
      }
    }
    return last;
  }

  /** Shards written before now are never read; manifests and events are. */
  private void startAtLatest() {
    trace("starts at latest");
    for (int i = 0; i < positions.length; i++) {
      List<Partition.Entry> entries = workload.partitions.get(i).entries;
      while (positions[i] < entries.size()
          && entries.get(positions[i]).appendedAt() < now
          && entries.get(positions[i]).value() instanceof Sent) {
        positions[i]++;
      }
    }
  }

  /** Does one thing; false if there is nothing more to read. */
  private boolean turn() {
    List<Integer> readable = new ArrayList<>();
    long next = Long.MAX_VALUE;
    for (int i = 0; i < positions.length; i++) {
      List<Partition.Entry> entries = workload.partitions.get(i).entries;
      if (positions[i] < entries.size()) {
        long appendedAt = entries.get(positions[i]).appendedAt();
        next = Math.min(next, appendedAt);
        if (appendedAt <= now) {
          readable.add(i);
        }
      }
    }
    if (next == Long.MAX_VALUE) {
      return false;
    }
    if (readable.isEmpty()) {
      advance(next + (plain ? 0 : chance.below(tickMs)));
    } else if (plain) {
      read(earliest(readable));
      pipeline.drain(now);
    } else {
      int what = chance.below(400);
      if (what < 2 && silences > 0 && mayFallSilent(readable)) {
        silences--;
        long silence = chance.below(20 * workload.combining.timeout().toMillis());
        trace("silence of %d ms", silence);
        advance(now + silence);
        resumedAt = Long.MAX_VALUE;
        sweptAt = now;
      } else if (what < 10) {
        takeSnapshot();
      } else if (what < 14 && crashesLeft > 0 && mayCrash(readable)) {
        crash();
      } else if (what < 100) {
        pipeline.pump(now);
      } else if (what < 160) {
        pass(readable);
      } else {
        int partition = chance.of(readable);
        if (partition == laggard) {
          pass(readable);
          return true;
        }
        if (workload.narrow) {
          // What a limit refuses would be hard to tell among shards that waited for a manifest.
          partition = news(readable).orElse(partition);
        }
        for (int burst = chance.between(1, longestBurst); burst > 0; burst--) {
          if (!read(partition)) {
            break;
          }
        }
      }
    }
    return true;
  }

  private Optional<Integer> news(List<Integer> readable) {
    return readable.stream().filter(i -> !(head(i).value() instanceof Sent)).findFirst();
  }

  private boolean isWritten(int partition, long by) {
    return positions[partition] < workload.partitions.get(partition).entries.size()
        && head(partition).appendedAt() <= by;
  }

  private int earliest(List<Integer> readable) {
    int earliest = readable.get(0);
    for (int i : readable) {
      if (head(i).appendedAt() < head(earliest).appendedAt()) {
        earliest = i;
      }
    }
    return earliest;
  }

  private Partition.Entry head(int partition) {
    return workload.partitions.get(partition).entries.get(positions[partition]);
  }

  /** Reads one record, if there is one. */
  private boolean read(int partition) {
    if (!isWritten(partition, now)) {
      return false;
    }
    Object value = head(partition).value();
    positions[partition]++;
    resumedAt = Math.min(resumedAt, now);
    events++;
    trace("reads %s", value instanceof Manifest ? "a manifest" : value);
    if (value instanceof Sent sent) {
      pipeline.shard(sent, now);
    } else if (value instanceof Manifest manifest) {
      pipeline.manifest(manifest, now);
    } else {
      RunEvent event = (RunEvent) value;
      if (event.type() == RunEvent.Type.FINISHED) {
        finished.add(event.runId());
      }
      pipeline.event(event, now);
    }
    if (workload.narrow) {
      pipeline.drain(now);
    }
    return true;
  }

  /**
   * Lets a little time pass. In a calm run, whoever has been left alone is read first: a second's
   * worth of it.
   */
  private void pass(List<Integer> readable) {
    long ms = chance.below(tickMs);
    if (workload.calm && sweptAt + LEFT_ALONE_MS < now + ms) {
      sweptAt = now;
      for (int partition : readable) {
        long until = head(partition).appendedAt() + READ_AT_LEAST_MS;
        boolean more = true;
        while (more) {
          more = isWritten(partition, until) && read(partition);
        }
      }
    }
    advance(now + ms);
  }

  /** After a run has said that it ends, silence means that a rank is missing. */
  private boolean mayFallSilent(List<Integer> readable) {
    return mayCrash(readable) && (!workload.calm || finished.isEmpty());
  }

  /** Within half a timeout, what was held up by one disturbance is read before the next. */
  private boolean mayCrash(List<Integer> readable) {
    long half = workload.combining.timeout().toMillis() / 2;
    return !workload.calm || readable.isEmpty() || resumedAt < now - half;
  }

  private void advance(long until) {
    pipeline.drain(now);
    for (long alarm = pipeline.nextAlarm(); alarm <= until; alarm = pipeline.nextAlarm()) {
      now = Math.max(now, alarm);
      events++;
      trace("wakes whoever is due");
      pipeline.wake(now);
      pipeline.drain(now);
    }
    now = until;
  }

  private void fallSilent() {
    trace("silence for good");
    int wakes = 0;
    while (pipeline.nextAlarm() != Long.MAX_VALUE) {
      advance(Math.max(now, pipeline.nextAlarm()));
      unless(++wakes < 20_000, "still woken after %d times: %s", wakes, pipeline.alarms());
    }
  }

  // --- Snapshots and crashes ---------------------------------------------------------------------

  private void takeSnapshot() {
    pipeline.drain(now);
    law();
    trace("takes a snapshot");
    snapshot =
        new Snapshot(
            positions.clone(), backend.snapshot(), pipeline.alarms(), Copies.of(oracle.ledger));
  }

  /** All but what is published goes back to the last snapshot. */
  private boolean crash() {
    crashes++;
    crashesLeft--;
    long down = chance.oneIn(2) ? 0 : chance.below(5 * workload.combining.timeout().toMillis());
    trace("crashes, restored after %d ms", down);
    now += down;
    if (broken != Break.OFFSETS_AHEAD) {
      System.arraycopy(snapshot.positions(), 0, positions, 0, positions.length);
    }
    resumedAt = Long.MAX_VALUE;
    sweptAt = now;
    backend.restore(snapshot.state());
    oracle.ledger = Copies.of(snapshot.ledger());
    pipeline = new NormPipeline(workload, backend, chance, broken, oracle);
    pipeline.restore(snapshot.alarms());
    return true;
  }

  private void law() {
    oracle.law(
        backend.entries(NormPipeline.COMBINE, "shards")
            + backend.entries(NormPipeline.COMBINE, "waiting"));
  }

  // --- Alerts ------------------------------------------------------------------------------------

  /** Readers of the steps may crash and read again too. */
  private void readAgain() {
    for (List<Step> steps : oracle.steps.values()) {
      List<String> alerts = AlertReading.of(workload.plans, steps);
      AlertReading.check(workload.plans, steps, alerts, chance);
    }
  }

  /** A calm run gives the alerts that it gives when nothing disturbs its readers. */
  private void compare(Simulation undisturbed) {
    for (String runId : oracle.steps.keySet()) {
      List<String> alerts = alerts(oracle.steps.get(runId));
      List<String> expected = undisturbed.alerts(undisturbed.oracle.steps.get(runId));
      unless(alerts.equals(expected), "alerts undisturbed: %s, disturbed: %s", expected, alerts);
    }
  }

  /**
   * Each stage of a pipeline by itself, for which of them is ahead differs from reading to reading.
   */
  private List<String> alerts(List<Step> steps) {
    List<String> alerts = new ArrayList<>();
    for (Plan plan : workload.plans) {
      long manifest = plan.manifest.manifestId();
      List<Step> own = steps.stream().filter(step -> step.manifestId() == manifest).toList();
      alerts.addAll(AlertReading.of(workload.plans, own));
    }
    return alerts;
  }
}
