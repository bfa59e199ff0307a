package io.gradflow.schema;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Reads Avro's binary encoding from an array that may hold anything.
 *
 * <p>Guarantees: no length is believed before it is held against the bytes that are left, and the
 * items of all arrays and maps of one record, and skipped values that take no bytes, together
 * cannot outnumber its bytes. Memory and time are therefore bounded by a small multiple of the
 * record. Whatever is wrong surfaces as {@link Malformed}.
 */
final class ByteReader {
  private static final int FIRST_GROWTH = 64;

  private final byte[] bytes;
  private final ByteBuffer buffer;
  private int position;
  private int itemsLeft;

  ByteReader(byte[] bytes, int position) {
    this.bytes = bytes;
    this.buffer = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    this.position = position;
    this.itemsLeft = bytes.length - position;
  }

  int remaining() {
    return bytes.length - position;
  }

  boolean readBoolean() {
    int b = take(1);
    if (bytes[b] != 0 && bytes[b] != 1) {
      throw Malformed.bytes("expected a boolean at byte " + b + ", got " + bytes[b]);
    }
    return bytes[b] == 1;
  }

  int readInt() {
    long value = readLong();
    if ((int) value != value) {
      throw Malformed.bytes("expected a 32-bit int before byte " + position + ", got " + value);
    }
    return (int) value;
  }

  long readLong() {
    long zigzag = 0;
    int at = position;
    for (int shift = 0; shift < 70; shift += 7) {
      if (at == bytes.length) {
        throw truncated(at, 1);
      }
      byte b = bytes[at++];
      zigzag |= (b & 0x7FL) << shift;
      if (b >= 0) {
        position = at;
        return (zigzag >>> 1) ^ -(zigzag & 1);
      }
    }
    throw Malformed.bytes("expected a number of at most 10 bytes at byte " + position);
  }

  float readFloat() {
    return buffer.getFloat(take(Float.BYTES));
  }

  double readDouble() {
    return buffer.getDouble(take(Double.BYTES));
  }

  byte[] readBytes() {
    int length = readLength();
    int from = take(length);
    return Arrays.copyOfRange(bytes, from, from + length);
  }

  String readString() {
    int length = readLength();
    return new String(bytes, take(length), length, StandardCharsets.UTF_8);
  }

  void skip(int count) {
    take(count);
  }

  void skipBytes() {
    take(readLength());
  }

  /**
   * The number of items in the next block of an array or map, 0 at its end. The caller reads as
   * many items and asks again.
   */
  int readBlock() {
    long count = readLong();
    if (count < 0) {
      // A negative count is followed by the block's size in bytes, which only skipping needs.
      count = -count;
      readLong();
    }
    if (count < 0 || count > itemsLeft) {
      throw Malformed.bytes(
          "expected at most "
              + itemsLeft
              + " array items before byte "
              + position
              + ", got "
              + count);
    }
    itemsLeft -= (int) count;
    return (int) count;
  }

  /** Counts a value that took no bytes: a short schema can nest any number of them. */
  void countEmptyValue() {
    if (itemsLeft == 0) {
      throw Malformed.bytes(
          "expected no more values without bytes than bytes, got more before byte " + position);
    }
    itemsLeft--;
  }

  float[] readFloats() {
    float[] column = new float[0];
    int size = 0;
    for (int n = readBlock(); n > 0; n = readBlock()) {
      int from = take((long) n * Float.BYTES);
      column = size == 0 ? new float[n] : grown(column, size, n);
      buffer
          .slice(from, n * Float.BYTES)
          .order(ByteOrder.LITTLE_ENDIAN)
          .asFloatBuffer()
          .get(column, size, n);
      size += n;
    }
    return size == column.length ? column : Arrays.copyOf(column, size);
  }

  double[] readDoubles() {
    double[] column = new double[0];
    int size = 0;
    for (int n = readBlock(); n > 0; n = readBlock()) {
      int from = take((long) n * Double.BYTES);
      column = size == 0 ? new double[n] : grown(column, size, n);
      buffer
          .slice(from, n * Double.BYTES)
          .order(ByteOrder.LITTLE_ENDIAN)
          .asDoubleBuffer()
          .get(column, size, n);
      size += n;
    }
    return size == column.length ? column : Arrays.copyOf(column, size);
  }

  long[] readLongs() {
    long[] column = new long[0];
    int size = 0;
    for (int n = readBlock(); n > 0; n = readBlock()) {
      column = size == 0 ? new long[n] : grown(column, size, n);
      for (int end = size + n; size < end; size++) {
        column[size] = readLong();
      }
    }
    return size == column.length ? column : Arrays.copyOf(column, size);
  }

  int[] readInts() {
    int[] column = new int[0];
    int size = 0;
    for (int n = readBlock(); n > 0; n = readBlock()) {
      column = size == 0 ? new int[n] : grown(column, size, n);
      for (int end = size + n; size < end; size++) {
        column[size] = readInt();
      }
    }
    return size == column.length ? column : Arrays.copyOf(column, size);
  }

  // An array may come in many small blocks: room doubles, so that copying stays linear.

  static int grownLength(int size, int more) {
    return Math.max(size + more, Math.max(FIRST_GROWTH, 2 * size));
  }

  private static float[] grown(float[] column, int size, int more) {
    return size + more <= column.length ? column : Arrays.copyOf(column, grownLength(size, more));
  }

  private static double[] grown(double[] column, int size, int more) {
    return size + more <= column.length ? column : Arrays.copyOf(column, grownLength(size, more));
  }

  private static long[] grown(long[] column, int size, int more) {
    return size + more <= column.length ? column : Arrays.copyOf(column, grownLength(size, more));
  }

  private static int[] grown(int[] column, int size, int more) {
    return size + more <= column.length ? column : Arrays.copyOf(column, grownLength(size, more));
  }

  private int readLength() {
    long length = readLong();
    if (length < 0) {
      throw Malformed.bytes("expected a length before byte " + position + ", got " + length);
    }
    if (length > remaining()) {
      throw truncated(position, length);
    }
    return (int) length;
  }

  /** Moves on by {@code count} bytes and returns where they start. */
  private int take(long count) {
    if (count > remaining()) {
      throw truncated(position, count);
    }
    int from = position;
    position += (int) count;
    return from;
  }

  private Malformed truncated(int at, long wanted) {
    return Malformed.bytes(
        "expected "
            + wanted
            + " more bytes at byte "
            + at
            + ", got "
            + (bytes.length - at)
            + ": truncated, or a wrong length");
  }
}
