package io.gradflow.core.shard;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

/** Every 16-bit value there is, against the definition of its format. */
class DtypeTest {
  private static final int ALL = 1 << 16;

  @Test
  void everyFloat16IsWidenedExactly() {
    float[] widened = widened(Dtype.FLOAT16, allShorts());
    for (int bits = 0; bits < ALL; bits++) {
      assertBits(widened[bits], defined(bits, 5, 10));
    }
  }

  @Test
  void everyBfloat16IsWidenedExactly() {
    float[] widened = widened(Dtype.BFLOAT16, allShorts());
    for (int bits = 0; bits < ALL; bits++) {
      assertBits(widened[bits], defined(bits, 8, 7));
    }
  }

  @Test
  void float32IsLittleEndianAndAnyPartCanBeRead() {
    byte[] values =
        ByteBuffer.allocate(12)
            .order(ByteOrder.LITTLE_ENDIAN)
            .putFloat(1.5f)
            .putFloat(-Float.MIN_VALUE)
            .putFloat(Float.NEGATIVE_INFINITY)
            .array();
    float[] into = new float[2];
    Dtype.FLOAT32.widen(values, 1, into, 2);
    assertThat(into).containsExactly(-Float.MIN_VALUE, Float.NEGATIVE_INFINITY);
  }

  private static float[] widened(Dtype dtype, byte[] values) {
    float[] into = new float[ALL];
    dtype.widen(values, 0, into, ALL);
    return into;
  }

  private static byte[] allShorts() {
    ByteBuffer all = ByteBuffer.allocate(2 * ALL).order(ByteOrder.LITTLE_ENDIAN);
    for (int bits = 0; bits < ALL; bits++) {
      all.putShort((short) bits);
    }
    return all.array();
  }

  /** IEEE 754's definition of an interchange format. */
  private static double defined(int bits, int exponentBits, int fractionBits) {
    int bias = (1 << (exponentBits - 1)) - 1;
    int exponent = (bits >> fractionBits) & ((1 << exponentBits) - 1);
    double fraction = Math.scalb((double) (bits & ((1 << fractionBits) - 1)), -fractionBits);
    double magnitude;
    if (exponent == (1 << exponentBits) - 1) {
      magnitude = fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN;
    } else if (exponent == 0) {
      magnitude = Math.scalb(fraction, 1 - bias);
    } else {
      magnitude = Math.scalb(1 + fraction, exponent - bias);
    }
    return bits < ALL / 2 ? magnitude : -magnitude;
  }

  private static void assertBits(float actual, double expected) {
    assertThat(Double.doubleToLongBits(actual)).isEqualTo(Double.doubleToLongBits(expected));
  }
}
