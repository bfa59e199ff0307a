package io.gradflow.dashboard.live;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.NonFinite;
import org.junit.jupiter.api.Test;

/** The 16 bits of a cell. */
class CellsTest {
  @Test
  void normsAreOctavesInStepsOfAHundredTwentyEighth() {
    assertThat(Cells.of(TestSteps.step(1, 0, 1, 1, 2, 0.5, 0, Double.NaN)))
        .containsExactly((short) 0, (short) 128, (short) -128, Cells.ZERO, Cells.NOT_RECEIVED);
    assertThat(Cells.code(Double.MAX_VALUE, 1)).isEqualTo((short) 32_000);
    assertThat(Cells.code(Double.MIN_VALUE, 1)).isEqualTo((short) -32_000);
  }

  @Test
  void anIncompleteLayerStandsForTheWhole() {
    assertThat(Cells.code(1, 0.25)).isEqualTo((short) 128);
  }

  @Test
  void nonFiniteLayersSayWhich() {
    NonFinite bad =
        new NonFinite(new int[] {3, 4}, new long[] {1, 0}, new long[] {1, 2}, new long[2]);
    assertThat(Cells.of(TestSteps.part(1, 0, 1, 1, 2, 3, bad, Double.NaN, Double.NaN, 1)))
        .containsExactly(Cells.NAN, Cells.INFINITE, (short) 0);
  }

  @Test
  void partsBecomeOneRowInAnyOrder() {
    PartRows parts = new PartRows();
    assertThat(parts.add(TestSteps.part(1, 4, 2, 1, 2, 2, null, 4), TestSteps.at(8))).isEmpty();
    assertThat(parts.firstOffset(TestSteps.RUN)).isEqualTo(8);
    StepRow row =
        parts.add(TestSteps.part(1, 4, 2, 0, 2, 0, null, 1, 2), TestSteps.at(9)).orElseThrow();
    assertThat(row.cells()).containsExactly((short) 0, (short) 128, (short) 256);
    assertThat(row.firstOffset()).isEqualTo(8);
    assertThat(row.offset()).isEqualTo(9);
    assertThat(parts.firstOffset(TestSteps.RUN)).isEqualTo(Long.MAX_VALUE);
  }

  @Test
  void bytesAreLittleEndian() {
    assertThat(Cells.bytes(new short[] {1, -2})).containsExactly(1, 0, 0xFE, 0xFF);
  }
}
