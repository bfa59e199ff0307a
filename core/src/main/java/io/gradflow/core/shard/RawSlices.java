package io.gradflow.core.shard;

/**
 * What is known besides the columns of slices that were measured from raw values. All arrays are
 * aligned with the layers.
 *
 * @param offset where the slice begins among the elements the rank holds of the layer
 * @param norm L2 norm of its finite elements, as exact as a double: a column that crosses Kafka
 *     rounds it to a float
 * @param sumAbs L1 norm, likewise
 */
public record RawSlices(long[] offset, double[] norm, double[] sumAbs) {}
