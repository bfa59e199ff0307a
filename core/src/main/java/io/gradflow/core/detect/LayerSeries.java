package io.gradflow.core.detect;

import java.util.Arrays;

/**
 * What is remembered of each layer's gradient for all detectors: its last whole value, and a short
 * tail for people to look at. Columns by layer, changed in place.
 *
 * @param wholeRms RMS at the last step with the whole layer; NaN before the first
 * @param wholeZeros zero fraction at the last step with the whole layer; NaN before the first
 * @param tailSteps the last steps, a ring: step number {@code ordinal} lies in slot {@code ordinal
 *     % 16}
 * @param tail slots x layers: log2 RMS, NaN where there was none
 */
public record LayerSeries(double[] wholeRms, double[] wholeZeros, long[] tailSteps, float[] tail) {
  static final int TAIL = 16;

  static LayerSeries of(int layers) {
    return new LayerSeries(
        filled(new double[layers]),
        filled(new double[layers]),
        new long[TAIL],
        new float[TAIL * layers]);
  }

  void remember(long ordinal, long step, double[] x) {
    int slot = (int) (ordinal % TAIL);
    tailSteps[slot] = step;
    for (int i = 0; i < x.length; i++) {
      tail[slot * x.length + i] = (float) x[i];
    }
  }

  private static double[] filled(double[] column) {
    Arrays.fill(column, Double.NaN);
    return column;
  }
}
