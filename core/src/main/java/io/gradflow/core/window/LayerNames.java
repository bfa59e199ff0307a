package io.gradflow.core.window;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.Manifest;
import java.util.List;

/**
 * What windows need of a manifest's layers, by index.
 *
 * @param elements of each; null where release 0.1 has written it
 */
public record LayerNames(List<String> names, long[] elements) {
  static LayerNames of(Manifest manifest) {
    return new LayerNames(
        manifest.layers().stream().map(Layer::name).toList(),
        manifest.layers().stream().mapToLong(Layer::elements).toArray());
  }
}
