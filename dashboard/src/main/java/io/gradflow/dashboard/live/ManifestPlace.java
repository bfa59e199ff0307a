package io.gradflow.dashboard.live;

import io.gradflow.core.Hash64;
import io.gradflow.core.Origin;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import java.util.Arrays;

/**
 * Where a manifest lies in its topic, and what of it must be known without reading it.
 *
 * @param partitions, offsets of its parts in gradient-manifests; the offset of one that has not
 *     come is -1
 * @param at when its last part came, ms since the epoch
 * @param layersHash of the names and sizes of the layers of the parts that have come
 */
public record ManifestPlace(
    long manifestId,
    long attempt,
    int[] partitions,
    long[] offsets,
    long at,
    int layerCount,
    long layersHash,
    int worldSize) {

  /** The place of one part. */
  static ManifestPlace of(Manifest part, Origin origin) {
    int[] partitions = new int[part.parts()];
    partitions[part.part()] = origin.partition();
    long[] offsets = new long[part.parts()];
    Arrays.fill(offsets, -1);
    offsets[part.part()] = origin.offset();
    return new ManifestPlace(
        part.manifestId(),
        part.attempt(),
        partitions,
        offsets,
        origin.timestamp(),
        part.layerCount(),
        hash(part),
        part.worldSize());
  }

  /** The same with another part, which may be one that came before. */
  ManifestPlace with(Manifest part, Origin origin) {
    if (offsets.length != part.parts()) {
      return of(part, origin);
    }
    long[] more = offsets.clone();
    boolean fresh = more[part.part()] < 0;
    more[part.part()] = origin.offset();
    int[] where = partitions.clone();
    where[part.part()] = origin.partition();
    return new ManifestPlace(
        manifestId,
        Math.max(attempt, part.attempt()),
        where,
        more,
        Math.max(at, origin.timestamp()),
        layerCount,
        fresh ? layersHash + hash(part) : layersHash,
        worldSize);
  }

  private static long hash(Manifest part) {
    Hash64 hash = new Hash64().add((long) part.firstLayer()).add((long) part.layerCount());
    for (Layer layer : part.layers()) {
      hash.add(layer.name()).add(layer.elements());
    }
    return hash.value();
  }

  /** Whether all its parts have come. */
  public boolean isWhole() {
    for (long offset : offsets) {
      if (offset < 0) {
        return false;
      }
    }
    return true;
  }

  /** Whether both are of the same layers: cells of one are cells of the other. */
  boolean hasLayersOf(ManifestPlace other) {
    return other != null && layerCount == other.layerCount && layersHash == other.layersHash;
  }
}
