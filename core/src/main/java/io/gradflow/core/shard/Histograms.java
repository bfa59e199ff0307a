package io.gradflow.core.shard;

import io.gradflow.core.signal.Octaves;
import java.util.List;

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

  /** The histograms of layers, in their order; null is unknown. */
  public static Histograms of(List<Octaves> layers) {
    List<Octaves> rows = layers.stream().map(row -> row == null ? NOT_KNOWN : row).toList();
    int[] offsets = new int[rows.size() + 1];
    for (int i = 0; i < rows.size(); i++) {
      offsets[i + 1] = offsets[i] + rows.get(i).bins().length;
    }
    int[] bins = new int[offsets[rows.size()]];
    long[] counts = new long[bins.length];
    for (int i = 0; i < rows.size(); i++) {
      Octaves row = rows.get(i);
      System.arraycopy(row.bins(), 0, bins, offsets[i], row.bins().length);
      System.arraycopy(row.counts(), 0, counts, offsets[i], row.counts().length);
    }
    return new Histograms(offsets, bins, counts);
  }

  private static final Octaves NOT_KNOWN = new Octaves(new int[1], new long[] {UNKNOWN});

  /** The histogram of the layer in position {@code i}; null if it is unknown. */
  public Octaves layer(int i) {
    return isKnown(i) ? Octaves.ofRow(bins, counts, offsets[i], offsets[i + 1]) : null;
  }
}
