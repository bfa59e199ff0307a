package io.gradflow.core.shard;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Random;
import org.junit.jupiter.api.Test;

class MeasurementTest {
  @Test
  void equalsAFloat64Reference() {
    Random random = new Random(7);
    for (int size : new int[] {0, 1, 3, 4, 5, 1023, 100_000}) {
      float[] values = new float[size];
      double squares = 0;
      double sum = 0;
      double max = 0;
      long zeros = 0;
      for (int i = 0; i < size; i++) {
        values[i] = random.nextInt(10) == 0 ? 0f : (float) (random.nextGaussian() * 1e-3);
        squares += (double) values[i] * values[i];
        sum += Math.abs((double) values[i]);
        max = Math.max(max, Math.abs(values[i]));
        zeros += values[i] == 0 ? 1 : 0;
      }
      LayerColumns columns = Measurement.of(new float[1], values);
      assertThat((double) columns.norm()[1])
          .isCloseTo(Math.sqrt(squares), within(1e-7 * Math.sqrt(squares)));
      assertThat((double) columns.sumAbs()[1]).isCloseTo(sum, within(1e-7 * sum));
      assertThat((double) columns.maxAbs()[1]).isEqualTo(max);
      assertThat(columns.zeros()[1]).isEqualTo(zeros);
      assertThat(columns.elements()).containsExactly(1, size);
      assertThat(columns.nonFinite()).isNull();
    }
  }

  @Test
  void countsWhatIsNotFiniteAndMeasuresTheRest() {
    LayerColumns columns =
        Measurement.of(
            new float[] {1, 2},
            new float[] {
              Float.NaN, 3, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, -4, Float.NaN, 0
            });
    assertThat(columns.nonFinite().layers()).containsExactly(1);
    assertThat(columns.nonFinite().nans()).containsExactly(2);
    assertThat(columns.nonFinite().posInfs()).containsExactly(1);
    assertThat(columns.nonFinite().negInfs()).containsExactly(1);
    assertThat(columns.norm()[1]).isEqualTo(5f);
    assertThat(columns.sumAbs()[1]).isEqualTo(7f);
    assertThat(columns.maxAbs()[1]).isEqualTo(4f);
    assertThat(columns.zeros()[1]).isEqualTo(1);
    assertThat(columns.elements()[1]).isEqualTo(7);
  }

  @Test
  void squaresNeitherOverflowNorUnderflow() {
    LayerColumns columns =
        Measurement.of(
            new float[] {1e30f, 1e30f},
            new float[] {1e-30f, 1e-30f},
            new float[] {Float.MAX_VALUE, Float.MAX_VALUE});
    assertThat((double) columns.norm()[0]).isCloseTo(Math.sqrt(2) * 1e30, within(1e24));
    assertThat((double) columns.norm()[1]).isCloseTo(Math.sqrt(2) * 1e-30, within(1e-36));
    assertThat(columns.norm()[2]).isEqualTo(Float.MAX_VALUE);
  }
}
