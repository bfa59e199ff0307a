package io.gradflow.core.shard;

/**
 * Statistics of one rank's slices of the layers of one record: one array per statistic, aligned
 * with the layer indices. An absent column is null, never zeros. All statistics are of the finite
 * elements; the others are counted in {@code nonFinite}.
 *
 * @param firstLayer index of the first layer when {@code layers} is null
 * @param layers the layer indices, ascending; null when they run from {@code firstLayer} without a
 *     gap
 * @param elements of each slice; null: what the placement implies
 * @param norm L2 norm of each slice. A float that overflows is published as {@link Float#MAX_VALUE}
 * @param maxAbs largest magnitude
 * @param sumAbs L1 norm; may be null
 * @param zeros count of exact zeros; may be null
 * @param nonFinite null when every element is finite
 * @param raw null unless the slices were measured from raw values; a layer may then have several
 *     slices of one rank, each in a record of its own
 * @param signals what is said beyond norms; null if nothing is
 */
public record LayerColumns(
    int firstLayer,
    int[] layers,
    long[] elements,
    float[] norm,
    float[] maxAbs,
    float[] sumAbs,
    long[] zeros,
    NonFinite nonFinite,
    RawSlices raw,
    SignalColumns signals) {

  /** Norms alone, as trainers publish them. */
  public LayerColumns(
      int firstLayer,
      int[] layers,
      long[] elements,
      float[] norm,
      float[] maxAbs,
      float[] sumAbs,
      long[] zeros,
      NonFinite nonFinite) {
    this(firstLayer, layers, elements, norm, maxAbs, sumAbs, zeros, nonFinite, null, null);
  }

  /** These columns with signals beside them. */
  public LayerColumns with(SignalColumns columns) {
    return new LayerColumns(
        firstLayer, layers, elements, norm, maxAbs, sumAbs, zeros, nonFinite, raw, columns);
  }

  /** Number of layers these columns speak of. */
  public int size() {
    return norm.length;
  }

  /** The manifest's index of the layer in position {@code i}. */
  public int layer(int i) {
    return layers == null ? firstLayer + i : layers[i];
  }

  /** Squared L2 norm of the slice in position {@code i}, as exact as it is known. */
  public double square(int i) {
    return raw == null ? (double) norm[i] * norm[i] : raw.squares()[i];
  }

  /** L1 norm of the slice in position {@code i}, as exact as it is known; NaN if it is not. */
  public double sumAbs(int i) {
    if (raw != null) {
      return raw.sumAbs()[i];
    }
    return sumAbs == null ? Double.NaN : sumAbs[i];
  }
}
