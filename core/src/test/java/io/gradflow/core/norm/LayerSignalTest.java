package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.StepId;
import java.util.List;
import org.junit.jupiter.api.Test;

class LayerSignalTest {
  /** Of layers: 4 values around a mean, constant values, zeros, an unknown one. */
  private static Step step(StepSignals signals) {
    double[] l2 = {4, 6, 0, Double.NaN};
    double[] linf = {3, 3, 0, Double.NaN};
    double[] rms = {2, 3, 0, Double.NaN};
    return new Step(
        new StepId(TestRun.RUN, TestRun.ATTEMPT, StepId.MAIN_STREAM, 0),
        1,
        0,
        1,
        0,
        1,
        ClosedBy.COMPLETE,
        false,
        1,
        1,
        new int[0],
        new int[0],
        null,
        null,
        1,
        new NormColumns(null, l2, linf, rms, l2, null, null, null, null),
        null,
        null,
        List.of(),
        signals);
  }

  private static double[] of(LayerSignal signal, StepSignals signals) {
    double[] values = new double[4];
    for (int i = 0; i < values.length; i++) {
      values[i] = signal.of(step(signals), i);
    }
    return values;
  }

  private static final StepSignals ALL =
      new StepSignals(
          new double[] {-1.2, 3, 0, Double.NaN},
          null,
          null,
          new double[] {8, 0, 5, 5},
          new double[] {0.08, 1, 0, Double.NaN},
          new float[] {-0.5f, 0.25f, Float.NaN, Float.NaN},
          null,
          null,
          null,
          new float[] {1, -2, Float.NaN, Float.NaN},
          null,
          null,
          null,
          null,
          null);

  @Test
  void eachIsWhatItsFormulaSays() {
    assertThat(of(LayerSignal.SNR, ALL)[0]).isCloseTo(0.75, within(1e-15));
    assertThat(of(LayerSignal.SNR, ALL)[1]).as("a deviation of rounding").isNaN();
    assertThat(of(LayerSignal.SNR, ALL)[2]).as("of zeros").isNaN();
    assertThat(of(LayerSignal.CREST, ALL)).containsExactly(1.5, 1, Double.NaN, Double.NaN);
    assertThat(of(LayerSignal.UPDATE_RATIO, ALL)).containsExactly(0.01, Double.NaN, 0, Double.NaN);
    assertThat(of(LayerSignal.TRUST_RATIO, ALL)).containsExactly(0.5, Double.NaN, 0, Double.NaN);
    assertThat(of(LayerSignal.COSINE, ALL)).containsExactly(-0.5, 0.25, Double.NaN, Double.NaN);
    assertThat(of(LayerSignal.SATURATION, ALL)).containsExactly(1, -2, Double.NaN, Double.NaN);
  }

  @Test
  void whatIsAbsentIsUnknown() {
    StepSignals empty =
        new StepSignals(
            null, null, null, null, null, null, null, null, null, null, null, null, null, null,
            null);
    for (LayerSignal signal : LayerSignal.values()) {
      boolean isOfNorms = signal == LayerSignal.CREST;
      assertThat(Double.isNaN(of(signal, null)[0])).as(signal.name()).isNotEqualTo(isOfNorms);
      assertThat(Double.isNaN(of(signal, empty)[0])).as(signal.name()).isNotEqualTo(isOfNorms);
    }
  }
}
