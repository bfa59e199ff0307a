package io.gradflow.core.shard;

import java.util.Arrays;
import java.util.Set;

/**
 * Measures gradients in one pass of plain Java: what a publisher does on the training thread before
 * the trainer overwrites them, and what becomes of raw values when they are read.
 *
 * <p>Sums run in double over four independent lanes and start anew every {@value #CHUNK} values, so
 * that neither a float's range nor one long chain of additions limits them: the relative error of a
 * sum of n values is below {@code (n / 1024 + 260) * 2^-53}, 1e-12 at eight million. Whatever does
 * not leave as a double then rounds to a float, by 6e-8. Values are read a second time only in a
 * chunk where something is not finite.
 */
public final class Measurement {
  private static final int CHUNK = 1024;

  private double squares;
  private double abs;
  private float max;
  private long zeros;
  private long nans;
  private long posInfs;
  private long negInfs;

  private Measurement() {}

  /**
   * Norms of the layers 0, 1, 2... of the given gradients, each holding its own number of elements.
   * The arrays are only read. A norm or sum beyond float's range becomes {@link Float#MAX_VALUE}.
   */
  public static LayerColumns of(float[]... layers) {
    return of(Set.of(), null, layers);
  }

  /**
   * The same, with signals beside the norms. A sum that a float cannot hold is NaN: unknown.
   *
   * @param groups which; those that are not of one gradient alone ({@link SignalGroup#WEIGHTS},
   *     {@link SignalGroup#DOTS}) are not measured here
   * @param slicing null only without groups
   */
  public static LayerColumns of(Set<SignalGroup> groups, Slicing slicing, float[]... layers) {
    int count = layers.length;
    long[] elements = new long[count];
    Measurement[] measured = new Measurement[count];
    SignalMeter meter = new SignalMeter(groups, slicing, count);
    for (int layer = 0; layer < count; layer++) {
      float[] values = layers[layer];
      elements[layer] = values.length;
      measured[layer] = new Measurement();
      meter.begin(0);
      for (int from = 0; from < values.length; from += CHUNK) {
        int to = Math.min(values.length, from + CHUNK);
        meter.add(values, from, to, measured[layer].add(values, from, to));
      }
      meter.end();
    }
    return columns(0, elements, null, measured).with(meter.columns());
  }

  /** Columns of the one slice that a block holds, in full precision, with all its signals. */
  static LayerColumns of(Block block) {
    Measurement measured = new Measurement();
    long globalOffset = block.globalOffset() == null ? Slicing.UNKNOWN : block.globalOffset();
    Slicing slicing =
        new Slicing(
            block.header().id().runId(),
            block.layer(),
            new Dtype[] {block.dtype()},
            new long[] {globalOffset});
    SignalMeter meter = new SignalMeter(SignalGroup.of(block.header().stage()), slicing, 1);
    float[] chunk = new float[CHUNK];
    meter.begin(block.offset());
    for (int from = 0; from < block.count(); from += CHUNK) {
      int size = (int) Math.min(CHUNK, block.count() - from);
      block.dtype().widen(block.values(), from, chunk, size);
      meter.add(chunk, 0, size, measured.add(chunk, 0, size));
    }
    meter.end();
    RawSlices raw =
        new RawSlices(
            new long[] {block.offset()},
            new double[] {measured.squares},
            new double[] {measured.abs});
    return columns(block.layer(), new long[] {block.count()}, raw, measured).with(meter.columns());
  }

  /** L2 norm of each array; NaN, which is unknown, of one that is not all finite. */
  public static float[] norms(float[]... layers) {
    float[] norms = new float[layers.length];
    for (int layer = 0; layer < norms.length; layer++) {
      norms[layer] = saturated(Math.sqrt(dot(layers[layer], layers[layer])));
    }
    return norms;
  }

  /**
   * Dot product of two slices, in double; NaN, which is unknown, if they differ in length or are
   * not all finite.
   */
  public static double dot(float[] a, float[] b) {
    if (a.length != b.length) {
      return Double.NaN;
    }
    double dot = 0;
    for (int from = 0; from < a.length; from += CHUNK) {
      dot += dot(a, b, from, Math.min(a.length, from + CHUNK));
    }
    return Double.isFinite(dot) ? dot : Double.NaN;
  }

  private static double dot(float[] a, float[] b, int from, int to) {
    double dot0 = 0;
    double dot1 = 0;
    double dot2 = 0;
    double dot3 = 0;
    int i = from;
    for (int end = to - 3; i < end; i += 4) {
      dot0 += (double) a[i] * b[i];
      dot1 += (double) a[i + 1] * b[i + 1];
      dot2 += (double) a[i + 2] * b[i + 2];
      dot3 += (double) a[i + 3] * b[i + 3];
    }
    for (; i < to; i++) {
      dot0 += (double) a[i] * b[i];
    }
    return (dot0 + dot1) + (dot2 + dot3);
  }

  /**
   * A number as a float: NaN, which is unknown, if a float cannot hold it to a float's precision,
   * being too large or too small.
   */
  public static float held(double value) {
    float held = (float) value;
    boolean tooSmall = Math.abs(held) < Float.MIN_NORMAL && held != value;
    return tooSmall || Float.isInfinite(held) ? Float.NaN : held;
  }

  private static LayerColumns columns(
      int firstLayer, long[] elements, RawSlices raw, Measurement... measured) {
    int count = measured.length;
    float[] norm = new float[count];
    float[] maxAbs = new float[count];
    float[] sumAbs = new float[count];
    long[] zeros = new long[count];
    for (int i = 0; i < count; i++) {
      norm[i] = saturated(Math.sqrt(measured[i].squares));
      maxAbs[i] = measured[i].max;
      sumAbs[i] = saturated(measured[i].abs);
      zeros[i] = measured[i].zeros;
    }
    return new LayerColumns(
        firstLayer,
        null,
        elements,
        norm,
        maxAbs,
        sumAbs,
        zeros,
        nonFinite(firstLayer, measured),
        raw,
        null);
  }

  private static NonFinite nonFinite(int firstLayer, Measurement... measured) {
    int[] layers = new int[measured.length];
    long[] nans = new long[measured.length];
    long[] posInfs = new long[measured.length];
    long[] negInfs = new long[measured.length];
    int bad = 0;
    for (int i = 0; i < measured.length; i++) {
      Measurement one = measured[i];
      if (one.nans + one.posInfs + one.negInfs > 0) {
        layers[bad] = firstLayer + i;
        nans[bad] = one.nans;
        posInfs[bad] = one.posInfs;
        negInfs[bad++] = one.negInfs;
      }
    }
    return bad == 0
        ? null
        : new NonFinite(
            Arrays.copyOf(layers, bad),
            Arrays.copyOf(nans, bad),
            Arrays.copyOf(posInfs, bad),
            Arrays.copyOf(negInfs, bad));
  }

  private static float saturated(double value) {
    return (float) Math.min(value, Float.MAX_VALUE);
  }

  /**
   * Adds the values from {@code from} to before {@code to}, a chunk at most, and says whether all
   * are finite.
   */
  private boolean add(float[] values, int from, int to) {
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
    int zeroCount = 0;
    int i = from;
    for (int end = to - 3; i < end; i += 4) {
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
      zeroCount +=
          (v0 == 0f ? 1 : 0) + (v1 == 0f ? 1 : 0) + (v2 == 0f ? 1 : 0) + (v3 == 0f ? 1 : 0);
    }
    for (; i < to; i++) {
      float v = Math.abs(values[i]);
      square0 += (double) v * v;
      abs0 += v;
      max0 = Math.max(max0, v);
      zeroCount += v == 0f ? 1 : 0;
    }
    double chunk = (square0 + square1) + (square2 + square3);
    // Squares of finite floats cannot overflow a double by themselves.
    if (!Double.isFinite(chunk)) {
      addFinite(values, from, to);
      return false;
    }
    squares += chunk;
    abs += (abs0 + abs1) + (abs2 + abs3);
    max = Math.max(max, Math.max(max0, max1));
    zeros += zeroCount;
    return true;
  }

  private void addFinite(float[] values, int from, int to) {
    float[] kept = new float[to - from];
    int finite = 0;
    for (int i = from; i < to; i++) {
      float value = values[i];
      if (Float.isNaN(value)) {
        nans++;
      } else if (value == Float.POSITIVE_INFINITY) {
        posInfs++;
      } else if (value == Float.NEGATIVE_INFINITY) {
        negInfs++;
      } else {
        kept[finite++] = value;
      }
    }
    add(kept, 0, finite);
  }
}
