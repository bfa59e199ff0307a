package io.gradflow.schema;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Writes Avro's binary encoding; arrays as one block. */
final class ByteWriter {
  private byte[] bytes = new byte[512];
  private int size;

  byte[] toByteArray() {
    return Arrays.copyOf(bytes, size);
  }

  void writeRaw(byte[] raw) {
    reserve(raw.length);
    System.arraycopy(raw, 0, bytes, size, raw.length);
    size += raw.length;
  }

  void writeBoolean(boolean value) {
    reserve(1);
    bytes[size++] = (byte) (value ? 1 : 0);
  }

  void writeLong(long value) {
    reserve(10);
    long zigzag = (value << 1) ^ (value >> 63);
    while ((zigzag & ~0x7FL) != 0) {
      bytes[size++] = (byte) (zigzag | 0x80);
      zigzag >>>= 7;
    }
    bytes[size++] = (byte) zigzag;
  }

  void writeFloat(float value) {
    tail(Float.BYTES).putFloat(value);
    size += Float.BYTES;
  }

  void writeDouble(double value) {
    tail(Double.BYTES).putDouble(value);
    size += Double.BYTES;
  }

  void writeBytes(byte[] value) {
    writeLong(value.length);
    writeRaw(value);
  }

  void writeString(String value) {
    writeBytes(value.getBytes(StandardCharsets.UTF_8));
  }

  /** Starts an array or map of so many items; {@link #endBlocks} after the last one. */
  void startBlock(int count) {
    if (count > 0) {
      writeLong(count);
    }
  }

  void endBlocks() {
    writeLong(0);
  }

  void writeFloats(float[] column) {
    startBlock(column.length);
    tail(column.length * Float.BYTES).asFloatBuffer().put(column);
    size += column.length * Float.BYTES;
    endBlocks();
  }

  void writeDoubles(double[] column) {
    startBlock(column.length);
    tail(column.length * Double.BYTES).asDoubleBuffer().put(column);
    size += column.length * Double.BYTES;
    endBlocks();
  }

  void writeLongs(long[] column) {
    startBlock(column.length);
    for (long value : column) {
      writeLong(value);
    }
    endBlocks();
  }

  void writeInts(int[] column) {
    startBlock(column.length);
    for (int value : column) {
      writeLong(value);
    }
    endBlocks();
  }

  private ByteBuffer tail(int count) {
    reserve(count);
    return ByteBuffer.wrap(bytes, size, count).slice().order(ByteOrder.LITTLE_ENDIAN);
  }

  private void reserve(int count) {
    if (bytes.length - size < count) {
      bytes = Arrays.copyOf(bytes, Math.max(size + count, 2 * bytes.length));
    }
  }
}
