package io.gradflow.core.shard;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What of a whole {@link Manifest} is needed to put shards together: no names, one class of
 * placement per layer. It fans out to the rank groups of the run.
 *
 * <p>Assumed of the mesh: the product of its sizes is the world size (no dimension at all for a
 * single rank).
 *
 * @param meshSizes per mesh dimension
 * @param dataAxes the dimensions that share out data ({@code dp*} and {@code cp}): before the
 *     reduction a layer is not split over them, whatever its placement
 * @param elements per layer, of the whole tensor
 * @param placementClass per layer: which row of {@code placements}
 * @param placements rows of one placement per mesh dimension, without repetition
 * @param optionalLayers ascending: layers that are frozen or tied to another. They need not be
 *     reported and do not enter the global norm
 * @param dtypes per layer: code of the {@link Dtype} of its gradient, -1 of any other; null of a
 *     layout made by release 0.1
 * @param depths per layer: position in the forward order of a weight, -1 of other kinds and where
 *     it is unknown; null likewise
 * @param summed gradients are summed over data-parallel ranks, not averaged
 */
public record Layout(
    String runId,
    String stream,
    long manifestId,
    int worldSize,
    int[] meshSizes,
    int[] dataAxes,
    List<Reporting> reporting,
    long[] elements,
    int[] placementClass,
    List<Placement> placements,
    int[] optionalLayers,
    int[] dtypes,
    int[] depths,
    boolean summed) {

  /** Ranks that one group holds: rank r is of group r / 64. Frozen: keys depend on it. */
  public static final int GROUP_SIZE = 64;

  /**
   * The layout of a whole manifest.
   *
   * @throws IllegalArgumentException with one sentence that says what is wrong with it
   */
  public static Layout of(Manifest manifest) {
    String who = "manifest %016x of run %s: ".formatted(manifest.manifestId(), manifest.runId());
    int[] sizes = manifest.mesh().stream().mapToInt(MeshAxis::size).toArray();
    long ranks = 1;
    for (int size : sizes) {
      expect(size >= 1 && ranks <= manifest.worldSize(), who, "mesh sizes of 1 or more", size);
      ranks *= size;
    }
    expect(manifest.worldSize() >= 1, who, "a world size of 1 or more", manifest.worldSize());
    expect(
        ranks == manifest.worldSize(),
        who,
        "mesh sizes whose product is the world size " + manifest.worldSize(),
        ranks);
    int count = manifest.layerCount();
    expect(manifest.layers().size() == count, who, count + " layers", manifest.layers().size());
    expect(!manifest.reporting().isEmpty(), who, "at least one reporting entry", "none");
    for (Reporting reporting : manifest.reporting()) {
      expect(reporting.every() >= 1, who, "a cadence of 1 or more", reporting.every());
      int previous = -1;
      for (int rank : reporting.ranks() == null ? new int[0] : reporting.ranks()) {
        expect(
            rank > previous && rank < manifest.worldSize(),
            who,
            "reporting ranks ascending and below " + manifest.worldSize(),
            rank);
        previous = rank;
      }
    }
    long[] elements = new long[count];
    int[] classes = new int[count];
    int[] optional = new int[count];
    int optionals = 0;
    Map<List<Placement>, Integer> known = new LinkedHashMap<>();
    for (int i = 0; i < count; i++) {
      Layer layer = manifest.layers().get(i);
      expect(layer.elements() >= 0, who, "0 elements or more in " + layer.name(), layer.elements());
      expect(
          layer.placement().size() == sizes.length,
          who,
          sizes.length + " placements in " + layer.name(),
          layer.placement().size());
      elements[i] = layer.elements();
      classes[i] = known.computeIfAbsent(layer.placement(), p -> known.size());
      if (!layer.trainable() || layer.tiedTo() != null) {
        optional[optionals++] = i;
      }
    }
    List<Placement> placements = new ArrayList<>();
    known.keySet().forEach(placements::addAll);
    int[] dataAxes = new int[sizes.length];
    int axes = 0;
    for (int axis = 0; axis < sizes.length; axis++) {
      String name = manifest.mesh().get(axis).name();
      if (name.startsWith("dp") || name.equals("cp")) {
        dataAxes[axes++] = axis;
      }
    }
    return new Layout(
        manifest.runId(),
        manifest.stream(),
        manifest.manifestId(),
        manifest.worldSize(),
        sizes,
        Arrays.copyOf(dataAxes, axes),
        manifest.reporting(),
        elements,
        classes,
        placements,
        Arrays.copyOf(optional, optionals),
        manifest.layers().stream().mapToInt(layer -> Dtype.codeOf(layer.dtype())).toArray(),
        manifest.layers().stream().mapToInt(Layout::weightDepth).toArray(),
        "sum".equals(manifest.reduceOp()));
  }

  private static int weightDepth(Layer layer) {
    return layer.kind() == LayerKind.WEIGHT && layer.depth() != null ? layer.depth() : -1;
  }

  private static void expect(boolean condition, String who, String expected, Object got) {
    if (!condition) {
      throw new IllegalArgumentException(who + "expected " + expected + ", got " + got);
    }
  }

  /** Number of layers. */
  public int layerCount() {
    return elements.length;
  }

  /** Number of data-parallel workers: each holds a gradient of its own before the reduction. */
  public int workers() {
    int workers = 1;
    for (int axis : dataAxes) {
      workers *= meshSizes[axis];
    }
    return workers;
  }

  /** The number format of the layer's gradient; null if it is none that is known. */
  public Dtype dtype(int layer) {
    return dtypes == null ? null : Dtype.ofCode(dtypes[layer]);
  }

  /** Number of rank groups. */
  public int groups() {
    return (worldSize + GROUP_SIZE - 1) / GROUP_SIZE;
  }

  /** The distance of two published steps, in step numbers: the densest cadence of any stage. */
  public int every() {
    return reporting.stream().mapToInt(Reporting::every).min().orElse(1);
  }

  /** The ranks of a group (bit r being rank {@code 64 group + r}) that publish the stage then. */
  public long due(Stage stage, int group, long step) {
    int first = group * GROUP_SIZE;
    int size = Math.min(GROUP_SIZE, worldSize - first);
    if (size <= 0) {
      return 0;
    }
    long due = 0;
    for (Reporting entry : reporting) {
      if (entry.stage() != stage || step % entry.every() != 0) {
        continue;
      }
      if (entry.ranks() == null) {
        due |= -1L >>> (GROUP_SIZE - size);
        continue;
      }
      int from = Arrays.binarySearch(entry.ranks(), first);
      for (int i = from < 0 ? -from - 1 : from; i < entry.ranks().length; i++) {
        int member = entry.ranks()[i] - first;
        if (member >= size) {
          break;
        }
        due |= 1L << member;
      }
    }
    return due;
  }

  /** Whether anybody publishes the stage then. */
  public boolean isDue(Stage stage, long step) {
    return reporting.stream().anyMatch(r -> r.stage() == stage && step % r.every() == 0);
  }

  /** Whether the layer need not be reported. */
  public boolean isOptional(int layer) {
    return Arrays.binarySearch(optionalLayers, layer) >= 0;
  }

  /** False if the framework leaves the layer unreduced along some dimension: no norm follows. */
  public boolean hasNorm(int layer) {
    int row = placementClass[layer] * meshSizes.length;
    return !placements.subList(row, row + meshSizes.length).contains(Placement.PARTIAL);
  }

  /** Which slice of each layer the rank at these coordinates holds. */
  public Slices slices(Stage stage, int[] coords) {
    int dimensions = meshSizes.length;
    int classes = dimensions == 0 ? 1 : placements.size() / dimensions;
    int[] replica = new int[classes];
    int[] pieces = new int[classes];
    int[] piece = new int[classes];
    for (int c = 0; c < classes; c++) {
      pieces[c] = 1;
      boolean partial = false;
      for (int axis = 0; axis < dimensions; axis++) {
        boolean whole = stage == Stage.LOCAL && Arrays.binarySearch(dataAxes, axis) >= 0;
        switch (placements.get(c * dimensions + axis)) {
          case SHARD -> {
            if (!whole) {
              pieces[c] *= meshSizes[axis];
              piece[c] = piece[c] * meshSizes[axis] + coords[axis];
            }
          }
          case REPLICATE -> replica[c] = replica[c] * meshSizes[axis] + coords[axis];
          case PARTIAL -> partial = true;
        }
      }
      if (partial) {
        replica[c] = -1;
      }
    }
    return new Slices(this, replica, pieces, piece);
  }

  /**
   * A rank's slices.
   *
   * @param replica per class of placement: which replica the slice belongs to, counted over the
   *     REPLICATE dimensions, slowest first; -1 if any dimension is PARTIAL
   * @param pieces per class: into how many slices the layer is cut
   * @param piece per class: which of them this is
   */
  public record Slices(Layout layout, int[] replica, int[] pieces, int[] piece) {
    /** The replica the slice of the layer belongs to; -1 if no norm follows from it. */
    public int replica(int layer) {
      return replica[layout.placementClass[layer]];
    }

    /** Which slice of its replica of the layer it is. */
    public int piece(int layer) {
      return piece[layout.placementClass[layer]];
    }

    /**
     * The elements of the slice as the placement implies them: equal pieces, the remainder spread
     * over the first ones. A framework that cuts differently publishes the column {@code elements}.
     */
    public long elements(int layer) {
      int c = layout.placementClass[layer];
      long whole = layout.elements[layer];
      long quotient = pieces[c] == 1 ? whole : whole / pieces[c];
      return quotient + (piece[c] < whole - quotient * pieces[c] ? 1 : 0);
    }
  }

  /** What is wrong with a shard that names this manifest, as one clause; null if nothing is. */
  public String fault(Shard shard) {
    LayerColumns columns = shard.columns();
    if (shard.rank() < 0 || shard.rank() >= worldSize) {
      return expected("a rank below the world size " + worldSize, shard.rank());
    }
    if (!shard.id().stream().equals(stream)) {
      return expected("the manifest's stream " + stream, shard.id().stream());
    }
    if (shard.id().step() < 0 || shard.id().attempt() < 0) {
      return expected("a step and attempt of 0 or more", shard.id());
    }
    if (shard.parts() < 1 || shard.part() < 0 || shard.part() >= shard.parts()) {
      return expected("a part below parts", shard.part() + " of " + shard.parts());
    }
    if (shard.accumSteps() < 1
        || shard.accumIndex() < 0
        || shard.accumIndex() >= shard.accumSteps()) {
      return expected(
          "an accumIndex below accumSteps", shard.accumIndex() + " of " + shard.accumSteps());
    }
    if (shard.parts() > MAX_INDEX || shard.accumSteps() > MAX_INDEX) {
      return expected("parts and accumSteps up to " + MAX_INDEX, shard.parts());
    }
    if (!(shard.weight() >= 0) || Double.isInfinite(shard.weight())) {
      return expected("a finite weight of 0 or more", shard.weight());
    }
    if (shard.lossScale() != null
        && (!(shard.lossScale() > 0) || Double.isInfinite(shard.lossScale()))) {
      return expected("a finite lossScale above 0", shard.lossScale());
    }
    if (shard.coords() == null || shard.coords().length != meshSizes.length) {
      return expected(meshSizes.length + " coordinates", Arrays.toString(shard.coords()));
    }
    for (int axis = 0; axis < meshSizes.length; axis++) {
      if (shard.coords()[axis] < 0 || shard.coords()[axis] >= meshSizes[axis]) {
        return expected(
            "coordinates within " + Arrays.toString(meshSizes), Arrays.toString(shard.coords()));
      }
    }
    return columns == null ? expected("columns", "none") : faultOf(columns);
  }

  /** Parts and micro-batches of one rank and step: identities are packed into a long. */
  private static final int MAX_INDEX = 1 << 24;

  private String faultOf(LayerColumns columns) {
    if (columns.norm() == null || columns.maxAbs() == null) {
      return expected("the columns norm and maxAbs", "none");
    }
    int size = columns.size();
    if (columns.maxAbs().length != size
        || (columns.layers() != null && columns.layers().length != size)
        || (columns.elements() != null && columns.elements().length != size)
        || (columns.sumAbs() != null && columns.sumAbs().length != size)
        || (columns.zeros() != null && columns.zeros().length != size)) {
      return expected("columns of one length, that of norm: " + size, "another");
    }
    if (columns.layers() == null
        && (columns.firstLayer() < 0 || columns.firstLayer() > layerCount() - size)) {
      return expected(
          "layers below " + layerCount(), columns.firstLayer() + " and " + size + " more");
    }
    int previous = -1;
    for (int i = 0; i < size; i++) {
      int layer = columns.layer(i);
      if (layer <= previous || layer >= layerCount()) {
        return expected("layers ascending and below " + layerCount(), layer);
      }
      previous = layer;
      if (!isMagnitude(columns.norm()[i])
          || !isMagnitude(columns.maxAbs()[i])
          || (columns.sumAbs() != null && !isMagnitude(columns.sumAbs()[i]))) {
        return expected("finite statistics of 0 or more", "others in layer " + layer);
      }
      if (columns.elements() != null
          && (columns.elements()[i] < 0 || columns.elements()[i] > elements[layer])) {
        return expected(
            "0 to " + elements[layer] + " elements in layer " + layer, columns.elements()[i]);
      }
      if (columns.raw() != null
          && (columns.raw().offset()[i] < 0
              || columns.raw().offset()[i] > elements[layer] - columns.elements()[i])) {
        return expected(
            "a slice within the " + elements[layer] + " elements of layer " + layer,
            columns.elements()[i] + " from " + columns.raw().offset()[i] + " on");
      }
      if (columns.zeros() != null
          && (columns.zeros()[i] < 0 || columns.zeros()[i] > elements[layer])) {
        return expected("0 to " + elements[layer] + " zeros in layer " + layer, columns.zeros()[i]);
      }
    }
    String fault = columns.signals() == null ? null : columns.signals().fault(columns);
    return fault != null || columns.nonFinite() == null ? fault : faultOf(columns.nonFinite());
  }

  private String faultOf(NonFinite bad) {
    int size = bad.layers().length;
    if (bad.nans().length != size || bad.posInfs().length != size || bad.negInfs().length != size) {
      return expected("columns of non-finite counts of one length: " + size, "another");
    }
    int previous = -1;
    for (int i = 0; i < size; i++) {
      if (bad.layers()[i] <= previous || bad.layers()[i] >= layerCount()) {
        return expected("non-finite layers ascending and below " + layerCount(), bad.layers()[i]);
      }
      previous = bad.layers()[i];
      if (bad.nans()[i] < 0 || bad.posInfs()[i] < 0 || bad.negInfs()[i] < 0) {
        return expected("non-finite counts of 0 or more", "less in layer " + previous);
      }
    }
    return null;
  }

  private static boolean isMagnitude(float value) {
    return value >= 0 && value <= Float.MAX_VALUE;
  }

  private static String expected(String expected, Object got) {
    return "expected " + expected + ", got " + got;
  }
}
