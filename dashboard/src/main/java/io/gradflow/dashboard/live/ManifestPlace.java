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
 * @param firstAttempt, attempt the lowest and the highest attempt that published it
 * @param at when its last part came, ms since the epoch
 * @param layersHash of the names and sizes of the layers of the parts that have come
 * @param ranks that report under it, ascending; null if they are not given
 */
public record ManifestPlace(
    long manifestId,
    long firstAttempt,
    long attempt,
    int[] partitions,
    long[] offsets,
    long at,
    int layerCount,
    long layersHash,
    int worldSize,
    int[] ranks) {

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
        part.attempt(),
        partitions,
        offsets,
        origin.timestamp(),
        part.layerCount(),
        hash(part),
        part.worldSize(),
        ranks(part));
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
        Math.min(firstAttempt, part.attempt()),
        Math.max(attempt, part.attempt()),
        where,
        more,
        Math.max(at, origin.timestamp()),
        layerCount,
        fresh ? layersHash + hash(part) : layersHash,
        worldSize,
        ranks);
  }

  private static int[] ranks(Manifest part) {
    boolean given =
        !part.reporting().isEmpty()
            && part.reporting().stream().allMatch(one -> one.ranks() != null);
    int[] ranks =
        given
            ? part.reporting().stream()
                .flatMapToInt(one -> Arrays.stream(one.ranks()))
                .sorted()
                .distinct()
                .toArray()
            : new int[0];
    return ranks.length == 0 ? null : ranks;
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

  /** Whether an attempt may have published both. */
  boolean isOfAttemptOf(ManifestPlace other) {
    return firstAttempt <= other.attempt && other.firstAttempt <= attempt;
  }

  /** Whether the ranks of both are given, and none is of both. */
  boolean isApartFrom(ManifestPlace other) {
    if (ranks == null || other.ranks == null) {
      return false;
    }
    int i = 0;
    int j = 0;
    while (i < ranks.length && j < other.ranks.length) {
      if (ranks[i] == other.ranks[j]) {
        return false;
      }
      if (ranks[i] < other.ranks[j]) {
        i++;
      } else {
        j++;
      }
    }
    return true;
  }

  /** Whether cells of one are cells of the other. */
  boolean isSameStageAs(ManifestPlace other) {
    return manifestId == other.manifestId
        || (layerCount == other.layerCount
            && layersHash == other.layersHash
            && !isApartFrom(other));
  }
}
