package io.gradflow.core.detect;

import io.gradflow.core.StepId;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.IncidentPolicy;
import io.gradflow.core.incident.IncidentTracker;
import io.gradflow.core.incident.RunIncidents;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;

/**
 * A run whose gradients are made up: each layer has a level in octaves and Gaussian noise about it.
 * Steps go through detectors and incidents as they would in the job.
 */
public final class SimulatedRun {
  public static final String RUN = "run-1";
  private static final long ELEMENTS = 4_096;

  private LayerTable table;
  private final int worldSize;
  private final double[] level;
  private double noise;
  private final Random random;
  private final IncidentTracker tracker = new IncidentTracker(IncidentPolicy.DEFAULT);
  private final List<Alert> alerts = new ArrayList<>();
  private final List<StepFindings> verdicts = new ArrayList<>();
  private DetectionPolicy policy = DetectionPolicy.DEFAULT;
  private RunTrends trends;
  private RunIncidents incidents;
  private long attempt = 1;
  private long next;
  private long every = 1;

  public SimulatedRun(long seed, double noise) {
    this(seed, noise, manifest(UnaryOperator.identity()));
  }

  public SimulatedRun(long seed, double noise, Manifest manifest) {
    this.table = LayerTable.of(manifest);
    this.worldSize = manifest.worldSize();
    this.noise = noise;
    this.random = new Random(seed);
    this.level = new double[table.size()];
    for (int i = 0; i < level.length; i++) {
      level[i] = -8 + random.nextDouble();
    }
  }

  /** Eight blocks of a weight and a bias each, depth 0 to 7, on four ranks. */
  public static Manifest manifest(UnaryOperator<Layer> change) {
    return manifest(change, new MeshAxis("dp_replicate", 4));
  }

  /** The same on another mesh. */
  public static Manifest manifest(UnaryOperator<Layer> change, MeshAxis... mesh) {
    var layers = new ArrayList<Layer>();
    for (int d = 0; d < 8; d++) {
      for (LayerKind kind : List.of(LayerKind.WEIGHT, LayerKind.BIAS)) {
        var name = "block" + d + (kind == LayerKind.WEIGHT ? ".weight" : ".bias");
        layers.add(
            change.apply(
                new Layer(
                    name,
                    "block" + d,
                    d,
                    kind,
                    ELEMENTS,
                    "float32",
                    true,
                    false,
                    false,
                    null,
                    Collections.nCopies(mesh.length, Placement.REPLICATE))));
      }
    }
    return new Manifest(
            RUN,
            1,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            layers.size(),
            Arrays.stream(mesh).mapToInt(MeshAxis::size).reduce(1, (a, b) -> a * b),
            List.of(mesh),
            List.of(new Reporting(Stage.REDUCED, null, 1), new Reporting(Stage.LOCAL, null, 1)),
            "mean",
            "float32",
            "float32",
            "float32",
            "sgd",
            null,
            layers)
        .identified();
  }

  /** A manifest that says Adam is at work, with that eps. */
  public static Manifest adam(Manifest manifest, double eps) {
    return new Manifest(
            manifest.runId(),
            manifest.attempt(),
            manifest.stream(),
            0,
            manifest.part(),
            manifest.parts(),
            manifest.firstLayer(),
            manifest.layerCount(),
            manifest.worldSize(),
            manifest.mesh(),
            manifest.reporting(),
            manifest.reduceOp(),
            manifest.gradientDtype(),
            manifest.reductionDtype(),
            manifest.masterDtype(),
            "AdamW",
            eps,
            manifest.layers())
        .identified();
  }

  /** A layer of another kind. */
  public static Layer kind(Layer layer, LayerKind kind, boolean sparse) {
    return new Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        kind,
        layer.elements(),
        layer.dtype(),
        layer.trainable(),
        sparse,
        layer.zeroInit(),
        layer.tiedTo(),
        layer.placement());
  }

  /** A layer whose gradient has another number format. */
  public static Layer dtype(Layer layer, String dtype) {
    return new Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind(),
        layer.elements(),
        dtype,
        layer.trainable(),
        layer.sparse(),
        layer.zeroInit(),
        layer.tiedTo(),
        layer.placement());
  }

  /** A layer that is, or is not, frozen. */
  public static Layer trainable(Layer layer, boolean trainable) {
    return new Layer(
        layer.name(),
        layer.block(),
        layer.depth(),
        layer.kind(),
        layer.elements(),
        layer.dtype(),
        trainable,
        layer.sparse(),
        layer.zeroInit(),
        layer.tiedTo(),
        layer.placement());
  }

  public SimulatedRun policy(DetectionPolicy newPolicy) {
    policy = newPolicy;
    return this;
  }

  /** From now on layers scatter by so many octaves. */
  public SimulatedRun noise(double octaves) {
    noise = octaves;
    return this;
  }

  /** From now on only every n-th step is published. */
  public SimulatedRun publishEvery(long n) {
    every = n;
    return this;
  }

  /** From now on steps are of another manifest, of as many layers. */
  public SimulatedRun under(Manifest manifest) {
    table = LayerTable.of(manifest);
    return this;
  }

  /** A restart from a checkpoint. */
  public SimulatedRun restart(long fromStep) {
    attempt++;
    next = fromStep;
    return this;
  }

  public SimulatedRun shift(String layer, double octaves) {
    level[layer(layer)] += octaves;
    return this;
  }

  public SimulatedRun shiftAll(double octaves) {
    for (int i = 0; i < level.length; i++) {
      level[i] += octaves;
    }
    return this;
  }

  public int layer(String name) {
    for (int i = 0; i < table.size(); i++) {
      if (table.name(i).equals(name)) {
        return i;
      }
    }
    throw new IllegalArgumentException(name);
  }

  /** Runs healthy steps. */
  public SimulatedRun healthy(int steps) {
    return steps(steps, UnaryOperator.identity());
  }

  /** Runs steps with a change to each. */
  public SimulatedRun steps(int count, UnaryOperator<Draft> change) {
    for (int i = 0; i < count; i++) {
      step(change.apply(draft()));
    }
    return this;
  }

  /** The next step, not yet run. */
  public Draft draft() {
    var draft = new Draft(next);
    next += every;
    return draft;
  }

  /** Runs one step. */
  public SimulatedRun step(Draft draft) {
    return step(draft.step());
  }

  /** Runs one step. */
  public SimulatedRun step(Step step) {
    var judgement = RunDetector.judge(policy, table, trends, step);
    trends = judgement.state();
    judgement.findings().ifPresent(this::verdict);
    return this;
  }

  /** Incidents hear of a verdict. */
  public SimulatedRun verdict(StepFindings verdict) {
    verdicts.add(verdict);
    var outcome = tracker.fold(incidents, verdict, 1_000 * verdict.id().step());
    incidents = outcome.state();
    alerts.addAll(outcome.alerts());
    return this;
  }

  /** What release 0.1 left behind knows nothing of ranks. */
  public SimulatedRun forgetRanks() {
    return withRanks(null);
  }

  /** As a release left it behind that knew no losses of ranks. */
  public SimulatedRun forgetRankLosses() {
    return withRanks(without(true, false));
  }

  /** As a release left it behind that knew no ranks that turn. */
  public SimulatedRun forgetRankTurns() {
    return withRanks(without(false, true));
  }

  private RankTrends without(boolean losses, boolean turns) {
    RankTrends ranks = trends.lanes().get(0).ranks();
    return new RankTrends(
        ranks.ranks(),
        ranks.places(),
        ranks.divergence(),
        ranks.mismatch(),
        ranks.straggler(),
        ranks.pairs(),
        losses ? null : ranks.losses(),
        turns ? null : ranks.turned());
  }

  private SimulatedRun withRanks(RankTrends ranks) {
    LaneTrends lane = trends.lanes().get(0);
    trends =
        new RunTrends(
            trends.attempt(),
            List.of(
                new LaneTrends(
                    lane.stream(),
                    lane.manifestId(),
                    lane.lastStep(),
                    lane.published(),
                    lane.lastTrended(),
                    lane.trended(),
                    lane.seen(),
                    lane.series(),
                    lane.baselines(),
                    lane.nonFinite(),
                    lane.explodingSpike(),
                    lane.explodingTrend(),
                    lane.vanishingTrend(),
                    lane.vanishingDepth(),
                    lane.deadLayer(),
                    lane.missingShards(),
                    lane.contract(),
                    lane.advice(),
                    lane.magnitude(),
                    ranks)));
    return this;
  }

  public long nextStep() {
    return next;
  }

  public List<Alert> alerts() {
    return alerts;
  }

  public List<StepFindings> verdicts() {
    return verdicts;
  }

  public List<Finding> findings() {
    return verdicts.stream().flatMap(verdict -> verdict.findings().stream()).toList();
  }

  public RunTrends trends() {
    return trends;
  }

  public RunIncidents incidents() {
    return incidents;
  }

  public IncidentTracker tracker() {
    return tracker;
  }

  /** A step being written. */
  public final class Draft {
    private final long number;
    private final double[] l2 = new double[table.size()];
    private final double[] rms = new double[table.size()];
    private final long[] zeros = new long[table.size()];
    private final List<Integer> bad = new ArrayList<>();
    private final double[] completeness = new double[table.size()];
    private int badRank = -1;
    private Double loss = 1.0;
    private boolean skipped;
    private boolean late;
    private long revision = 8;
    private int[] missing = {};
    private int[] contradicting = {};
    private ClosedBy closedBy = ClosedBy.COMPLETE;
    private Clip clip;
    private Double lossScale;
    private RankPlaces places;
    private double[] weightNorm;
    private double[] updateNorm;
    private double noiseScale = Double.NaN;
    private double headroom = Double.NaN;
    private double underflow = Double.NaN;
    private double advisedLossScale = Double.NaN;
    private double clippedFraction = Double.NaN;
    private double clipCoefficient = Double.NaN;
    private double advisedClip = Double.NaN;
    private double[] learningRates;
    private double weight = 32;
    private double cosine = Double.NaN;
    private float[] cosines;
    private long[] subnormals;
    private final List<RunEvent> events = new ArrayList<>();
    private DrawnRanks drawn;
    private int[] mismatched;

    private Draft(long number) {
      this.number = number;
      Arrays.fill(completeness, 1);
      for (int i = 0; i < rms.length; i++) {
        octaves(i, level[i] + noise * random.nextGaussian());
      }
    }

    public long number() {
      return number;
    }

    private Draft octaves(int layer, double x) {
      rms[layer] = Math.pow(2, x);
      l2[layer] = rms[layer] * Math.sqrt(ELEMENTS);
      return this;
    }

    public Draft raise(String name, double octaves) {
      return octaves(layer(name), Math.log(rms[layer(name)]) / Math.log(2) + octaves);
    }

    public Draft raiseAll(double octaves) {
      for (int i = 0; i < rms.length; i++) {
        octaves(i, Math.log(rms[i]) / Math.log(2) + octaves);
      }
      return this;
    }

    /** Drops octaves at depth 0, none at depth 7, a line between. */
    public Draft slope(double octaves) {
      for (int i = 0; i < rms.length; i++) {
        octaves(i, Math.log(rms[i]) / Math.log(2) - octaves * (7 - table.depth(i)) / 7);
      }
      return this;
    }

    public Draft dead(String... names) {
      for (String name : names) {
        rms[layer(name)] = 0;
        l2[layer(name)] = 0;
        zeros[layer(name)] = ELEMENTS;
      }
      return this;
    }

    /** A share of a layer's elements is exactly zero. */
    public Draft zeros(String name, double share) {
      zeros[layer(name)] = Math.round(share * ELEMENTS);
      return this;
    }

    /** A share of a layer's elements that are not zero is subnormal. */
    public Draft subnormals(String name, double share) {
      if (subnormals == null) {
        subnormals = new long[table.size()];
      }
      int i = layer(name);
      subnormals[i] = Math.round(share * (ELEMENTS - zeros[i]));
      return this;
    }

    public Draft rates(double... values) {
      learningRates = values;
      return this;
    }

    /** Samples of all ranks together. */
    public Draft weight(double samples) {
      weight = samples;
      return this;
    }

    /** Something happened to the run before this step. */
    public Draft event(RunEvent.Type type) {
      events.add(
          new RunEvent(RUN, attempt, StepId.MAIN_STREAM, number - 1, type, 0, Map.of("why", "x")));
      return this;
    }

    /** The cosine of the whole gradient with that of the step before. */
    public Draft cosine(double value) {
      cosine = value;
      return this;
    }

    /** The cosine of a layer's gradient with that of the step before; 0 of all others. */
    public Draft cosine(String name, double value) {
      cosines = new float[table.size()];
      cosines[layer(name)] = (float) value;
      return this;
    }

    /** What the gradient is multiplied by, as in all steps so far. */
    public Draft coefficient(double value) {
      clipCoefficient = value;
      clip = new Clip(Clip.GLOBAL_NORM, clip.norm(), value);
      return this;
    }

    public Draft nan(int rank, String... names) {
      badRank = rank;
      for (String name : names) {
        bad.add(layer(name));
      }
      return this;
    }

    public Draft loss(Double value) {
      loss = value;
      return this;
    }

    /** Something that happened since the step before. */
    public Draft event(RunEvent.Type type, Map<String, String> attributes) {
      events.add(new RunEvent(RUN, attempt, StepId.MAIN_STREAM, number - 1, type, 7, attributes));
      return this;
    }

    /** Two ranks a host: ranks 0 and 1 on the first one. */
    public Draft hosts(String first, String second) {
      places =
          RankPlaces.of(
              new String[] {first, first, second, second},
              new String[] {"cuda:0", "cuda:1", "cuda:0", "cuda:1"});
      return this;
    }

    public Draft skipped() {
      skipped = true;
      return this;
    }

    public Draft late() {
      late = true;
      return this;
    }

    public Draft revision(long value) {
      revision = value;
      return this;
    }

    public Draft missing(int... ranks) {
      missing = ranks;
      return this;
    }

    public Draft contradicting(int... ranks) {
      contradicting = ranks;
      return this;
    }

    public Draft closedBy(ClosedBy value) {
      closedBy = value;
      return this;
    }

    /** No rank was to publish its REDUCED gradient. */
    public Draft unmeasured() {
      Arrays.fill(l2, Double.NaN);
      Arrays.fill(rms, Double.NaN);
      Arrays.fill(zeros, -1);
      return this;
    }

    /** Of a layer only a part was received, its received elements being as given. */
    public Draft incomplete(String name, double share) {
      completeness[layer(name)] = share;
      zeros[layer(name)] = Math.round(zeros[layer(name)] * share);
      return this;
    }

    /** The global norm is clipped to a value, which so far acted on a share of the steps. */
    public Draft clipped(double norm, double fraction, double advised) {
      clip = new Clip(Clip.GLOBAL_NORM, norm, null);
      clippedFraction = fraction;
      advisedClip = advised;
      return this;
    }

    /** Gradients are computed in float16 under a loss scale. */
    public Draft scaled(double scale, double octavesLeft, double shareTooSmall, double advised) {
      lossScale = scale;
      headroom = octavesLeft;
      underflow = shareTooSmall;
      advisedLossScale = advised;
      return this;
    }

    /** The gradient noise scale, beside a batch of 32. */
    public Draft noiseScale(double value) {
      noiseScale = value;
      return this;
    }

    /** Every layer has weights of RMS 1 and moves by 2^-10 of them, but for noise. */
    public Draft updates() {
      weightNorm = new double[table.size()];
      updateNorm = new double[table.size()];
      for (int i = 0; i < weightNorm.length; i++) {
        weightNorm[i] = Math.sqrt(ELEMENTS);
        updateNorm[i] = weightNorm[i] * Math.pow(2, -10 + noise * random.nextGaussian());
      }
      return this;
    }

    /** A layer moves more than that. */
    public Draft update(String name, double octaves) {
      updateNorm[layer(name)] *= Math.pow(2, octaves);
      return this;
    }

    /** A layer's weights are larger than those of the others. */
    public Draft weights(String name, double octaves) {
      weightNorm[layer(name)] *= Math.pow(2, octaves);
      return this;
    }

    /**
     * Ranks publish LOCAL gradients too.
     *
     * @param rankNoise by how many octaves their whole gradients differ
     * @param layerNoise by how many single layers do beside that
     */
    public Draft ranked(double rankNoise, double layerNoise, UnaryOperator<DrawnRanks> change) {
      drawn =
          change.apply(
              new DrawnRanks(random, worldSize, level, rankNoise, layerNoise, (double) ELEMENTS));
      return this;
    }

    /** The ranks drawn so far, changed. */
    public Draft ranks(UnaryOperator<DrawnRanks> change) {
      drawn = change.apply(drawn);
      return this;
    }

    /** The trainer clips so. */
    public Draft clip(Clip value) {
      clip = value;
      return this;
    }

    /** Copies of a layer have different hashes. */
    public Draft mismatched(String name) {
      mismatched = new int[] {layer(name)};
      return this;
    }

    /** Null if nothing was said. */
    private StepSignals signals() {
      boolean said =
          clip != null
              || lossScale != null
              || weightNorm != null
              || cosines != null
              || subnormals != null
              || !Double.isNaN(cosine)
              || mismatched != null
              || !Double.isNaN(noiseScale);
      double unknown = Double.NaN;
      return !said
          ? null
          : new StepSignals(
              null,
              subnormals,
              null,
              weightNorm,
              updateNorm,
              cosines,
              null,
              null,
              null,
              null,
              null,
              null,
              null,
              mismatched,
              new RunSignals(
                  Double.isNaN(cosine) ? -1 : number - 1,
                  cosine,
                  unknown,
                  unknown,
                  unknown,
                  noiseScale,
                  headroom,
                  underflow,
                  advisedLossScale,
                  clippedFraction,
                  clipCoefficient,
                  advisedClip,
                  clip == null ? unknown : 2.5,
                  clip == null ? unknown : 4.5,
                  clip == null ? -1 : 3,
                  clip == null ? unknown : 3.5,
                  unknown,
                  unknown,
                  unknown));
    }

    public Step step() {
      double[] norm = l2.clone();
      double[] meanSquare = rms.clone();
      int[] badLayers = bad.stream().sorted().mapToInt(Integer::intValue).toArray();
      for (int i : badLayers) {
        norm[i] = Double.NaN;
        meanSquare[i] = Double.NaN;
      }
      long[] ones = new long[badLayers.length];
      Arrays.fill(ones, 1);
      int[] ranks = new int[badLayers.length];
      Arrays.fill(ranks, badRank);
      int[] incomplete = new int[0];
      double[] shares = new double[0];
      for (int i = 0; i < completeness.length; i++) {
        if (completeness[i] < 1) {
          incomplete = Arrays.copyOf(incomplete, incomplete.length + 1);
          shares = Arrays.copyOf(shares, shares.length + 1);
          incomplete[incomplete.length - 1] = i;
          shares[shares.length - 1] = completeness[i];
        }
      }
      return new Step(
          new StepId(RUN, attempt, StepId.MAIN_STREAM, number),
          table.manifestId(),
          0,
          1,
          0,
          revision,
          closedBy,
          late,
          1,
          worldSize,
          missing,
          contradicting,
          incomplete.length == 0 ? null : incomplete,
          incomplete.length == 0 ? null : shares,
          1,
          new NormColumns(
              null,
              norm,
              norm,
              meanSquare,
              l2,
              zeros,
              badLayers.length == 0
                  ? null
                  : new NonFinite(badLayers, ones, new long[ones.length], new long[ones.length]),
              badLayers.length == 0 ? null : ranks,
              null),
          drawn != null
              ? drawn.evidence()
              : new RankEvidence(
                  new int[] {0, 1, 2, 3},
                  new double[4],
                  new long[4],
                  new long[4],
                  0,
                  new int[0],
                  new float[0],
                  null,
                  null,
                  null,
                  null,
                  null,
                  null,
                  null,
                  places,
                  null),
          new StepScalars(loss, null, learningRates, lossScale, skipped, clip, null, weight),
          List.copyOf(events),
          signals());
    }
  }
}
