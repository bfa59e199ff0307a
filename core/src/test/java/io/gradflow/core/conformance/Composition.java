package io.gradflow.core.conformance;

import io.gradflow.core.norm.TestRun;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/**
 * How a training is laid out over its ranks and how it publishes, drawn from a seed: replicas,
 * fully sharded data parallelism, tensor, context, expert and pipeline parallelism in any mixture,
 * tied and frozen layers, accumulation, loss scales, and the forms of records.
 *
 * @param mesh slowest dimension first
 * @param models one, or one per pipeline stage
 * @param every cadence of REDUCED shards in steps; 0 if there are none
 * @param local whether LOCAL shards are published, every step
 * @param accumSteps micro-batches a step
 * @param microBatches whether those before the last are published too
 * @param form of the shards
 * @param records a rank's shard of a stage is split into at most so many
 * @param signals what columns carry beside norms
 * @param lossScales per step; null elements: none is declared
 * @param clipCoef what the published REDUCED gradients were clipped by; null if they were not
 * @param firstStep number of the first step
 * @param absent a rank that never reports, -1 if all do
 * @param bad whether one worker's gradient has an element that is no finite number
 */
record Composition(
    long seed,
    List<MeshAxis> mesh,
    List<Model> models,
    int every,
    boolean local,
    int accumSteps,
    boolean microBatches,
    Form form,
    int records,
    Set<Signal> signals,
    List<Double> lossScales,
    Double clipCoef,
    long firstStep,
    int absent,
    boolean bad) {

  private static final Placement R = Placement.REPLICATE;
  private static final Placement S = Placement.SHARD;
  private static final Placement P = Placement.PARTIAL;
  private static final int MOST_RANKS = 96;
  private static final int[] SIZES = {1, 2, 3, 7, 17, 40, 64, 101};

  /** How shards carry statistics. */
  enum Form {
    COLUMNS,
    RAW,
    /** Some ranks so, some so. */
    MIXED
  }

  /** What columns may carry beside norms. */
  enum Signal {
    SUM,
    SUBNORMALS,
    MIN_NONZERO_ABS,
    WEIGHT_NORM,
    UPDATE_NORM,
    DOT_PREVIOUS,
    DOT_REDUCED,
    ACTIVATIONS,
    CONTENT_HASH,
    HISTOGRAMS
  }

  /**
   * The layers of one manifest.
   *
   * @param pipeline the coordinate of the ranks that hold them along {@code pp}; -1: all do
   */
  record Model(TestRun run, List<Tensor> tensors, int pipeline) {}

  /** Whether ranks along the dimension see different data. */
  static boolean sharesOutData(MeshAxis axis) {
    return axis.name().startsWith("dp") || axis.name().equals("cp");
  }

  static Composition of(long seed) {
    return new Draw(seed).composition();
  }

  int worldSize() {
    return mesh.stream().mapToInt(MeshAxis::size).reduce(1, (a, b) -> a * b);
  }

  int[] coords(int rank) {
    return models.get(0).run().coords(rank);
  }

  /** Number of data-parallel workers. */
  int workers() {
    return 1 + worker(mesh.stream().mapToInt(axis -> axis.size() - 1).toArray());
  }

  /** Which of them the rank at these coordinates belongs to. */
  int worker(int[] coords) {
    int worker = 0;
    for (int axis = 0; axis < coords.length; axis++) {
      if (sharesOutData(mesh.get(axis))) {
        worker = worker * mesh.get(axis).size() + coords[axis];
      }
    }
    return worker;
  }

  /** The models of which the rank holds a part. */
  List<Model> modelsOf(int rank) {
    int[] coords = coords(rank);
    return models.stream()
        .filter(m -> m.pipeline() < 0 || coords[axis("pp")] == m.pipeline())
        .toList();
  }

  /** Numbers of the steps that are published. */
  List<Long> steps() {
    int distance = local ? 1 : every;
    return IntStream.range(0, lossScales.size())
        .mapToObj(i -> firstStep + (long) i * distance)
        .toList();
  }

  /** The step published before this one, -1 before the first. */
  long previousStep(long step) {
    int at = steps().indexOf(step);
    return at == 0 ? -1 : steps().get(at - 1);
  }

  /** What gradients of a step are multiplied by. */
  double scale(Stage stage, long step) {
    Double scale = lossScales.get(steps().indexOf(step));
    return (scale == null ? 1 : scale) * (clipCoef == null || stage == Stage.LOCAL ? 1 : clipCoef);
  }

  boolean isDue(Model model, Stage stage, int rank, long step) {
    for (Reporting reporting : model.run().manifest().reporting()) {
      if (reporting.stage() == stage
          && step % reporting.every() == 0
          && (reporting.ranks() == null || Arrays.binarySearch(reporting.ranks(), rank) >= 0)) {
        return true;
      }
    }
    return false;
  }

  /** Whether no rank leaves its REDUCED gradient to a copy of it. */
  boolean everyRankReduces() {
    int rank = worldSize() - 1;
    return modelsOf(rank).stream().allMatch(m -> isDue(m, Stage.REDUCED, rank, firstStep));
  }

  int axis(String name) {
    return axis(mesh, name);
  }

  private static int axis(List<MeshAxis> mesh, String name) {
    return IntStream.range(0, mesh.size())
        .filter(i -> mesh.get(i).name().equals(name))
        .findFirst()
        .orElse(-1);
  }

  @Override
  public String toString() {
    return "seed %d: %s; %s; %s%s; %d micro-batches%s; %s in up to %d records with %s; scales %s%s from step %d%s%s"
        .formatted(
            seed,
            mesh.stream().map(a -> a.name() + " " + a.size()).collect(Collectors.joining(" x ")),
            models.stream()
                .map(m -> (m.pipeline() < 0 ? "" : "pp " + m.pipeline() + " ") + m.tensors())
                .collect(Collectors.joining(" ")),
            every == 0 ? "" : "REDUCED every " + every,
            local ? " LOCAL" : "",
            accumSteps,
            microBatches ? " published" : "",
            form,
            records,
            signals,
            lossScales,
            clipCoef == null ? "" : ", clipped by " + clipCoef,
            firstStep,
            absent < 0 ? "" : ", rank " + absent + " absent",
            bad ? ", not finite" : "");
  }

  /** One composition being drawn. */
  private static final class Draw {
    private final long seed;
    private final Random random;
    private final List<MeshAxis> mesh;
    private final boolean fullySharded;
    private final boolean owned;
    private final Placement replicate;
    private final Placement context;
    private final Placement sequence;
    private final Tensor.Cut cut;

    Draw(long seed) {
      this.seed = seed;
      // Neighbouring seeds must not begin alike.
      random = new Random(seed * 0x9E3779B97F4A7C15L);
      mesh = mesh();
      fullySharded = !oneIn(4);
      owned = oneIn(6);
      replicate = oneIn(15) ? P : R;
      context = oneIn(2) ? S : R;
      sequence = oneIn(4) ? P : R;
      cut = any(Tensor.Cut.values());
    }

    /** True once in so many times. */
    private boolean oneIn(int times) {
      return random.nextInt(times) == 0;
    }

    private <T> T any(T[] choices) {
      return choices[random.nextInt(choices.length)];
    }

    private List<MeshAxis> mesh() {
      boolean large = oneIn(8);
      while (true) {
        List<MeshAxis> drawn = new ArrayList<>();
        int ranks = 1;
        for (String name : List.of("pp", "dp_replicate", "dp_shard", "cp", "ep", "tp")) {
          int size = oneIn(large ? 4 : 2) ? 1 : 1 + random.nextInt(4);
          ranks *= size;
          if (size > 1 || oneIn(4)) {
            drawn.add(new MeshAxis(name, size));
          }
        }
        if (ranks <= MOST_RANKS && large == ranks > 64) {
          if (oneIn(3)) {
            Collections.shuffle(drawn, random);
          }
          return drawn;
        }
      }
    }

    Composition composition() {
      int every = oneIn(8) ? 0 : oneIn(4) ? 2 : 1;
      boolean local = every == 0 || oneIn(2);
      List<Model> models = models(every, local);
      int world = mesh.stream().mapToInt(MeshAxis::size).reduce(1, (a, b) -> a * b);
      int accumSteps = oneIn(2) ? 1 : 2 + random.nextInt(3);
      List<Double> scales = new ArrayList<>();
      boolean scaled = oneIn(2);
      for (int i = 1 + random.nextInt(3); i > 0; i--) {
        scales.add(scaled ? scale() : null);
      }
      return new Composition(
          seed,
          mesh,
          models,
          every,
          local,
          accumSteps,
          accumSteps > 1 && oneIn(2),
          any(Form.values()),
          1 + random.nextInt(4),
          signals(),
          scales,
          oneIn(6) ? 1 - 0.99 * random.nextDouble() : null,
          2L * random.nextInt(500),
          oneIn(5) ? random.nextInt(world) : -1,
          oneIn(8));
    }

    private Set<Signal> signals() {
      Set<Signal> signals = EnumSet.noneOf(Signal.class);
      if (oneIn(2)) {
        for (Signal signal : Signal.values()) {
          if (random.nextInt(4) > 0) {
            signals.add(signal);
          }
        }
      }
      return signals;
    }

    private Double scale() {
      return switch (random.nextInt(4)) {
        case 0 -> 65_536.0;
        case 1 -> 0.125;
        case 2 -> 1_000.0;
        default -> Math.exp(4 * random.nextGaussian());
      };
    }

    private List<Model> models(int every, boolean local) {
      int pp = axis(mesh, "pp");
      int stages = pp < 0 ? 1 : mesh.get(pp).size();
      boolean manifestPerStage = stages > 1 && oneIn(2);
      boolean tied = oneIn(2);
      boolean unreducedTie = tied && manifestPerStage && oneIn(2);
      boolean firstReplicaReports = oneIn(5);
      int embedding = size();
      List<List<Tensor>> tensors = new ArrayList<>();
      for (int stage = 0; stage < stages; stage++) {
        int home = manifestPerStage || stages == 1 ? -1 : stage;
        List<Tensor> ofStage = new ArrayList<>();
        if (stage == 0) {
          ofStage.add(
              tensor("embedding", LayerKind.EMBEDDING, embedding, null, home, unreducedTie));
        }
        for (int block = random.nextInt(stages > 1 ? 2 : 3); block >= 0; block--) {
          String name = "stage" + stage + ".block" + block;
          ofStage.add(tensor(name + ".weight", LayerKind.WEIGHT, size(), null, home, false));
          ofStage.add(tensor(name + ".bias", LayerKind.BIAS, size(), null, home, false));
          ofStage.add(tensor(name + ".norm", LayerKind.NORM, size(), null, home, false));
          if (oneIn(2)) {
            ofStage.add(tensor(name + ".router", LayerKind.ROUTER, size(), null, home, false));
            ofStage.add(tensor(name + ".expert", LayerKind.EXPERT, size(), null, home, false));
          }
        }
        if (stage == stages - 1) {
          ofStage.add(
              tied
                  ? tensor("head", LayerKind.WEIGHT, embedding, "embedding", home, unreducedTie)
                  : tensor("head", LayerKind.WEIGHT, size(), null, home, false));
        }
        tensors.add(ofStage);
      }
      if (!manifestPerStage) {
        List<Tensor> all = tensors.stream().flatMap(List::stream).toList();
        return List.of(model(all, -1, every, local, firstReplicaReports));
      }
      return IntStream.range(0, stages)
          .mapToObj(s -> model(tensors.get(s), s, every, local, firstReplicaReports))
          .toList();
    }

    private int size() {
      return SIZES[random.nextInt(SIZES.length)];
    }

    private Tensor tensor(
        String name, LayerKind kind, int elements, String tiedTo, int stage, boolean unreduced) {
      List<Placement> placement = new ArrayList<>();
      int homeAxis = stage < 0 ? -1 : axis(mesh, "pp");
      int home = stage;
      boolean unwrapped = oneIn(6);
      for (int axis = 0; axis < mesh.size(); axis++) {
        switch (mesh.get(axis).name()) {
          case "dp_replicate" -> placement.add(replicate);
          case "dp_shard" -> {
            boolean whole = unwrapped || !fullySharded;
            placement.add(whole && !owned ? R : S);
            if (owned && homeAxis < 0) {
              homeAxis = axis;
              home = random.nextInt(mesh.get(axis).size());
            }
          }
          case "cp" -> placement.add(unwrapped ? R : context);
          case "pp" -> placement.add(unreduced ? P : stage < 0 ? R : S);
          case "ep" -> {
            placement.add(kind == LayerKind.EXPERT ? S : R);
            if (kind == LayerKind.EXPERT && homeAxis < 0 && oneIn(2)) {
              homeAxis = axis;
              home = random.nextInt(mesh.get(axis).size());
            }
          }
          default ->
              placement.add(
                  switch (kind) {
                    case NORM -> sequence;
                    case ROUTER -> R;
                    case WEIGHT -> S;
                    default -> oneIn(2) ? S : R;
                  });
        }
      }
      boolean frozen = tiedTo == null && oneIn(10);
      Layer layer =
          new Layer(
              name,
              null,
              null,
              kind,
              elements,
              "float32",
              !frozen,
              false,
              false,
              tiedTo,
              List.copyOf(placement));
      boolean reported = (!frozen && tiedTo == null) || oneIn(2);
      return new Tensor(layer, mesh, cut, random.nextInt(), homeAxis, home, reported);
    }

    private Model model(
        List<Tensor> tensors, int stage, int every, boolean local, boolean firstReplicaReports) {
      List<Layer> layers = tensors.stream().map(Tensor::layer).toList();
      TestRun plain = TestRun.of(mesh, List.of(), layers);
      int[] members =
          IntStream.range(0, plain.manifest().worldSize())
              .filter(rank -> stage < 0 || plain.coords(rank)[axis(mesh, "pp")] == stage)
              .toArray();
      int replica = axis(mesh, "dp_replicate");
      int[] reducers =
          firstReplicaReports && replica >= 0
              ? Arrays.stream(members).filter(r -> plain.coords(r)[replica] == 0).toArray()
              : members;
      List<Reporting> reporting = new ArrayList<>();
      if (every > 0) {
        reporting.add(new Reporting(Stage.REDUCED, reducers, every));
      }
      if (local) {
        reporting.add(new Reporting(Stage.LOCAL, members, 1));
      }
      return new Model(TestRun.of(mesh, reporting, layers), tensors, stage);
    }
  }
}
