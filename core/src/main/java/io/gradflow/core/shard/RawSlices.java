package io.gradflow.core.shard;

/**
 * What is known besides the columns of slices that were measured from raw values. All arrays are
 * aligned with the layers.
 *
 * @param offset where the slice begins among the elements the rank holds of the layer
 * @param squares squared L2 norm of its finite elements, as exact as a double: the columns that
 *     trainers publish are rounded to floats
 * @param sumAbs L1 norm, likewise
 */
public record RawSlices(long[] offset, double[] squares, double[] sumAbs) {}
