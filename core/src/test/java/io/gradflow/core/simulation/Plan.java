package io.gradflow.core.simulation;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * What the ranks of a training agreed on: a manifest, and by it which slice of which layer each
 * rank holds. The arithmetic is the simulation's own.
 */
final class Plan {
  /**
   * A rank's piece of a layer.
   *
   * @param replica of the layer, -1 where the framework leaves summands
   */
  record Slice(int replica, int offset, int length) {}

  final Manifest manifest;

  /** Per stage: by rank and layer. */
  private final Map<Stage, Slice[][]> slices = new EnumMap<>(Stage.class);

  private Plan(Manifest manifest) {
    this.manifest = manifest;
    for (Stage stage : Stage.values()) {
      Slice[][] of = new Slice[manifest.worldSize()][manifest.layerCount()];
      slices.put(stage, of);
      for (int rank = 0; rank < manifest.worldSize(); rank++) {
        int[] coords = coords(rank);
        for (int layer = 0; layer < manifest.layerCount(); layer++) {
          of[rank][layer] = cut(stage, coords, manifest.layers().get(layer));
        }
      }
    }
  }

  private Slice cut(Stage stage, int[] coords, Layer layer) {
    int replica = 0;
    int pieces = 1;
    int piece = 0;
    boolean summand = false;
    for (int axis = 0; axis < coords.length; axis++) {
      MeshAxis dimension = manifest.mesh().get(axis);
      boolean sharesData = dimension.name().startsWith("dp");
      switch (layer.placement().get(axis)) {
        case PARTIAL -> summand = true;
        case REPLICATE -> replica = replica * dimension.size() + coords[axis];
        case SHARD -> {
          if (stage == Stage.REDUCED || !sharesData) {
            pieces *= dimension.size();
            piece = piece * dimension.size() + coords[axis];
          }
        }
      }
    }
    int elements = (int) layer.elements();
    int least = elements / pieces;
    int longer = elements % pieces;
    int offset = piece * least + Math.min(piece, longer);
    return new Slice(summand ? -1 : replica, offset, least + (piece < longer ? 1 : 0));
  }

  Slice slice(Stage stage, int rank, int layer) {
    return slices.get(stage)[rank][layer];
  }

  /** The coordinates of a rank, the last mesh dimension running fastest. */
  int[] coords(int rank) {
    int[] coords = new int[manifest.mesh().size()];
    int rest = rank;
    for (int axis = coords.length - 1; axis >= 0; axis--) {
      coords[axis] = rest % manifest.mesh().get(axis).size();
      rest /= manifest.mesh().get(axis).size();
    }
    return coords;
  }

  boolean isDue(Stage stage, int rank, long step) {
    for (Reporting reporting : manifest.reporting()) {
      if (reporting.stage() == stage
          && step % reporting.every() == 0
          && (reporting.ranks() == null || Arrays.binarySearch(reporting.ranks(), rank) >= 0)) {
        return true;
      }
    }
    return false;
  }

  boolean isDue(Stage stage, long step) {
    return IntStream.range(0, manifest.worldSize()).anyMatch(rank -> isDue(stage, rank, step));
  }

  boolean hasNorm(int layer) {
    return !manifest.layers().get(layer).placement().contains(Placement.PARTIAL);
  }

  boolean isOptional(int layer) {
    return !manifest.layers().get(layer).trainable();
  }

  /** The plans of one attempt of one stream: more than one where stages of a pipeline publish. */
  static List<Plan> draw(Chance chance, String runId, String stream, int mostRanks, boolean calm) {
    List<MeshAxis> mesh = mesh(chance, mostRanks);
    int world = mesh.stream().mapToInt(MeshAxis::size).reduce(1, (a, b) -> a * b);
    boolean pipeline = mesh.size() == 2 && mesh.get(0).name().equals("pp");
    List<Plan> plans = new ArrayList<>();
    for (int stage = 0; stage < (pipeline ? mesh.get(0).size() : 1); stage++) {
      int[] ranks = null;
      if (pipeline) {
        int width = world / mesh.get(0).size();
        ranks = IntStream.range(stage * width, (stage + 1) * width).toArray();
      }
      plans.add(new Plan(manifest(chance, runId, stream, mesh, world, ranks, stage, calm)));
    }
    return plans;
  }

  private static Manifest manifest(
      Chance chance,
      String runId,
      String stream,
      List<MeshAxis> mesh,
      int world,
      int[] ranks,
      int pipelineStage,
      boolean calm) {
    List<Placement> common = new ArrayList<>();
    for (MeshAxis axis : mesh) {
      common.add(placement(chance, axis));
    }
    boolean mixed = chance.oneIn(3);
    int count = chance.between(1, 4);
    List<Layer> layers = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      List<Placement> own =
          mixed ? mesh.stream().map(axis -> placement(chance, axis)).toList() : common;
      layers.add(
          new Layer(
              "stage" + pipelineStage + ".layer" + i,
              null,
              pipelineStage * 10 + i,
              LayerKind.WEIGHT,
              chance.between(1, chance.oneIn(4) ? 2 * world : 9),
              "float32",
              count == 1 || !chance.oneIn(10),
              false,
              false,
              null,
              own));
    }
    return new Manifest(
            runId,
            0,
            stream,
            0,
            0,
            1,
            0,
            count,
            world,
            mesh,
            reporting(chance, world, ranks, calm),
            "mean",
            "float32",
            null,
            null,
            chance.of("adam", "sgd", "lion"),
            null,
            layers)
        .identified();
  }

  private static List<MeshAxis> mesh(Chance chance, int mostRanks) {
    int half = Math.max(1, mostRanks / 2);
    if (mostRanks > 64) {
      int world = chance.between(65, mostRanks);
      return chance.oneIn(2)
          ? List.of(new MeshAxis(chance.of("dp_replicate", "dp_shard"), world))
          : List.of(new MeshAxis("dp_replicate", 2), new MeshAxis("dp_shard", (world + 1) / 2));
    }
    return switch (chance.below(7)) {
      case 0 -> List.of();
      case 1, 2 -> List.of(new MeshAxis("dp_replicate", chance.between(1, mostRanks)));
      case 3 -> List.of(new MeshAxis("dp_shard", chance.between(1, mostRanks)));
      case 4 ->
          List.of(
              new MeshAxis("dp_replicate", 2), new MeshAxis("dp_shard", chance.between(1, half)));
      case 5 ->
          List.of(
              new MeshAxis(chance.of("dp_replicate", "dp_shard"), chance.between(1, half)),
              new MeshAxis("tp", 2));
      default ->
          List.of(
              new MeshAxis("pp", 2),
              new MeshAxis(chance.of("dp_replicate", "dp_shard"), chance.between(1, half)));
    };
  }

  private static Placement placement(Chance chance, MeshAxis axis) {
    return switch (axis.name()) {
      case "dp_replicate", "pp" -> Placement.REPLICATE;
      case "dp_shard" -> chance.oneIn(6) ? Placement.REPLICATE : Placement.SHARD;
      default ->
          chance.oneIn(8)
              ? Placement.PARTIAL
              : chance.oneIn(3) ? Placement.REPLICATE : Placement.SHARD;
    };
  }

  private static List<Reporting> reporting(Chance chance, int world, int[] ranks, boolean calm) {
    List<Reporting> reporting = new ArrayList<>();
    int every = chance.oneIn(4) ? chance.between(2, 5) : 1;
    int[] reduced = ranks;
    if (ranks == null && !calm && world > 1 && chance.oneIn(8)) {
      reduced = IntStream.range(0, world).filter(rank -> rank % 2 == 0).toArray();
    }
    reporting.add(new Reporting(Stage.REDUCED, reduced, every));
    if (chance.oneIn(3)) {
      int localEvery = chance.oneIn(2) ? every : every * chance.between(1, 3);
      reporting.add(new Reporting(Stage.LOCAL, ranks, localEvery));
    }
    return List.copyOf(reporting);
  }

  @Override
  public String toString() {
    return "%s, %d ranks, mesh %s, %d layers, %s"
        .formatted(
            StepId.MAIN_STREAM.equals(manifest.stream()) ? "main" : manifest.stream(),
            manifest.worldSize(),
            manifest.mesh().stream().map(axis -> axis.name() + " " + axis.size()).toList(),
            manifest.layerCount(),
            manifest.reporting().stream()
                .map(r -> r.stage() + " every " + r.every() + " of " + Arrays.toString(r.ranks()))
                .toList());
  }
}
