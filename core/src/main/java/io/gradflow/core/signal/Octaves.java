package io.gradflow.core.signal;

import java.util.Arrays;
import java.util.OptionalInt;

/**
 * The distribution of a layer's absolute values: how many lie in each octave. Bin e counts the
 * finite values v with {@code 2^e <= |v| < 2^(e + 1)}; zeros lie below all of them and are counted
 * elsewhere. Subnormal floats have their own bins, down to {@value #LOWEST}.
 *
 * <p>Histograms of disjoint slices add up, exactly. What is asked of one is exact too where the
 * limit is a power of two ({@link #below}); a quantile is known to within its octave.
 *
 * @param bins ascending exponents of the octaves that are not empty
 * @param counts values in each
 */
public record Octaves(int[] bins, long[] counts) {
  /** The exponent of the first slot: below the least float, 2^-149. */
  public static final int LOWEST = -150;

  /** Slots of a counter, of the exponents from {@value #LOWEST} to 128. */
  public static final int SLOTS = 128 - LOWEST + 1;

  private static final int LEAST_FLOAT_EXPONENT = -149;
  private static final double LN2 = Math.log(2);

  /** A value in octaves; by how many it exceeds 1. */
  public static double log2(double value) {
    return Math.log(value) / LN2;
  }

  /** The bin of a finite value that is not zero: floor(log2 |v|). */
  public static int bin(float value) {
    int exponent = Math.getExponent(value);
    if (exponent >= Float.MIN_EXPONENT) {
      return exponent;
    }
    int fraction = Float.floatToRawIntBits(value) & 0x7FFFFF;
    return LEAST_FLOAT_EXPONENT + 31 - Integer.numberOfLeadingZeros(fraction);
  }

  /**
   * Counts the values from {@code from} to before {@code to}, without the zeros among them.
   *
   * @param values finite
   * @param slots {@value #SLOTS} counts, slot i of the exponent {@value #LOWEST} + i, added to in
   *     place
   */
  public static void count(float[] values, int from, int to, long[] slots) {
    for (int i = from; i < to; i++) {
      if (values[i] != 0) {
        slots[bin(values[i]) - LOWEST]++;
      }
    }
  }

  /** The histogram that was counted in slots. */
  public static Octaves ofSlots(long[] slots) {
    int[] bins = new int[slots.length];
    long[] counts = new long[slots.length];
    int size = 0;
    for (int slot = 0; slot < slots.length; slot++) {
      if (slots[slot] != 0) {
        bins[size] = LOWEST + slot;
        counts[size++] = slots[slot];
      }
    }
    return new Octaves(Arrays.copyOf(bins, size), Arrays.copyOf(counts, size));
  }

  /** The histogram that lies from {@code from} to before {@code to} in columns of many. */
  public static Octaves ofRow(int[] bins, long[] counts, int from, int to) {
    return new Octaves(Arrays.copyOfRange(bins, from, to), Arrays.copyOfRange(counts, from, to));
  }

  /** The histogram of both. */
  public Octaves plus(Octaves other) {
    int[] bothBins = new int[bins.length + other.bins.length];
    long[] bothCounts = new long[bothBins.length];
    int size = 0;
    int i = 0;
    int j = 0;
    while (i < bins.length || j < other.bins.length) {
      int mine = i < bins.length ? bins[i] : Integer.MAX_VALUE;
      int theirs = j < other.bins.length ? other.bins[j] : Integer.MAX_VALUE;
      bothBins[size] = Math.min(mine, theirs);
      long count = mine <= theirs ? counts[i++] : 0;
      bothCounts[size++] = count + (theirs <= mine ? other.counts[j++] : 0);
    }
    return new Octaves(Arrays.copyOf(bothBins, size), Arrays.copyOf(bothCounts, size));
  }

  /**
   * By how many octaves a loss scale has raised the gradient: its logarithm if it is a power of
   * two; empty if it is not, for then a value's new octave cannot be told from its old one.
   */
  public static OptionalInt octavesOf(double lossScale) {
    int exponent = Math.getExponent(lossScale);
    return Double.isFinite(lossScale) && lossScale == Math.scalb(1.0, exponent)
        ? OptionalInt.of(exponent)
        : OptionalInt.empty();
  }

  /** The histogram of the values times {@code 2^octaves}, which may leave a float's range. */
  public Octaves shifted(int octaves) {
    int[] moved = new int[bins.length];
    for (int i = 0; i < bins.length; i++) {
      moved[i] = bins[i] + octaves;
    }
    return new Octaves(moved, counts);
  }

  /** How many values there are, without the zeros. */
  public long total() {
    long total = 0;
    for (long count : counts) {
      total += count;
    }
    return total;
  }

  /** How many values are less than {@code 2^exponent}, without the zeros: exact. */
  public long below(int exponent) {
    long sum = 0;
    for (int i = 0; i < bins.length && bins[i] < exponent; i++) {
      sum += counts[i];
    }
    return sum;
  }

  /**
   * The p-quantile of the absolute values: the least one that at least {@code p * n} of them do not
   * exceed. The octave is the right one; inside it the values are taken to be spread evenly in
   * their logarithm, so the error is less than one octave.
   *
   * @param p in [0, 1]
   * @param zeros how many values are 0
   * @return 0 where the quantile is a zero, NaN without any value
   */
  public double quantile(double p, long zeros) {
    long values = zeros + total();
    if (values == 0) {
      return Double.NaN;
    }
    long rank = Math.max(1, (long) Math.ceil(p * values));
    long before = zeros;
    for (int i = 0; i < bins.length; i++) {
      if (rank > before && rank <= before + counts[i]) {
        return Math.scalb(Math.pow(2, (rank - before - 0.5) / counts[i]), bins[i]);
      }
      before += counts[i];
    }
    return 0;
  }
}
