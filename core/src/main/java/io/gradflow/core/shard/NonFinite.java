package io.gradflow.core.shard;

/**
 * Counts of non-finite elements, for the layers that have any. All arrays are aligned.
 *
 * @param layers layer indices in the manifest, ascending
 */
public record NonFinite(int[] layers, long[] nans, long[] posInfs, long[] negInfs) {}
