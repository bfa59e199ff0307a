package io.gradflow.benchmarks.quality;

import io.gradflow.benchmarks.NormMachines;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.shard.Stage;
import io.gradflow.training.zoo.Parameter;
import io.gradflow.training.zoo.ZooObserver;
import io.gradflow.training.zoo.ZooOptions;
import io.gradflow.training.zoo.ZooStep;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.function.Consumer;

/**
 * The ranks of a training of the zoo, publishing as trainers do, and NormJob, which makes steps of
 * it. LOCAL shards come from every rank; REDUCED ones from rank 0 alone or, for half the seeds and
 * wherever ranks hold slices, from every rank, with a hash of their content. A step takes {@value
 * #STEP_MS} ms. What lies between is {@link Delivery}'s.
 */
final class Publishing implements ZooObserver {
  /** Time that a step takes. */
  static final long STEP_MS = 500;

  private static final long FIRST_ATTEMPT = 1_000;
  private static final String TENSOR_AXIS = "tp";
  private static final Set<SignalGroup> REDUCED_SIGNALS = EnumSet.of(SignalGroup.MOMENTS);
  private static final Set<SignalGroup> REPLICA_SIGNALS =
      EnumSet.of(SignalGroup.MOMENTS, SignalGroup.HASH);

  private final String runId;
  private final ZooOptions options;
  private final List<String> streams;
  private final List<List<Parameter>> parameters;
  private final boolean everyReplica;
  private final Delivery delivery;
  private final NormMachines machines;
  private final Consumer<Manifest> manifests;
  private final Map<Integer, Stream> lanes = new HashMap<>();
  private final Map<Integer, Clock> clocks = new HashMap<>();
  private long now;
  private long sequence;
  private long steps;
  private long layerSteps;
  private long lastStep;

  /** What a stream has published of its present attempt. */
  private static final class Stream {
    private final int attempt;
    private Manifest manifest;
    private boolean[] trainable;
    private long lastStep = -1;
    private float[][] previous;
    private double previousScale;

    Stream(int attempt) {
      this.attempt = attempt;
    }
  }

  /**
   * @param parameters by stream
   * @param missing whether delivery may lose shards: not where a rank's silence is the fault
   * @param manifests told of each before its steps
   * @param published told of each step, as NormJob publishes it
   */
  Publishing(
      String runId,
      ZooOptions options,
      List<String> streams,
      List<List<Parameter>> parameters,
      boolean missing,
      Consumer<Manifest> manifests,
      Consumer<Step> published) {
    this.runId = runId;
    this.options = options;
    this.streams = streams;
    this.parameters = parameters;
    this.manifests = manifests;
    SplittableRandom random = new SplittableRandom(runId.hashCode() * 31L + options.seed());
    everyReplica = random.nextBoolean() || options.tensorParallel() > 1;
    machines =
        new NormMachines(
            runId,
            published,
            window -> {},
            what -> {
              // Late beyond remembering: what such delivery costs.
            });
    delivery = new Delivery(random.split(), options.ranks(), missing, machines);
  }

  /** What delivery suffers, for people; null: nothing. */
  String overlay() {
    return delivery.overlay();
  }

  long steps() {
    return steps;
  }

  long layerSteps() {
    return layerSteps;
  }

  long lastStep() {
    return lastStep;
  }

  @Override
  public void event(
      int attempt, int stream, long step, RunEvent.Type type, Map<String, String> attributes) {
    machines.notice(
        new RunEvent(
            runId, FIRST_ATTEMPT + attempt, streams.get(stream), step, type, now, attributes));
  }

  @Override
  public void step(ZooStep step) {
    now += STEP_MS * options.every();
    delivery.advance(now);
    Stream lane = lanes.get(step.stream());
    if (lane == null || lane.attempt != step.attempt()) {
      lane = new Stream(step.attempt());
      lanes.put(step.stream(), lane);
    }
    boolean thawed = !Arrays.equals(lane.trainable, step.trainable());
    if (lane.manifest == null || thawed) {
      lane.trainable = step.trainable().clone();
      lane.manifest = manifest(step);
      manifests.accept(lane.manifest);
      machines.notice(lane.manifest);
    }
    StepId id =
        new StepId(runId, FIRST_ATTEMPT + step.attempt(), streams.get(step.stream()), step.step());
    publish(lane, step, id);
    lane.lastStep = step.step();
    lane.previous = copy(step.reduced());
    lane.previousScale = step.lossScale();
    steps++;
    layerSteps += step.reduced().length;
    Clock clock = clocks.computeIfAbsent(step.stream(), stream -> new Clock());
    lastStep = Math.max(lastStep, clock.at(id));
  }

  /** The training has ended: what is under way arrives, and what is open closes. */
  void finish() {
    delivery.end();
    machines.closeSteps();
  }

  private void publish(Stream lane, ZooStep step, StepId id) {
    LayerColumns replica = null;
    for (int rank = 0; rank < options.ranks(); rank++) {
      if (!step.reports()[rank]) {
        continue;
      }
      float[][] local = sliced(step.local()[rank], rank);
      float[][] reduced = sliced(step.reduced(), rank);
      LayerColumns columns = measured(lane.manifest, Set.of(), local);
      delivery.send(
          shard(
              lane,
              step,
              id,
              rank,
              Stage.LOCAL,
              beside(columns, null, null, null, dots(local, reduced, 1), null, null)));
      if (!everyReplica && rank > 0) {
        continue;
      }
      if (replica == null || options.tensorParallel() > 1) {
        replica = reduced(lane, step, rank, reduced);
      }
      delivery.send(shard(lane, step, id, rank, Stage.REDUCED, replica));
    }
  }

  private LayerColumns reduced(Stream lane, ZooStep step, int rank, float[][] gradient) {
    float[] dots =
        lane.previous == null
            ? null
            : dots(gradient, sliced(lane.previous, rank), step.lossScale() / lane.previousScale);
    float[] updates = step.updateNorms() == null ? null : new float[gradient.length];
    if (updates != null) {
      double share = Math.sqrt(options.tensorParallel());
      for (int i = 0; i < updates.length; i++) {
        updates[i] = (float) (step.updateNorms()[i] / share);
      }
    }
    Set<SignalGroup> groups = everyReplica ? REPLICA_SIGNALS : REDUCED_SIGNALS;
    return beside(
        measured(lane.manifest, groups, gradient),
        Measurement.norms(sliced(step.weights(), rank)),
        updates,
        dots,
        null,
        step.activations().clone(),
        step.saturated().clone());
  }

  /** What the rank holds of whole tensors. */
  private float[][] sliced(float[][] whole, int rank) {
    int parts = options.tensorParallel();
    if (parts == 1) {
      return whole;
    }
    int part = rank % parts;
    return Arrays.stream(whole)
        .map(
            tensor ->
                Arrays.copyOfRange(
                    tensor,
                    (int) ((long) tensor.length * part / parts),
                    (int) ((long) tensor.length * (part + 1) / parts)))
        .toArray(float[][]::new);
  }

  private LayerColumns measured(Manifest manifest, Set<SignalGroup> groups, float[][] gradient) {
    Dtype[] dtypes = new Dtype[gradient.length];
    Arrays.fill(dtypes, Dtype.of(manifest.gradientDtype()));
    Slicing slicing = new Slicing(runId, 0, dtypes, new long[gradient.length]);
    LayerColumns columns = Measurement.of(groups, slicing, gradient);
    return new LayerColumns(
        0,
        null,
        options.tensorParallel() > 1 ? columns.elements() : null,
        columns.norm(),
        columns.maxAbs(),
        columns.sumAbs(),
        columns.zeros(),
        columns.nonFinite(),
        null,
        columns.signals());
  }

  private static LayerColumns beside(
      LayerColumns columns,
      float[] weights,
      float[] updates,
      float[] dotPrevious,
      float[] dotReduced,
      long[] activations,
      long[] saturated) {
    SignalColumns own = columns.signals();
    return columns.with(
        new SignalColumns(
            own == null ? null : own.sum(),
            own == null ? null : own.subnormals(),
            own == null ? null : own.minNonzeroAbs(),
            weights,
            updates,
            dotPrevious,
            dotReduced,
            activations,
            saturated,
            own == null ? null : own.contentHash(),
            null,
            null));
  }

  private Shard shard(
      Stream lane, ZooStep step, StepId id, int rank, Stage stage, LayerColumns columns) {
    int parts = options.tensorParallel();
    Clip clip =
        Double.isNaN(step.clipNorm())
            ? null
            : new Clip(Clip.GLOBAL_NORM, step.clipNorm(), step.clipCoefficients()[rank]);
    return new Shard(
        id,
        rank,
        parts == 1 ? new int[] {rank} : new int[] {rank / parts, rank % parts},
        0,
        1,
        lane.manifest.manifestId(),
        stage,
        lane.lastStep,
        0,
        1,
        now,
        sequence++,
        0,
        step.samples()[rank],
        step.lossScale() == 1 ? null : step.lossScale(),
        step.skipped(),
        clip,
        step.reportedNorm()[rank],
        step.losses()[rank],
        null,
        new double[] {step.learningRate()},
        "node-" + rank / 8,
        "cuda:" + rank % 8,
        columns,
        null);
  }

  private Manifest manifest(ZooStep step) {
    int parts = options.tensorParallel();
    String dtype = options.scaling() == null ? "float32" : "float16";
    List<Parameter> own = parameters.get(step.stream());
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < own.size(); i++) {
      Parameter parameter = own.get(i);
      layers.add(
          new Layer(
              parameter.name(),
              parameter.block(),
              parameter.depth(),
              parameter.kind(),
              parameter.elements(),
              dtype,
              step.trainable()[i],
              parameter.sparse(),
              parameter.zeroInit(),
              null,
              parts == 1
                  ? List.of(Placement.REPLICATE)
                  : List.of(Placement.REPLICATE, Placement.SHARD)));
    }
    int[] reducedRanks = everyReplica ? null : new int[] {0};
    return new Manifest(
            runId,
            FIRST_ATTEMPT + step.attempt(),
            streams.get(step.stream()),
            0,
            0,
            1,
            0,
            layers.size(),
            options.ranks(),
            parts == 1
                ? List.of(new MeshAxis("dp_replicate", options.ranks()))
                : List.of(
                    new MeshAxis("dp_replicate", options.ranks() / parts),
                    new MeshAxis(TENSOR_AXIS, parts)),
            List.of(
                new Reporting(Stage.LOCAL, null, options.every()),
                new Reporting(Stage.REDUCED, reducedRanks, options.every())),
            "mean",
            dtype,
            "float32",
            "float32",
            options.optimiser().label(),
            options.optimiser().adaptive() ? options.optimiser().epsilon() : null,
            layers)
        .identified();
  }

  private static float[] dots(float[][] a, float[][] b, double factor) {
    float[] dots = new float[a.length];
    for (int i = 0; i < dots.length; i++) {
      dots[i] = Measurement.held(factor * Measurement.dot(a[i], b[i]));
    }
    return dots;
  }

  private static float[][] copy(float[][] gradient) {
    return Arrays.stream(gradient).map(float[]::clone).toArray(float[][]::new);
  }
}
