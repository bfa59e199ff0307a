package io.gradflow.core.shard;

import java.util.Arrays;

/**
 * Measures gradients in one pass of plain Java: what a publisher does on the training thread before
 * the trainer overwrites them.
 *
 * <p>Sums run in double over four independent lanes, so that neither a float's range nor one long
 * chain of additions limits them: relative error is below 1e-12 for a tensor of a million elements,
 * and the float32 of the result rounds by 6e-8. A layer is read a second time only if something in
 * it is not finite.
 */
public final class Measurement {
  private Measurement() {}

  /**
   * Columns of the layers 0, 1, 2... of the given gradients, each holding its own number of
   * elements. The arrays are only read. A norm or sum beyond float's range becomes {@link
   * Float#MAX_VALUE}.
   */
  public static LayerColumns of(float[]... layers) {
    int count = layers.length;
    LayerColumns columns =
        new LayerColumns(
            0,
            null,
            new long[count],
            new float[count],
            new float[count],
            new float[count],
            new long[count],
            null);
    int[] badLayers = new int[count];
    long[] nans = new long[count];
    long[] posInfs = new long[count];
    long[] negInfs = new long[count];
    int bad = 0;
    for (int layer = 0; layer < count; layer++) {
      float[] values = layers[layer];
      if (!measure(values, layer, columns)) {
        badLayers[bad] = layer;
        int finite = 0;
        float[] kept = new float[values.length];
        for (float value : values) {
          if (Float.isNaN(value)) {
            nans[bad]++;
          } else if (value == Float.POSITIVE_INFINITY) {
            posInfs[bad]++;
          } else if (value == Float.NEGATIVE_INFINITY) {
            negInfs[bad]++;
          } else {
            kept[finite++] = value;
          }
        }
        bad++;
        measure(Arrays.copyOf(kept, finite), layer, columns);
      }
      columns.elements()[layer] = values.length;
    }
    if (bad == 0) {
      return columns;
    }
    NonFinite nonFinite =
        new NonFinite(
            Arrays.copyOf(badLayers, bad),
            Arrays.copyOf(nans, bad),
            Arrays.copyOf(posInfs, bad),
            Arrays.copyOf(negInfs, bad));
    return new LayerColumns(
        0,
        null,
        columns.elements(),
        columns.norm(),
        columns.maxAbs(),
        columns.sumAbs(),
        columns.zeros(),
        nonFinite);
  }

  /** False if a value is not finite: squares of floats cannot overflow a double by themselves. */
  private static boolean measure(float[] values, int layer, LayerColumns into) {
    double square0 = 0;
    double square1 = 0;
    double square2 = 0;
    double square3 = 0;
    double abs0 = 0;
    double abs1 = 0;
    double abs2 = 0;
    double abs3 = 0;
    float max0 = 0;
    float max1 = 0;
    long zeros = 0;
    int i = 0;
    for (int end = values.length - 3; i < end; i += 4) {
      float v0 = Math.abs(values[i]);
      float v1 = Math.abs(values[i + 1]);
      float v2 = Math.abs(values[i + 2]);
      float v3 = Math.abs(values[i + 3]);
      square0 += (double) v0 * v0;
      square1 += (double) v1 * v1;
      square2 += (double) v2 * v2;
      square3 += (double) v3 * v3;
      abs0 += v0;
      abs1 += v1;
      abs2 += v2;
      abs3 += v3;
      max0 = Math.max(max0, Math.max(v0, v2));
      max1 = Math.max(max1, Math.max(v1, v3));
      zeros += (v0 == 0f ? 1 : 0) + (v1 == 0f ? 1 : 0) + (v2 == 0f ? 1 : 0) + (v3 == 0f ? 1 : 0);
    }
    for (; i < values.length; i++) {
      float v = Math.abs(values[i]);
      square0 += (double) v * v;
      abs0 += v;
      max0 = Math.max(max0, v);
      zeros += v == 0f ? 1 : 0;
    }
    double squares = (square0 + square1) + (square2 + square3);
    into.norm()[layer] = saturated(Math.sqrt(squares));
    into.maxAbs()[layer] = Math.max(max0, max1);
    into.sumAbs()[layer] = saturated((abs0 + abs1) + (abs2 + abs3));
    into.zeros()[layer] = zeros;
    return Double.isFinite(squares);
  }

  private static float saturated(double value) {
    return (float) Math.min(value, Float.MAX_VALUE);
  }
}
