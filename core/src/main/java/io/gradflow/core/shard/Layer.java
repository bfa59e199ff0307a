package io.gradflow.core.shard;

import java.util.List;

/**
 * One parameter tensor, under its framework's own name.
 *
 * @param block the module it belongs to, e.g. {@code decoder.3}; null if unknown
 * @param depth position in the forward order, from 0 at the input; null if unknown
 * @param elements of the whole tensor, over all shards
 * @param dtype of the gradient, e.g. {@code float32, bfloat16}
 * @param sparse most of the gradient is zero by nature (embedding rows)
 * @param zeroInit the layer starts with a zero gradient or weight by design
 * @param tiedTo name of the layer that owns the shared tensor; null if not tied
 * @param placement one entry per dimension of the manifest's mesh, for the reduced gradient
 */
public record Layer(
    String name,
    String block,
    Integer depth,
    LayerKind kind,
    long elements,
    String dtype,
    boolean trainable,
    boolean sparse,
    boolean zeroInit,
    String tiedTo,
    List<Placement> placement) {}
