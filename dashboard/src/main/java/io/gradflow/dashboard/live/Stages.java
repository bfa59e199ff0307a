package io.gradflow.dashboard.live;

import io.gradflow.core.Hash64;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.IntStream;

/**
 * The layers of one model, in one order. Each stage of a pipeline publishes a manifest of its own
 * layers: manifests of one attempt whose reporting ranks are given and disjoint are stages of one
 * model, whose layers are theirs, one stage after the other in the order of their lowest rank. Any
 * other manifest is a model in itself.
 */
public final class Stages {
  /**
   * So many steps one stage may be ahead of another in gradient-steps, for those who look for the
   * records of a step.
   */
  static final int SKEW = 100;

  private final long id;
  private final List<ManifestPlace> places;
  private final int[] firstLayers;
  private final Map<Long, Integer> indices = new HashMap<>();

  private Stages(long id, List<ManifestPlace> places) {
    this.id = id;
    this.places = List.copyOf(places);
    this.firstLayers = new int[places.size() + 1];
    for (int i = 0; i < places.size(); i++) {
      firstLayers[i + 1] = firstLayers[i] + places.get(i).layerCount();
    }
  }

  /** Of a manifest of which nothing is known. */
  static Stages unknown(long manifestId) {
    Stages stages = new Stages(manifestId, List.of());
    stages.indices.put(manifestId, 0);
    return stages;
  }

  /**
   * The model that a manifest is of.
   *
   * @param manifests those known, by id; where two of them cannot both be stages, the later one is
   */
  static Stages around(long manifestId, Map<Long, ManifestPlace> manifests) {
    ManifestPlace one = manifests.get(manifestId);
    if (one == null) {
      return unknown(manifestId);
    }
    List<ManifestPlace> chosen = new ArrayList<>(List.of(one));
    manifests.values().stream()
        .filter(ManifestPlace::isWhole)
        .filter(other -> one.isWhole() && one.isOfAttemptOf(other))
        .sorted(Comparator.comparingLong(ManifestPlace::at).reversed())
        .filter(other -> chosen.stream().allMatch(other::isApartFrom))
        .forEachOrdered(chosen::add);
    if (chosen.size() > 1) {
      chosen.sort(Comparator.comparingInt(place -> place.ranks()[0]));
    }
    Stages stages = new Stages(id(chosen), chosen);
    for (ManifestPlace place : manifests.values()) {
      int at = stages.indexOf(place);
      if (at >= 0) {
        stages.indices.put(place.manifestId(), at);
      }
    }
    return stages;
  }

  private static long id(List<ManifestPlace> places) {
    if (places.size() == 1) {
      return places.get(0).manifestId();
    }
    Hash64 hash = new Hash64();
    places.forEach(place -> hash.add(place.manifestId()));
    return hash.value();
  }

  private int indexOf(ManifestPlace place) {
    for (int i = 0; i < places.size(); i++) {
      if (places.get(i).isSameStageAs(place)) {
        return i;
      }
    }
    return -1;
  }

  /** Of one stage its manifest's id, of several a hash of their ids in their order. */
  public long id() {
    return id;
  }

  /** Where the stages' manifests lie, in the order of the layers; empty if that is unknown. */
  public List<ManifestPlace> places() {
    return places;
  }

  /** Layers of the whole model; 0 if that is unknown. */
  public int layerCount() {
    return firstLayers[places.size()];
  }

  /** Whether the model comes in more than one record a step. */
  boolean isSplit() {
    return places.size() > 1;
  }

  /** How many steps records may be out of order. */
  public int skew() {
    return isSplit() ? SKEW : 0;
  }

  /** Whether steps under this manifest are steps of the model. */
  boolean has(long manifestId) {
    return indices.containsKey(manifestId);
  }

  /** Whether two manifests are of one stage. */
  boolean areOfOneStage(long one, long other) {
    Integer index = indices.get(one);
    return index != null && index.equals(indices.get(other));
  }

  /** The same model, by what is known of it now. */
  Stages by(Map<Long, ManifestPlace> manifests) {
    return around(places.isEmpty() ? id : places.get(0).manifestId(), manifests);
  }

  /** Whether all stages of another are among these, so that its steps can be shown among these. */
  boolean goesOnFrom(Stages before) {
    return before.places.isEmpty()
        ? has(before.id)
        : before.places.stream().allMatch(place -> indexOf(place) >= 0);
  }

  /** Whether its last manifest came before the last one of another. */
  boolean isOlderThan(Stages other) {
    return !places.isEmpty() && !other.places.isEmpty() && at() < other.at();
  }

  private long at() {
    return places.stream().mapToLong(ManifestPlace::at).max().orElseThrow();
  }

  /**
   * The row of a step with one more record.
   *
   * @param held what is shown of the step and attempt; null if nothing is
   * @return null if the record says nothing new: each stage has its own revisions
   */
  StepRow with(StepRow held, StepRow record) {
    Integer at = isSplit() ? indices.get(record.manifestId()) : null;
    if (at == null) {
      return held != null && held.revision() >= record.revision() ? null : record;
    }
    StepRow[] rows = held == null ? new StepRow[places.size()] : rows(held);
    if (rows[at] != null && rows[at].revision() >= record.revision()) {
      return null;
    }
    rows[at] = record;
    return joined(rows);
  }

  /** A row that was laid out otherwise; null if it stays as it is. */
  StepRow laid(StepRow row) {
    if (!isSplit() || row.manifestId() == id) {
      return null;
    }
    StepRow[] rows = rows(row);
    return Arrays.stream(rows).allMatch(Objects::isNull) ? null : joined(rows);
  }

  private StepRow[] rows(StepRow row) {
    StepRow[] rows = new StepRow[places.size()];
    for (StepRow.Stage stage : row.apart()) {
      Integer at = indices.get(stage.row().manifestId());
      if (at != null) {
        int end = stage.firstLayer() + stage.layers();
        rows[at] = stage.row().withCells(Arrays.copyOfRange(row.cells(), stage.firstLayer(), end));
      }
    }
    return rows;
  }

  private StepRow joined(StepRow[] rows) {
    short[] cells = new short[layerCount()];
    Arrays.fill(cells, Cells.NOT_RECEIVED);
    List<StepRow.Stage> stages = new ArrayList<>();
    for (int i = 0; i < rows.length; i++) {
      if (rows[i] != null) {
        int layers = Math.min(rows[i].cells().length, places.get(i).layerCount());
        System.arraycopy(rows[i].cells(), 0, cells, firstLayers[i], layers);
        stages.add(new StepRow.Stage(firstLayers[i], layers, rows[i].withCells(new short[0])));
      }
    }
    return StepRow.ofStages(id, stages, places.size(), cells);
  }

  /**
   * The manifest of the whole model: its layers, and of all else what the first stage says.
   *
   * @param stages their manifests in the order of {@link #places}
   */
  public Manifest joined(List<Manifest> stages) {
    Manifest head = stages.get(0);
    if (stages.size() == 1) {
      return head;
    }
    List<Layer> layers = new ArrayList<>();
    int deepest = -1;
    for (Manifest stage : stages) {
      int lowest = depths(stage).min().orElse(0);
      // A stage that counts its own depths begins at 0 again.
      int above = lowest > deepest ? 0 : deepest + 1 - lowest;
      stage.layers().forEach(layer -> layers.add(lowered(layer, above)));
      deepest = Math.max(deepest, depths(stage).max().orElse(-1) + above);
    }
    long attempt = stages.stream().mapToLong(Manifest::attempt).max().orElseThrow();
    return head.whole(id, attempt, layers.size(), layers);
  }

  private static IntStream depths(Manifest stage) {
    return stage.layers().stream().filter(layer -> layer.depth() != null).mapToInt(Layer::depth);
  }

  private static Layer lowered(Layer layer, int by) {
    return layer.depth() == null || by == 0
        ? layer
        : new Layer(
            layer.name(),
            layer.block(),
            layer.depth() + by,
            layer.kind(),
            layer.elements(),
            layer.dtype(),
            layer.trainable(),
            layer.sparse(),
            layer.zeroInit(),
            layer.tiedTo(),
            layer.placement());
  }
}
