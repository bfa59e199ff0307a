package io.gradflow.core.signal;

import io.gradflow.core.Hash64;

/**
 * A gradient's direction in {@value #WIDTH} numbers: Charikar, Chen and Farach-Colton (2002),
 * "Finding frequent items in data streams", with one row.
 *
 * <p>Every element of a layer belongs to one of {@value #WIDTH} buckets and has a sign, both
 * decided by the run, the layer and the element's index in the whole layer; a bucket holds the
 * signed sum of its elements. So sketches are linear: those of a layer's slices add up to the
 * layer's, those of workers to their sum's, and the sketches of two steps keep the angle between
 * the gradients (see {@link Direction}).
 *
 * <p>The hash is part of the wire: trainers sketch with it too. Elements 8j to 8j + 7 take the
 * bytes of {@code mix(seed + j * 0x9E3779B97F4A7C15)}, lowest first, mix being the finaliser of
 * SplitMix64 (Steele, Lea, Flood 2014): bits 0 to 5 of a byte are the bucket, bit 6 set means
 * minus.
 */
public final class CountSketch {
  /** Buckets of a sketch. */
  public static final int WIDTH = 64;

  private static final long GOLDEN_GAMMA = 0x9E3779B97F4A7C15L;
  private static final int ELEMENTS_A_HASH = Long.BYTES;
  private static final int BUCKET = WIDTH - 1;
  private static final int SIGN = WIDTH;

  /** Moves the sign's bit to where a float has its own. */
  private static final int SIGN_SHIFT = 25;

  private CountSketch() {}

  /**
   * The seed of a layer's sketches: the same for all ranks and steps of a run under one manifest.
   */
  public static long seed(String runId, int layer) {
    return new Hash64().add(runId).add(layer).value();
  }

  /**
   * Adds the values from {@code from} to before {@code to}, which are consecutive elements of the
   * layer. Zeros change nothing; what is not finite would spoil its bucket, and is the caller's to
   * leave out, with zeros in its place.
   *
   * @param row {@value #WIDTH} sums, added to in place
   * @param seed of the layer
   * @param firstElement index in the whole layer of {@code values[from]}, not negative
   */
  public static void add(
      double[] row, long seed, long firstElement, float[] values, int from, int to) {
    long element = firstElement;
    int i = from;
    while (i < to) {
      int skipped = (int) (element % ELEMENTS_A_HASH);
      long hash = mix(seed + element / ELEMENTS_A_HASH * GOLDEN_GAMMA) >>> (skipped * Byte.SIZE);
      int end = Math.min(to, i + ELEMENTS_A_HASH - skipped);
      element += end - i;
      for (; i < end; i++, hash >>>= Byte.SIZE) {
        int bits = Float.floatToRawIntBits(values[i]) ^ ((int) hash & SIGN) << SIGN_SHIFT;
        row[(int) hash & BUCKET] += Float.intBitsToFloat(bits);
      }
    }
  }

  private static long mix(long z) {
    z = (z ^ (z >>> 30)) * 0xBF58476D1CE4E5B9L;
    z = (z ^ (z >>> 27)) * 0x94D049BB133111EBL;
    return z ^ (z >>> 31);
  }
}
