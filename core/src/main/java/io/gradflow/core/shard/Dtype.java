package io.gradflow.core.shard;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * The number formats of raw values. Each holds a subset of the floats, so that widening is exact.
 */
public enum Dtype {
  /** IEEE 754 binary32. */
  FLOAT32(0, "float32", Float.BYTES, Float.MIN_NORMAL) {
    @Override
    void widen(ByteBuffer values, float[] into, int count) {
      values.asFloatBuffer().get(into, 0, count);
    }
  },

  /** IEEE 754 binary16: 5 bits of exponent, 10 of fraction. */
  FLOAT16(1, "float16", Short.BYTES, 0x1p-14f) {
    @Override
    void widen(ByteBuffer values, float[] into, int count) {
      for (int i = 0, at = values.position(); i < count; i++, at += Short.BYTES) {
        into[i] = ofFloat16(values.getShort(at));
      }
    }
  },

  /** The upper half of a binary32. */
  BFLOAT16(2, "bfloat16", Short.BYTES, Float.MIN_NORMAL) {
    @Override
    void widen(ByteBuffer values, float[] into, int count) {
      for (int i = 0, at = values.position(); i < count; i++, at += Short.BYTES) {
        into[i] = Float.intBitsToFloat(values.getShort(at) << 16);
      }
    }
  };

  private final int code;
  private final String word;
  private final int width;
  private final float leastNormal;

  /**
   * @param code of the dtype in the state of running jobs: frozen
   */
  Dtype(int code, String word, int width, float leastNormal) {
    this.code = code;
    this.word = word;
    this.width = width;
    this.leastNormal = leastNormal;
  }

  /** The name on the wire, e.g. {@code bfloat16}. */
  public String word() {
    return word;
  }

  /** The dtype of that name; null if it is none of these. */
  public static Dtype of(String word) {
    for (Dtype dtype : values()) {
      if (dtype.word.equals(word)) {
        return dtype;
      }
    }
    return null;
  }

  /** The code of the dtype of that name, -1 if it is none of these. */
  static int codeOf(String word) {
    Dtype dtype = of(word);
    return dtype == null ? -1 : dtype.code;
  }

  /** The dtype of that code; null if it is none of these. */
  static Dtype ofCode(int code) {
    for (Dtype dtype : values()) {
      if (dtype.code == code) {
        return dtype;
      }
    }
    return null;
  }

  /** The smallest magnitude that is not subnormal. */
  float leastNormal() {
    return leastNormal;
  }

  /** Bytes of one value. */
  public int width() {
    return width;
  }

  /**
   * The values from {@code first} on, as floats: {@code count} of them, to the start of {@code
   * into}.
   *
   * @param values little-endian
   */
  void widen(byte[] values, int first, float[] into, int count) {
    widen(
        ByteBuffer.wrap(values, first * width, count * width).order(ByteOrder.LITTLE_ENDIAN),
        into,
        count);
  }

  abstract void widen(ByteBuffer values, float[] into, int count);

  private static float ofFloat16(short bits) {
    int sign = (bits & 0x8000) << 16;
    int exponent = (bits >>> 10) & 0x1F;
    int fraction = bits & 0x3FF;
    if (exponent == 0) {
      // Zero and subnormals: multiples of 2^-24, the sign of zero kept.
      return (sign == 0 ? 0x1p-24f : -0x1p-24f) * fraction;
    }
    int widened = exponent == 0x1F ? 0xFF : exponent - 15 + 127;
    return Float.intBitsToFloat(sign | widened << 23 | fraction << 13);
  }
}
