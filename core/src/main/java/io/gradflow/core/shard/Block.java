package io.gradflow.core.shard;

/**
 * Raw values of a slice of one layer, as one rank has them at one step and stage.
 *
 * <p>A block to be measured is a shard whose statistics are not computed yet: it has a shard's
 * identity, is one part of all that its rank publishes of the step and stage, and merges like any
 * shard once it is {@link #measured}. Slices of one layer add up, so that a layer may be cut at
 * will.
 *
 * @param header the shard this will be, without columns (null)
 * @param layer index in the manifest
 * @param offset of the first value among the elements the rank holds of the layer
 * @param globalOffset index of the first value in the whole layer, flattened; null if unknown
 * @param count number of values
 * @param values little-endian, {@code count} times the width of the dtype in bytes
 * @param captureId the request a captured block answers; null of one to be measured
 */
public record Block(
    Shard header,
    int layer,
    long offset,
    Long globalOffset,
    long count,
    Dtype dtype,
    byte[] values,
    Purpose purpose,
    String captureId) {

  /** What a block is published for. */
  public enum Purpose {
    /** Its statistics enter the step's norms. */
    MEASURE,
    /** Evidence that was asked for; never merged. */
    CAPTURE
  }

  /** The shard of the slice's statistics; null of a block that is never merged. */
  public Shard measured() {
    return purpose == Purpose.MEASURE
        ? header.part(header.part(), header.parts(), Measurement.of(this))
        : null;
  }
}
