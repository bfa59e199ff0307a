package io.gradflow.core.norm;

import io.gradflow.core.shard.NonFinite;

/**
 * The norms of the layers of one step, one array per statistic, position i being layer {@code
 * firstLayer + i} of the step.
 *
 * <p>NaN stands for null: a layer with any non-finite element has no l1, l2, linf and rms (its
 * finite part is in {@code finiteL2}), and neither has a layer of which nothing was received or
 * whose placement yields no norm. Of an incomplete layer these are lower bounds; {@code l2 /
 * sqrt(completeness)} estimates the whole.
 *
 * @param l1 null where no shard carries it
 * @param rms {@code l2 / sqrt(elements received)}
 * @param finiteL2 L2 norm of the finite elements; NaN only where nothing was received or no norm
 *     follows
 * @param zeros count of exact zeros; null where no shard carries it; -1 for a layer of which
 *     nothing was received
 * @param nonFinite null when all is finite
 * @param firstNonFiniteRank aligned with {@code nonFinite.layers}: the lowest rank whose LOCAL
 *     gradient of the layer is non-finite, -1 where no LOCAL shard shows one
 * @param refusals why layers have no norm; null: all have, or release 0.1 has written it
 */
public record NormColumns(
    double[] l1,
    double[] l2,
    double[] linf,
    double[] rms,
    double[] finiteL2,
    long[] zeros,
    NonFinite nonFinite,
    int[] firstNonFiniteRank,
    Refusals refusals) {

  /** Number of layers. */
  public int size() {
    return l2.length;
  }
}
