package io.gradflow.core.detect;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.signal.DepthProfile;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;

/**
 * A manifest's layers as columns: what detectors need to know of a layer besides its gradient. Made
 * once per manifest, immutable.
 */
public final class LayerTable {
  /** Fewer layers of a kind than this have no median worth comparing with. */
  private static final int MIN_PEERS = 4;

  /**
   * The gradient of fewer elements comes near zero whenever some of them change their sign: its
   * logarithm has no level that trends could be of.
   */
  private static final long MIN_ELEMENTS = 8;

  private static final String FLOAT16 = "float16";

  /**
   * Layers and whom they are compared with.
   *
   * @param members layers that are compared
   * @param reference layers whose median they are compared with
   */
  record Peers(int[] members, int[] reference) {}

  private final long manifestId;
  private final boolean reportsLocal;
  private final String[] names;
  private final String[] blocks;
  private final int[] depths;
  private final long[] elements;
  private final String[] dtypes;
  private final boolean float16;
  private final boolean[] mayDie;
  private final boolean[] zeroInit;
  private final boolean[] spikesByNature;
  private final boolean[] mayUnderflow;
  private final int[] routers;
  private final boolean hasRoutedExperts;
  private final double adamEps;
  private final List<Peers> peers;
  private final int[] weights;
  private final int[] weightsByDepth;
  private final List<MeshAxis> mesh;
  private final int workers;
  private final int pipelineStages;
  private final boolean averages;
  private final boolean[] optional;
  private final int[] tiedTo;
  private final boolean[] copiedAlong;
  private final boolean[] workersAlong;
  private final boolean[] recomputed;

  private LayerTable(Manifest manifest) {
    List<Layer> layers = manifest.layers();
    int size = layers.size();
    manifestId = manifest.manifestId();
    reportsLocal = manifest.reporting().stream().anyMatch(r -> r.stage() == Stage.LOCAL);
    names = new String[size];
    blocks = new String[size];
    depths = new int[size];
    elements = new long[size];
    dtypes = new String[size];
    mayDie = new boolean[size];
    zeroInit = new boolean[size];
    spikesByNature = new boolean[size];
    mayUnderflow = new boolean[size];
    optional = new boolean[size];
    tiedTo = new int[size];
    var indices = new HashMap<String, Integer>();
    layers.forEach(layer -> indices.put(layer.name(), indices.size()));
    for (int i = 0; i < size; i++) {
      Layer layer = layers.get(i);
      names[i] = layer.name();
      blocks[i] = layer.block();
      depths[i] = layer.depth() == null ? -1 : layer.depth();
      elements[i] = layer.elements();
      dtypes[i] = layer.dtype();
      mayDie[i] =
          layer.trainable()
              && !layer.sparse()
              && layer.kind() != LayerKind.EMBEDDING
              && layer.kind() != LayerKind.EXPERT;
      zeroInit[i] = layer.zeroInit();
      spikesByNature[i] =
          layer.sparse() || layer.kind() == LayerKind.EMBEDDING || layer.kind() == LayerKind.ROUTER;
      mayUnderflow[i] =
          mayDie[i] && (layer.dtype().equals("float16") || layer.dtype().startsWith("float8"));
      tiedTo[i] = layer.tiedTo() == null ? -1 : indices.getOrDefault(layer.tiedTo(), i);
      optional[i] = !layer.trainable() || layer.tiedTo() != null;
    }
    float16 = Arrays.asList(dtypes).contains(FLOAT16);
    mesh = manifest.mesh();
    workers =
        mesh.stream()
            .filter(LayerTable::isOfWorkers)
            .mapToInt(MeshAxis::size)
            .reduce(1, (a, b) -> a * b);
    pipelineStages = pipelineStages(manifest);
    copiedAlong = new boolean[mesh.size()];
    for (int axis = 0; axis < copiedAlong.length; axis++) {
      int along = axis;
      copiedAlong[axis] =
          layers.stream().allMatch(l -> l.placement().get(along) == Placement.REPLICATE);
    }
    workersAlong = new boolean[mesh.size()];
    recomputed = new boolean[size];
    for (int axis = 0; axis < workersAlong.length; axis++) {
      workersAlong[axis] = isOfWorkers(mesh.get(axis));
      for (int i = 0; i < size && !workersAlong[axis] && mesh.get(axis).size() > 1; i++) {
        recomputed[i] |= layers.get(i).placement().get(axis) == Placement.REPLICATE;
      }
    }
    averages = !manifest.reduceOp().equals("sum");
    peers = peers(layers);
    routers = Routers.of(layers);
    hasRoutedExperts = Arrays.stream(routers).anyMatch(router -> router >= 0);
    adamEps =
        manifest.adamEps() != null && isAdam(manifest.optimizer())
            ? manifest.adamEps()
            : Double.NaN;
    weights =
        IntStream.range(0, size)
            .filter(i -> layers.get(i).kind() == LayerKind.WEIGHT && layers.get(i).trainable())
            .toArray();
    weightsByDepth =
        IntStream.range(0, size)
            .filter(i -> layers.get(i).kind() == LayerKind.WEIGHT && depths[i] >= 0)
            .boxed()
            .sorted(Comparator.comparingInt(i -> depths[i]))
            .mapToInt(Integer::intValue)
            .toArray();
  }

  /**
   * The table of a whole manifest.
   *
   * @throws IllegalArgumentException if it is only a part of one
   */
  public static LayerTable of(Manifest manifest) {
    if (manifest.parts() != 1 || manifest.layers().size() != manifest.layerCount()) {
      throw new IllegalArgumentException(
          "manifest of run "
              + manifest.runId()
              + ": expected all "
              + manifest.layerCount()
              + " layers in one record, got "
              + manifest.layers().size()
              + "; join its parts first");
    }
    return new LayerTable(manifest);
  }

  /** The manifest this is made from. */
  public long manifestId() {
    return manifestId;
  }

  /** Number of layers. */
  public int size() {
    return names.length;
  }

  /** The layer's name, as the manifest has it. */
  String name(int layer) {
    return names[layer];
  }

  /** The layer's name for a sentence. */
  String label(int layer) {
    return Wording.plain(names[layer]);
  }

  /** The block the layer belongs to, for a sentence; null if unknown. */
  String block(int layer) {
    return blocks[layer] == null ? null : Wording.plain(blocks[layer]);
  }

  /** The gradient's number format for a sentence. */
  String dtype(int layer) {
    return Wording.plain(dtypes[layer]);
  }

  /** Octave at which the gradient's number format ends. */
  int overflowOctave(int layer) {
    return dtypes[layer].equals(FLOAT16) ? 16 : 128;
  }

  /** Whether any gradient is in the format that overflows soonest. */
  boolean isFloat16() {
    return float16;
  }

  /** Position in the forward order, -1 if unknown. */
  int depth(int layer) {
    return depths[layer];
  }

  long elements(int layer) {
    return elements[layer];
  }

  /** Whether the layer is large enough for its gradient to have a level. */
  boolean hasLevel(int layer) {
    return elements[layer] >= MIN_ELEMENTS;
  }

  /** Whether an all-zero gradient of this layer is a fault. */
  boolean mayDie(int layer) {
    return mayDie[layer];
  }

  boolean zeroInit(int layer) {
    return zeroInit[layer];
  }

  /** Whether single wild values of this layer's gradient are a matter of what a batch is about. */
  boolean spikesByNature(int layer) {
    return spikesByNature[layer];
  }

  /** Whether zeros in this layer's gradient may be values too small for its number format. */
  boolean mayUnderflow(int layer) {
    return mayUnderflow[layer];
  }

  /** The router that decides on this expert; -1 if the layer is none, or its router unknown. */
  int routerOf(int layer) {
    return routers[layer];
  }

  /** Whether there are experts with a known router. */
  boolean hasRoutedExperts() {
    return hasRoutedExperts;
  }

  /** What Adam adds to the root of its second moment; NaN for other optimisers. */
  double adamEps() {
    return adamEps;
  }

  /** Whether ranks publish their gradients from before the reduction. */
  boolean reportsLocal() {
    return reportsLocal;
  }

  /** Dimensions of the device mesh, slowest first. */
  List<MeshAxis> mesh() {
    return mesh;
  }

  /** Number of data-parallel workers. */
  int workers() {
    return workers;
  }

  /** Whether ranks along the dimension hold the same of every layer. */
  boolean isCopiedAlong(int axis) {
    return copiedAlong[axis];
  }

  /** What ranks have in common that compute the same part of the model, each from its own data. */
  int peersOf(int rank) {
    return coordinates(rank, workersAlong);
  }

  /** What ranks have in common that hold the same of every layer once it is reduced. */
  int holdersOf(int rank) {
    return coordinates(rank, copiedAlong);
  }

  /**
   * Whether ranks compute copies of the layer that no communication makes equal: they agree to
   * rounding only.
   */
  boolean isRecomputed(int layer) {
    return recomputed[layer];
  }

  /** A number for the rank's coordinates along all dimensions but those left out. */
  private int coordinates(int rank, boolean[] leftOut) {
    int rest = rank;
    int number = 0;
    for (int axis = leftOut.length - 1; axis >= 0; axis--) {
      int along = mesh.get(axis).size();
      number = leftOut[axis] ? number : number * along + rest % along;
      rest /= along;
    }
    return number;
  }

  private static boolean isOfWorkers(MeshAxis axis) {
    return axis.name().startsWith("dp") || axis.name().equals("cp");
  }

  /** How many manifests make up the model: more than 1 if this is of a pipeline stage alone. */
  int pipelineStages() {
    return pipelineStages;
  }

  /** Whether the reduced gradient is the mean over the workers, not their sum. */
  boolean averages() {
    return averages;
  }

  /** Whether the layer is frozen or tied to another, and no part of the global norm. */
  boolean isOptional(int layer) {
    return optional[layer];
  }

  /** The layer whose tensor this one shares; itself if that is in another manifest; -1 if none. */
  int tiedTo(int layer) {
    return tiedTo[layer];
  }

  /**
   * Every layer once, with the layers it is compared with: those of its kind, or all layers where
   * its kind has fewer than four.
   */
  List<Peers> peers() {
    return peers;
  }

  /** Whether it is a trained weight layer. */
  boolean isWeight(int layer) {
    return Arrays.binarySearch(weights, layer) >= 0;
  }

  /** Trained weight layers. */
  int[] weights() {
    return weights;
  }

  /**
   * The profile over the weight layers of known depth; null where too few are known.
   *
   * @param x log2 RMS, aligned with {@link #weightsByDepth}
   */
  DepthProfile depthProfile(double[] x) {
    return DepthProfile.of(x, Arrays.stream(weightsByDepth).map(i -> depths[i]).toArray());
  }

  /** Weight layers of known depth, from the input to the loss. */
  int[] weightsByDepth() {
    return weightsByDepth;
  }

  private static boolean isAdam(String optimizer) {
    return optimizer == null || optimizer.toLowerCase(Locale.ROOT).contains("adam");
  }

  /** All that report are of one stage: stages with layers of their own have their own manifests. */
  private static int pipelineStages(Manifest manifest) {
    int stride = 1;
    for (int axis = manifest.mesh().size() - 1; axis >= 0; axis--) {
      int size = manifest.mesh().get(axis).size();
      if (manifest.mesh().get(axis).name().equals("pp")) {
        int inner = stride;
        boolean everybody = manifest.reporting().stream().anyMatch(r -> r.ranks() == null);
        long stages =
            manifest.reporting().stream()
                .filter(r -> r.ranks() != null)
                .flatMapToInt(r -> Arrays.stream(r.ranks()))
                .map(rank -> rank / inner % size)
                .distinct()
                .count();
        return !everybody && stages == 1 ? size : 1;
      }
      stride *= size;
    }
    return 1;
  }

  private static List<Peers> peers(List<Layer> layers) {
    Map<LayerKind, List<Integer>> byKind = new EnumMap<>(LayerKind.class);
    for (int i = 0; i < layers.size(); i++) {
      byKind.computeIfAbsent(layers.get(i).kind(), kind -> new ArrayList<>()).add(i);
    }
    int[] all = IntStream.range(0, layers.size()).toArray();
    List<Peers> peers = new ArrayList<>();
    for (List<Integer> members : byKind.values()) {
      int[] indices = members.stream().mapToInt(Integer::intValue).toArray();
      peers.add(new Peers(indices, indices.length < MIN_PEERS ? all : indices));
    }
    return List.copyOf(peers);
  }
}
