package io.gradflow.core.shard;

import io.gradflow.core.Hash64;
import io.gradflow.core.signal.CountSketch;

/**
 * What a rank says of its slices beyond norms: one array per statistic, aligned with the layers of
 * the {@link LayerColumns} it belongs to. An absent column is null, never zeros; NaN in a column of
 * floats says that the value of that layer is unknown. All are of the finite elements.
 *
 * @param sum of the elements
 * @param subnormals count of subnormal elements of the layer's dtype
 * @param minNonzeroAbs smallest magnitude above zero; 0: every element is zero
 * @param weightNorm L2 norm of the slice's weights
 * @param updateNorm L2 norm of the slice's last update
 * @param dotPrevious dot product with the gradient of the step published before, as if that had
 *     been multiplied by this record's loss scale
 * @param dotReduced of a LOCAL gradient with the reduced one
 * @param activations how many the layer had in the step
 * @param saturated how many of these were saturated
 * @param contentHash 64-bit hash of the slice's bits, equal for equal replicas
 * @param histograms of the magnitudes, aligned with the layers
 * @param sketches of some of the layers
 */
public record SignalColumns(
    float[] sum,
    long[] subnormals,
    float[] minNonzeroAbs,
    float[] weightNorm,
    float[] updateNorm,
    float[] dotPrevious,
    float[] dotReduced,
    long[] activations,
    long[] saturated,
    long[] contentHash,
    Histograms histograms,
    Sketches sketches) {

  /** These columns, or null if there is none. */
  public SignalColumns orNull() {
    return equals(NOTHING) ? null : this;
  }

  private static final SignalColumns NOTHING =
      new SignalColumns(null, null, null, null, null, null, null, null, null, null, null, null);

  /** The statistic of the slice in position {@code i}; NaN where it is unknown. */
  public double value(Statistic statistic, int i) {
    return switch (statistic) {
      case SUM -> at(sum, i);
      case SUBNORMALS -> at(subnormals, i);
      case MIN_NONZERO_ABS -> at(minNonzeroAbs, i);
      case WEIGHT_SQUARES -> at(weightNorm, i) * at(weightNorm, i);
      case UPDATE_SQUARES -> at(updateNorm, i) * at(updateNorm, i);
      case DOT_PREVIOUS -> at(dotPrevious, i);
      case ACTIVATIONS -> at(activations, i);
      case SATURATED -> at(saturated, i);
    };
  }

  /** Dot product of the local with the reduced gradient in position {@code i}; NaN if unknown. */
  public double dotReduced(int i) {
    return at(dotReduced, i);
  }

  private static double at(float[] column, int i) {
    return column == null ? Double.NaN : column[i];
  }

  private static double at(long[] column, int i) {
    return column == null ? Double.NaN : column[i];
  }

  /** What the columns take in memory, roughly. */
  public long bytes() {
    long bytes = 0;
    for (float[] column :
        new float[][] {sum, minNonzeroAbs, weightNorm, updateNorm, dotPrevious, dotReduced}) {
      bytes += column == null ? 0 : 4L * column.length;
    }
    for (long[] column : new long[][] {subnormals, activations, saturated, contentHash}) {
      bytes += column == null ? 0 : 8L * column.length;
    }
    bytes += histograms == null ? 0 : 4L * histograms.offsets().length;
    bytes += histograms == null ? 0 : 12L * histograms.bins().length;
    return bytes + (sketches == null ? 0 : 4L * sketches.values().length);
  }

  void addTo(Hash64 hash) {
    for (float[] column :
        new float[][] {
          sum, minNonzeroAbs, weightNorm, updateNorm, dotPrevious, dotReduced,
        }) {
      hash.add(column);
    }
    hash.add(subnormals).add(activations).add(saturated).add(contentHash);
    if (histograms != null) {
      hash.add(histograms.offsets());
      hash.addInLanes(histograms.bins()).addInLanes(histograms.counts());
    }
    if (sketches != null) {
      hash.add(sketches.layers()).addInLanes(sketches.values());
    }
  }

  /** What is wrong with these columns beside {@code size} layers, as one clause; else null. */
  String fault(LayerColumns columns) {
    int size = columns.size();
    for (float[] column :
        new float[][] {sum, minNonzeroAbs, weightNorm, updateNorm, dotPrevious, dotReduced}) {
      if (column != null && column.length != size) {
        return "expected columns of one length, that of norm: " + size + ", got another";
      }
    }
    for (long[] column : new long[][] {subnormals, activations, saturated, contentHash}) {
      if (column != null && column.length != size) {
        return "expected columns of one length, that of norm: " + size + ", got another";
      }
    }
    if (histograms != null && histograms.size() != size) {
      return "expected histograms of " + size + " layers, got " + histograms.size();
    }
    return sketches == null ? null : fault(sketches, columns);
  }

  private static String fault(Sketches sketches, LayerColumns columns) {
    if (sketches.width() != CountSketch.WIDTH
        || sketches.values().length != sketches.layers().length * CountSketch.WIDTH) {
      return "expected "
          + CountSketch.WIDTH
          + " sums in each of "
          + sketches.layers().length
          + " sketches, got a width of "
          + sketches.width()
          + " and "
          + sketches.values().length
          + " in all";
    }
    int at = 0;
    for (int layer : sketches.layers()) {
      while (at < columns.size() && columns.layer(at) < layer) {
        at++;
      }
      if (at == columns.size() || columns.layer(at) != layer) {
        return "expected sketches of the record's layers, got one of layer " + layer;
      }
    }
    return null;
  }
}
