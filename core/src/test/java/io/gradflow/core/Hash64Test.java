package io.gradflow.core;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.HashSet;
import java.util.Set;
import org.junit.jupiter.api.Test;

class Hash64Test {
  /** No two of them are alike: not in a value, its place, their number or what follows. */
  @Test
  void lanesTellColumnsApart() {
    float[] column = new float[11];
    Set<Long> hashes = new HashSet<>();
    hashes.add(new Hash64().addInLanes(column).value());
    hashes.add(new Hash64().addInLanes(new float[10]).value());
    hashes.add(new Hash64().addInLanes(column).add(0L).value());
    for (int i = 0; i < column.length; i++) {
      column[i] = 1;
      hashes.add(new Hash64().addInLanes(column).value());
      column[i] = -0f;
      hashes.add(new Hash64().addInLanes(column).value());
      column[i] = 0;
    }
    assertThat(hashes).hasSize(3 + 2 * column.length);
  }

  @Test
  void lanesOfEqualBitsAreOneWhateverTheirType() {
    long expected = new Hash64().addInLanes(new long[] {1, -2, 3, 1 << 30, 5}).value();
    assertThat(new Hash64().addInLanes(new int[] {1, -2, 3, 1 << 30, 5}).value())
        .isEqualTo(expected);
    float[] floats = new float[5];
    int[] bits = {1, -2, 3, 1 << 30, 5};
    for (int i = 0; i < bits.length; i++) {
      floats[i] = Float.intBitsToFloat(bits[i]);
    }
    // One of these is a NaN, and all NaNs are equal.
    bits[1] = Float.floatToIntBits(Float.NaN);
    assertThat(new Hash64().addInLanes(floats).value())
        .isEqualTo(new Hash64().addInLanes(bits).value());
  }
}
