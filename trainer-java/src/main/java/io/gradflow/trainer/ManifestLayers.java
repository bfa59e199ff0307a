package io.gradflow.trainer;

import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Slicing;
import java.util.List;
import java.util.function.IntToLongFunction;

/**
 * What a publisher knows of the layers it refers to; nothing if it was told no more than an id.
 *
 * @param layers null: unknown
 */
record ManifestLayers(long manifestId, List<Layer> layers) {
  static final ManifestLayers NONE = new ManifestLayers(0, null);

  static ManifestLayers of(Manifest manifest) {
    return new ManifestLayers(manifest.manifestId(), manifest.layers());
  }

  /**
   * What slices of the layers 0, 1, 2... are slices of. One that has all its layer's elements
   * begins at 0, another where the trainer says.
   *
   * @param said where slices begin in their layers; null, or too short: unknown
   */
  Slicing slicing(String runId, int slices, IntToLongFunction elements, long... said) {
    Dtype[] dtypes = new Dtype[slices];
    long[] offsets = new long[slices];
    for (int i = 0; i < slices; i++) {
      boolean known = layers != null && i < layers.size();
      dtypes[i] = known ? Dtype.of(layers.get(i).dtype()) : Dtype.FLOAT32;
      boolean whole = known && layers.get(i).elements() == elements.applyAsLong(i);
      boolean isSaid = said != null && i < said.length && said[i] >= 0;
      offsets[i] = whole ? 0 : isSaid ? said[i] : Slicing.UNKNOWN;
    }
    return new Slicing(runId, 0, dtypes, offsets);
  }
}
