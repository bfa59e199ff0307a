package io.gradflow.core.shard;

import io.gradflow.core.signal.CountSketch;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;
import java.util.Set;

/**
 * Measures what is asked for beyond norms, slice after slice, each in pieces that stay in the
 * processor's cache.
 *
 * <p>Non-finite elements are left out everywhere but in the hash, which is of the values' bits as
 * those of float32, all NaNs as they are. With i a value's index among those that the rank holds of
 * the layer, {@code z = (i + 1) * 0x9E3779B97F4A7C15 + bits} and {@code y = (z ^ z >>> 32) *
 * 0xBF58476D1CE4E5B9}, the hash is the sum of {@code y ^ y >>> 29} modulo 2^64. So hashes of parts
 * of a slice add up to the slice's, however it is cut.
 */
final class SignalMeter {
  private static final int ZERO_ORDER = Integer.MAX_VALUE;
  private static final long BITS = 0xFFFFFFFFL;

  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;
  private static final long HASH_FACTOR = 0xBF58476D1CE4E5B9L;

  private final Set<SignalGroup> groups;
  private final Slicing slicing;

  private final float[] sums;
  private final long[] subnormals;
  private final float[] minNonzeroAbs;
  private final long[] hashes;
  private final int[] histogramOffsets;
  private int[] histogramBins = new int[0];
  private long[] histogramCounts = new long[0];
  private final int[] sketchLayers;
  private final float[] sketchValues;
  private int sketched;

  // Of the slice under way.
  private int slice = -1;
  private long elements;
  private double sum;
  private long subnormal;
  private int least;
  private final long[] slots = new long[Octaves.SLOTS];
  private final double[] sketch = new double[CountSketch.WIDTH];
  private long seed;
  private boolean sketches;
  private long start;
  private long hash;

  SignalMeter(Set<SignalGroup> groups, Slicing slicing, int slices) {
    this.groups = groups;
    this.slicing = slicing;
    boolean moments = groups.contains(SignalGroup.MOMENTS);
    this.sums = moments ? new float[slices] : null;
    this.subnormals = moments && slicing.knowsDtypes() ? new long[slices] : null;
    this.minNonzeroAbs = moments ? new float[slices] : null;
    this.hashes = groups.contains(SignalGroup.HASH) ? new long[slices] : null;
    this.histogramOffsets = groups.contains(SignalGroup.HISTOGRAM) ? new int[slices + 1] : null;
    int rows = groups.contains(SignalGroup.SKETCH) ? slices : 0;
    this.sketchLayers = new int[rows];
    this.sketchValues = new float[rows * CountSketch.WIDTH];
  }

  /**
   * Goes on to the next slice.
   *
   * @param firstIndex of its first value, among those that the rank holds of the layer
   */
  void begin(long firstIndex) {
    slice++;
    start = firstIndex;
    hash = 0;
    elements = 0;
    sum = 0;
    subnormal = 0;
    least = ZERO_ORDER;
    Arrays.fill(slots, 0);
    Arrays.fill(sketch, 0);
    sketches =
        groups.contains(SignalGroup.SKETCH) && slicing.globalOffsets()[slice] != Slicing.UNKNOWN;
    seed = sketches ? CountSketch.seed(slicing.runId(), slicing.firstLayer() + slice) : 0;
  }

  /** Adds the slice's next values, from {@code from} to before {@code to}. */
  void add(float[] values, int from, int to, boolean finite) {
    if (hashes != null) {
      addToHash(values, from, to);
    }
    if (finite) {
      addFinite(values, from, to);
    } else {
      addFinite(finite(values, from, to), 0, to - from);
    }
    elements += to - from;
  }

  private static float[] finite(float[] values, int from, int to) {
    float[] kept = Arrays.copyOfRange(values, from, to);
    for (int i = 0; i < kept.length; i++) {
      kept[i] = Float.isFinite(kept[i]) ? kept[i] : 0;
    }
    return kept;
  }

  private void addFinite(float[] values, int from, int to) {
    if (sums != null) {
      addToMoments(values, from, to);
    }
    if (histogramOffsets != null) {
      Octaves.count(values, from, to, slots);
    }
    if (sketches) {
      long first = slicing.globalOffsets()[slice] + elements;
      CountSketch.add(sketch, seed, first, values, from, to);
    }
  }

  private void addToMoments(float[] values, int from, int to) {
    double sum0 = 0;
    double sum1 = 0;
    double sum2 = 0;
    double sum3 = 0;
    int least0 = ZERO_ORDER;
    int least1 = ZERO_ORDER;
    int i = from;
    for (int end = to - 3; i < end; i += 4) {
      sum0 += values[i];
      sum1 += values[i + 1];
      sum2 += values[i + 2];
      sum3 += values[i + 3];
      least0 = Math.min(least0, Math.min(order(values[i]), order(values[i + 1])));
      least1 = Math.min(least1, Math.min(order(values[i + 2]), order(values[i + 3])));
    }
    for (; i < to; i++) {
      sum0 += values[i];
      least0 = Math.min(least0, order(values[i]));
    }
    sum += (sum0 + sum1) + (sum2 + sum3);
    int leastHere = Math.min(least0, least1);
    least = Math.min(least, leastHere);
    Dtype dtype = slicing.dtypes()[slice];
    if (dtype != null && leastHere < order(dtype.leastNormal())) {
      for (int k = from; k < to; k++) {
        subnormal += order(values[k]) < order(dtype.leastNormal()) ? 1 : 0;
      }
    }
  }

  /** Orders values by their magnitude, as a float's bits do, but zero behind all others. */
  private static int order(float value) {
    return (Float.floatToRawIntBits(value) << 1) + ZERO_ORDER;
  }

  private static float magnitude(int order) {
    return order == ZERO_ORDER ? 0 : Float.intBitsToFloat((order - ZERO_ORDER) >>> 1);
  }

  private void addToHash(float[] values, int from, int to) {
    long place = (start + elements + 1) * GOLDEN_GAMMA;
    for (int i = from; i < to; i++, place += GOLDEN_GAMMA) {
      long z = place + (Float.floatToRawIntBits(values[i]) & BITS);
      long y = (z ^ z >>> 32) * HASH_FACTOR;
      hash += y ^ y >>> 29;
    }
  }

  /** Ends the slice. */
  void end() {
    if (sums != null) {
      sums[slice] = Measurement.held(sum);
      minNonzeroAbs[slice] = magnitude(least);
    }
    if (subnormals != null) {
      subnormals[slice] = subnormal;
    }
    if (hashes != null) {
      hashes[slice] = hash;
    }
    if (histogramOffsets != null) {
      endHistogram();
    }
    if (sketches) {
      endSketch();
    }
  }

  private void endHistogram() {
    Octaves row = Octaves.ofSlots(slots);
    int from = histogramOffsets[slice];
    int to = from + row.bins().length;
    if (to > histogramBins.length) {
      histogramBins = Arrays.copyOf(histogramBins, 2 * to);
      histogramCounts = Arrays.copyOf(histogramCounts, 2 * to);
    }
    System.arraycopy(row.bins(), 0, histogramBins, from, to - from);
    System.arraycopy(row.counts(), 0, histogramCounts, from, to - from);
    histogramOffsets[slice + 1] = to;
  }

  private void endSketch() {
    int at = sketched * CountSketch.WIDTH;
    for (double bucket : sketch) {
      if (Math.abs(bucket) > Float.MAX_VALUE) {
        return;
      }
      sketchValues[at++] = (float) bucket;
    }
    sketchLayers[sketched++] = slicing.firstLayer() + slice;
  }

  /** What all slices have yielded; null if nothing was asked for. */
  SignalColumns columns() {
    Histograms histograms = null;
    if (histogramOffsets != null) {
      int size = histogramOffsets[slice + 1];
      histograms =
          new Histograms(
              histogramOffsets,
              Arrays.copyOf(histogramBins, size),
              Arrays.copyOf(histogramCounts, size));
    }
    Sketches rows = null;
    if (sketched > 0) {
      rows =
          new Sketches(
              Arrays.copyOf(sketchLayers, sketched),
              CountSketch.WIDTH,
              Arrays.copyOf(sketchValues, sketched * CountSketch.WIDTH));
    }
    boolean any = sums != null || hashes != null || histograms != null || rows != null;
    return any
        ? new SignalColumns(
            sums,
            subnormals,
            minNonzeroAbs,
            null,
            null,
            null,
            null,
            null,
            null,
            hashes,
            histograms,
            rows)
        : null;
  }
}
