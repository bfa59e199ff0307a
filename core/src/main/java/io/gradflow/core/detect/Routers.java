package io.gradflow.core.detect;

import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/**
 * Which router decides on an expert: one in the innermost module that holds both, by the dotted
 * names of their blocks (of the layers, where blocks are unknown); of several the nearest earlier
 * one, or else the next.
 */
final class Routers {
  private Routers() {}

  /** By layer: the index of its router, -1 for all but experts and without any router. */
  static int[] of(List<Layer> layers) {
    Map<String, TreeSet<Integer>> byModule = new HashMap<>();
    for (int i = 0; i < layers.size(); i++) {
      if (layers.get(i).kind() == LayerKind.ROUTER) {
        for (String module = module(layers.get(i)); module != null; module = outer(module)) {
          byModule.computeIfAbsent(module, name -> new TreeSet<>()).add(i);
        }
      }
    }
    int[] routers = new int[layers.size()];
    Arrays.fill(routers, -1);
    for (int i = 0; i < routers.length; i++) {
      if (layers.get(i).kind() == LayerKind.EXPERT) {
        String module = module(layers.get(i));
        while (module != null && !byModule.containsKey(module)) {
          module = outer(module);
        }
        if (module != null) {
          Integer before = byModule.get(module).floor(i);
          routers[i] = before == null ? byModule.get(module).first() : before;
        }
      }
    }
    return routers;
  }

  private static String module(Layer layer) {
    return layer.block() == null ? layer.name() : layer.block();
  }

  /** The module around one; the empty name around all; null around that. */
  private static String outer(String module) {
    int dot = module.lastIndexOf('.');
    return module.isEmpty() ? null : dot < 0 ? "" : module.substring(0, dot);
  }
}
