package io.gradflow.core.norm;

/**
 * What has come of one replica of the layers that it has not completed yet.
 *
 * @param replica its index, counted over the REPLICATE dimensions of each layer's placement
 */
public record ReplicaSums(int replica, LayerSums sums) {}
