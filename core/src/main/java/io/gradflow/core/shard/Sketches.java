package io.gradflow.core.shard;

/**
 * Direction sketches of some layers: rows of equal width, one after the other.
 *
 * @param layers indices in the manifest, ascending
 * @param width sums of a row; 1 or more
 * @param values layers x width
 */
public record Sketches(int[] layers, int width, float[] values) {}
