package io.gradflow.core.shard;

/**
 * What slices are slices of, as far as signals depend on it. The arrays are aligned with the
 * slices.
 *
 * @param runId whose sketches these are
 * @param firstLayer the manifest's index of the first slice's layer; the others follow
 * @param dtypes of the gradients as the trainer holds them: null for one that is none of these
 * @param globalOffsets index of a slice's first value in the whole layer, flattened; {@link
 *     #UNKNOWN} also of a slice that is not consecutive in it
 */
public record Slicing(String runId, int firstLayer, Dtype[] dtypes, long[] globalOffsets) {
  /** A global offset that nobody said. */
  public static final long UNKNOWN = -1;

  /** Whether the subnormals of every slice can be told. */
  boolean knowsDtypes() {
    for (Dtype dtype : dtypes) {
      if (dtype == null) {
        return false;
      }
    }
    return true;
  }
}
