package io.gradflow.core.shard;

/**
 * Octave histograms of the magnitudes of layers, sparse: row i runs from {@code offsets[i]} to
 * before {@code offsets[i + 1]} of the two other columns. Zeros and non-finite elements are in no
 * bin; they are counted apart.
 *
 * @param offsets rows + 1, not falling
 * @param bins exponents {@code floor(log2 |g|)}, ascending in a row
 * @param counts elements in that octave, 1 or more; a first count of -1 in a row of one bin says
 *     that the layer's histogram is unknown
 */
public record Histograms(int[] offsets, int[] bins, long[] counts) {

  /** The count that marks a row as unknown: an empty row is that of a layer of zeros. */
  public static final long UNKNOWN = -1;

  /** Number of layers. */
  public int size() {
    return offsets.length - 1;
  }

  /** Whether row {@code i} says anything. */
  public boolean isKnown(int i) {
    return offsets[i] == offsets[i + 1] || counts[offsets[i]] != UNKNOWN;
  }
}
