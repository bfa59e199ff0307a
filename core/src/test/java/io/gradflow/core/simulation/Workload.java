package io.gradflow.core.simulation;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.AssemblingPolicy;
import io.gradflow.core.norm.CombiningPolicy;
import io.gradflow.core.norm.Limits;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.window.WindowPolicy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * What trainings wrote to the topics, and the settings of the machines that read them, drawn from a
 * seed.
 *
 * <p>A calm one holds one attempt per run, and every record of it: repeated, contradicted and
 * delayed a little at most. Whatever happens to its readers, no step of it may lack anything.
 */
final class Workload {
  static final long START = 1_000_000;

  final boolean calm;
  final CombiningPolicy combining;
  final AssemblingPolicy assembling;
  final WindowPolicy windows;

  /** Manifests and events by run; shards by run and rank. */
  final List<Partition> partitions = new ArrayList<>();

  final List<Plan> plans = new ArrayList<>();

  /** Subtasks may not hold all of it. */
  boolean narrow;

  /** Whether ranks contradict themselves: which step tells of it depends on when it is read. */
  boolean contradicts;

  /** Records that should be in the log and are not. */
  int losses;

  private final Chance chance;
  private final long timeoutMs;
  private final int stepMs;

  Workload(Chance chance) {
    this.chance = chance;
    calm = chance.oneIn(4);
    timeoutMs = calm ? 10_000 : chance.of(1_000, 2_000, 10_000);
    stepMs = chance.of(1, 20, 100, (int) timeoutMs / 8, (int) timeoutMs / 3);
    Duration timeout = Duration.ofMillis(timeoutMs);
    Duration finished = timeout.multipliedBy(200);
    Duration idle = timeout.multipliedBy(250);
    int patience = calm ? 5 : chance.of(2, 5);
    int open = calm ? 256 : chance.of(3, 8, 256);
    int remembered = calm ? 64 : chance.of(2, 8, 64);
    combining =
        new CombiningPolicy(
            timeout,
            calm ? 0.9 : chance.of(0.5, 0.9, 1.0),
            calm ? 8 : chance.between(1, 8),
            timeout.dividedBy(5),
            patience,
            open,
            remembered,
            timeout.multipliedBy(3),
            calm ? 10_000 : chance.of(0, 7, 10_000),
            64 << 20,
            finished,
            idle,
            limits());
    assembling =
        new AssemblingPolicy(
            timeout.multipliedBy(3).dividedBy(2),
            patience,
            open,
            remembered,
            1024,
            100,
            finished.multipliedBy(2),
            idle.multipliedBy(2));
    windows =
        new WindowPolicy(
            chance.of(3, 10, 100),
            timeout,
            timeout.multipliedBy(3),
            1_000,
            finished.multipliedBy(4),
            idle.multipliedBy(4));
    int runs = chance.oneIn(4) ? chance.between(2, 3) : 1;
    int mostRanks = chance.oneIn(60) ? 140 : chance.oneIn(calm ? 3 : 6) ? 14 : runs == 1 ? 6 : 3;
    for (int run = 0; run < runs; run++) {
      new Run("run" + run, mostRanks).write();
    }
  }

  private Limits limits() {
    narrow = !calm && chance.oneIn(8);
    return narrow
        ? new Limits(chance.between(1, 3), chance.between(2, 12), chance.between(2_000, 20_000))
        : Limits.defaults();
  }

  /** One training. */
  private final class Run {
    private final String runId;
    private final int mostRanks;
    private final Partition news = new Partition();
    private final Map<Integer, Partition> ranks = new TreeMap<>();
    private final double lossRate = calm ? 0 : chance.of(0.0, 0.0, 0.02, 0.1);
    private final double repeatRate = chance.of(0.0, 0.03, 0.15);
    private final double conflictRate = chance.of(0.0, 0.0, 0.03);
    private final double badRate = chance.of(0.0, 0.0, 0.02);
    private final int jitterMs = chance.of(1, stepMs, calm ? stepMs : 5 * stepMs);
    private final int mostSteps;
    private long producerSeq;

    Run(String runId, int mostRanks) {
      this.runId = runId;
      this.mostRanks = mostRanks;
      mostSteps = mostRanks > 64 ? 5 : mostRanks > 6 ? calm ? 18 : 10 : 24;
    }

    void write() {
      int attempts = calm ? 1 : chance.oneIn(4) ? chance.between(2, 3) : 1;
      long startsAt = START;
      long firstStep = chance.oneIn(3) ? chance.below(1_000) : 0;
      List<String> streams =
          chance.oneIn(5) ? List.of("generator", "discriminator") : List.of(StepId.MAIN_STREAM);
      List<List<Plan>> known = new ArrayList<>();
      for (int attempt = 1; attempt <= attempts; attempt++) {
        long number = startsAt;
        long lastStep = firstStep + chance.between(1, mostSteps);
        long endsAt = startsAt;
        event(number, StepId.MAIN_STREAM, firstStep - 1, RunEvent.Type.STARTED, startsAt);
        for (int i = 0; i < streams.size(); i++) {
          if (attempt == 1 || chance.oneIn(2)) {
            List<Plan> fresh = Plan.draw(chance, runId, streams.get(i), mostRanks, calm);
            plans.addAll(fresh);
            if (attempt == 1) {
              known.add(fresh);
            } else {
              known.set(i, fresh);
            }
          }
          for (Plan plan : known.get(i)) {
            announce(plan, number, startsAt);
            endsAt = Math.max(endsAt, new Lane(plan, number, startsAt).write(firstStep, lastStep));
          }
          if (chance.oneIn(3)) {
            long step = firstStep + chance.below(lastStep - firstStep + 1);
            RunEvent.Type type =
                chance.of(RunEvent.Type.CHECKPOINT, RunEvent.Type.CHANGED, RunEvent.Type.EVAL);
            event(number, streams.get(i), step, type, startsAt + (step - firstStep) * stepMs);
          }
          if (attempt == attempts && !chance.oneIn(3)) {
            event(number, streams.get(i), lastStep, RunEvent.Type.FINISHED, endsAt);
          }
        }
        // The next attempt goes back to a checkpoint while old processes may still publish.
        firstStep = firstStep + chance.below(lastStep - firstStep + 2);
        startsAt = Math.max(startsAt + 1, endsAt - chance.below(3 * stepMs + 1));
      }
      partitions.add(news);
      partitions.addAll(ranks.values());
      news.write(partitions.indexOf(news));
      ranks.values().forEach(partition -> partition.write(partitions.indexOf(partition)));
    }

    private void event(long attempt, String stream, long step, RunEvent.Type type, long at) {
      RunEvent event = new RunEvent(runId, attempt, stream, step, type, at, Map.of());
      news.plan(at, (partition, offset, appendedAt) -> event);
    }

    /** Publishes a manifest, in parts, perhaps again, perhaps late or never. */
    private void announce(Plan plan, long attempt, long startsAt) {
      if (!calm && !narrow && chance.oneIn(40)) {
        return;
      }
      long at = startsAt - 1;
      if (chance.oneIn(6) && !narrow) {
        at += calm ? chance.below(timeoutMs) : chance.below(6 * timeoutMs);
      }
      Manifest whole = plan.manifest;
      int parts = Math.min(whole.layerCount(), chance.between(1, 3));
      for (int repeats = chance.oneIn(5) ? 2 : 1; repeats > 0; repeats--) {
        List<Integer> order = new ArrayList<>(IntStream.range(0, parts).boxed().toList());
        chance.shuffle(order);
        for (int part : order) {
          int from = part * whole.layerCount() / parts;
          int to = (part + 1) * whole.layerCount() / parts;
          Manifest piece =
              new Manifest(
                  runId,
                  attempt,
                  whole.stream(),
                  whole.manifestId(),
                  part,
                  parts,
                  from,
                  whole.layerCount(),
                  whole.worldSize(),
                  whole.mesh(),
                  whole.reporting(),
                  whole.reduceOp(),
                  whole.gradientDtype(),
                  whole.reductionDtype(),
                  whole.masterDtype(),
                  whole.optimizer(),
                  whole.adamEps(),
                  List.copyOf(whole.layers().subList(from, to)));
          news.plan(at, (partition, offset, appendedAt) -> piece);
        }
        at += chance.below(timeoutMs);
      }
    }

    /** The shards of one attempt under one plan. */
    private final class Lane {
      private final Plan plan;
      private final long attempt;
      private final long startsAt;
      private final int parts;
      private final int localBatches;
      private final Double lossScale = chance.oneIn(4) ? 1024.0 : null;
      private final boolean saysElements = chance.oneIn(2);
      private final boolean saysSums = !chance.oneIn(5);
      private final boolean saysZeros = !chance.oneIn(5);
      private final boolean listsLayers = chance.oneIn(4);
      private final double[] magnitude;
      private final int[] frozen;

      /** Its replicas are not alike. */
      private final boolean drifts = chance.oneIn(10);

      Lane(Plan plan, long attempt, long startsAt) {
        this.plan = plan;
        this.attempt = attempt;
        this.startsAt = startsAt;
        int layers = plan.manifest.layerCount();
        parts = chance.oneIn(5) ? Math.min(layers, chance.between(2, 3)) : 1;
        localBatches = chance.oneIn(5) ? chance.between(2, 3) : 1;
        magnitude = new double[layers];
        Arrays.setAll(magnitude, i -> chance.oneIn(4) ? chance.of(1e-38, 1e-30, 1e20, 1e38) : 0.01);
        frozen =
            IntStream.range(0, layers).filter(i -> plan.isOptional(i) && chance.oneIn(2)).toArray();
      }

      /** Writes all its steps; returns when the last was sent. */
      long write(long firstStep, long lastStep) {
        int world = plan.manifest.worldSize();
        long[] delay = new long[world];
        long[] lastSent = new long[world];
        long[] previous = new long[world];
        Arrays.fill(previous, -1);
        int absentRank = calm || !chance.oneIn(4) ? -1 : chance.below(world);
        long absentFrom = firstStep + chance.below(lastStep - firstStep + 1);
        long absentTo = absentFrom + chance.between(1, 12);
        long hidden =
            calm || !chance.oneIn(8) ? -1 : firstStep + chance.below(lastStep - firstStep);
        if (chance.oneIn(4)) {
          delay[chance.below(world)] =
              calm ? chance.below(timeoutMs / 10) : chance.below(3 * timeoutMs);
        }
        long at = startsAt;
        for (long step = firstStep; step <= lastStep; step++, at += stepMs) {
          float[][] gradient = gradient();
          for (int rank = 0; rank < world; rank++) {
            boolean sends = false;
            boolean lost = rank == absentRank && step >= absentFrom && step < absentTo;
            double weight = chance.between(0, 9);
            Double loss =
                chance.oneIn(10) ? null : chance.oneIn(60) ? Double.NaN : chance.share() + 1;
            for (Stage stage : Stage.values()) {
              boolean due = plan.isDue(stage, rank, step);
              if (due || chance.with(badRate / 4)) {
                long sentAt = Math.max(lastSent[rank], at + delay[rank] + chance.below(jitterMs));
                lastSent[rank] = sentAt;
                if (step == hidden || (!calm && chance.oneIn(100))) {
                  sentAt += chance.between(1, 6) * (long) stepMs;
                }
                var part = new Contribution(step, rank, stage, 0, 0, previous[rank], weight, loss);
                publish(part, gradient, sentAt, lost);
                sends |= due;
              }
            }
            previous[rank] = sends ? step : previous[rank];
          }
        }
        return at + jitterMs;
      }

      /** The whole reduced gradient of a step, by layer. */
      private float[][] gradient() {
        int layers = plan.manifest.layerCount();
        boolean sick = chance.oneIn(30);
        int sickest = chance.below(layers);
        float[][] gradient = new float[layers][];
        for (int layer = 0; layer < layers; layer++) {
          Layer of = plan.manifest.layers().get(layer);
          float[] values = new float[(int) of.elements()];
          boolean zero = chance.oneIn(50);
          for (int i = 0; i < values.length; i++) {
            double value = zero || chance.oneIn(20) ? 0 : 2 * chance.share() - 1;
            values[i] = (float) (value * magnitude[layer]);
          }
          if (sick && layer <= sickest && values.length > 0) {
            values[chance.below(values.length)] =
                chance.of(Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY);
          }
          gradient[layer] = values;
        }
        return gradient;
      }

      /** Sends a rank's parts and micro-batches of a stage: once, or not, or more than once. */
      private void publish(Contribution of, float[][] gradient, long at, boolean lost) {
        Partition partition = ranks.computeIfAbsent(of.rank, r -> new Partition());
        for (int batch = 0; batch < batches(of.stage); batch++) {
          for (int part = 0; part < parts; part++) {
            if (lost || chance.with(lossRate)) {
              losses++;
              continue;
            }
            Contribution own = of.at(part, batch);
            boolean isOwn = of.stage == Stage.LOCAL || (drifts && chance.oneIn(4));
            Partition.Draft draft = draft(own, gradient, isOwn);
            partition.plan(at, draft);
            while (chance.with(repeatRate)) {
              partition.plan(at + chance.below(chance.of(1, 3 * stepMs, 20 * stepMs) + 1), draft);
            }
            if (chance.with(conflictRate)) {
              contradicts = true;
              partition.plan(at + 1 + chance.below(5 * stepMs), draft(own, gradient, true));
            }
          }
        }
      }

      private int batches(Stage stage) {
        return stage == Stage.LOCAL ? localBatches : 1;
      }

      private Partition.Draft draft(Contribution of, float[][] gradient, boolean own) {
        Sent.Worth worth =
            !plan.isDue(of.stage, of.rank, of.step)
                ? Sent.Worth.NOT_DUE
                : chance.with(badRate) && !calm ? Sent.Worth.BAD : Sent.Worth.VALID;
        LayerColumns columns = columns(of.stage, of.rank, of.part, gradient, own);
        int[] coords = plan.coords(of.rank);
        return (partition, offset, appendedAt) -> {
          Shard shard =
              new Shard(
                  new StepId(runId, attempt, plan.manifest.stream(), of.step),
                  of.rank,
                  coords,
                  of.part,
                  parts,
                  plan.manifest.manifestId(),
                  of.stage,
                  of.previousStep,
                  of.batch,
                  batches(of.stage),
                  appendedAt - 3,
                  producerSeq++,
                  0,
                  worth == Sent.Worth.BAD ? Double.NaN : of.weight,
                  lossScale,
                  false,
                  null,
                  null,
                  of.loss,
                  null,
                  null,
                  null,
                  null,
                  columns,
                  new Origin("gradient-shards", partition, offset, appendedAt));
          return new Sent(plan, shard, worth, own ? null : gradient);
        };
      }

      /** A rank's slices of the layers of a part; its own gradient where it is not reduced yet. */
      private LayerColumns columns(
          Stage stage, int rank, int part, float[][] gradient, boolean own) {
        int from = part * gradient.length / parts;
        int to = (part + 1) * gradient.length / parts;
        int[] layers =
            IntStream.range(from, to)
                .filter(layer -> Arrays.binarySearch(frozen, layer) < 0)
                .toArray();
        float[][] slices = new float[layers.length][];
        for (int i = 0; i < layers.length; i++) {
          Plan.Slice slice = plan.slice(stage, rank, layers[i]);
          slices[i] =
              Arrays.copyOfRange(
                  gradient[layers[i]], slice.offset(), slice.offset() + slice.length());
          if (own) {
            for (int k = 0; k < slices[i].length; k++) {
              slices[i][k] *= (float) (0.5 + chance.share());
            }
          }
        }
        LayerColumns of = Measurement.of(slices);
        NonFinite bad = of.nonFinite();
        if (bad != null) {
          int[] named = Arrays.stream(bad.layers()).map(i -> layers[i]).toArray();
          bad = new NonFinite(named, bad.nans(), bad.posInfs(), bad.negInfs());
        }
        return new LayerColumns(
            from,
            listsLayers || layers.length < to - from ? layers : null,
            saysElements ? of.elements() : null,
            of.norm(),
            of.maxAbs(),
            saysSums ? of.sumAbs() : null,
            saysZeros ? of.zeros() : null,
            bad);
      }
    }
  }

  /** What a record is to say beside its columns. */
  private record Contribution(
      long step,
      int rank,
      Stage stage,
      int part,
      int batch,
      long previousStep,
      double weight,
      Double loss) {
    Contribution at(int otherPart, int otherBatch) {
      return new Contribution(step, rank, stage, otherPart, otherBatch, previousStep, weight, loss);
    }
  }
}
