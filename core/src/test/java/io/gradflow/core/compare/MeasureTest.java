package io.gradflow.core.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import java.util.Arrays;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

class MeasureTest {
  private static final int LAYERS = TwoSpans.LAYERS.size();
  private final Step bare = new TwoSpans(1, 0).steps(1, UnaryOperator.identity()).steps().get(0);
  private final double rms = bare.norms().rms()[2];

  @Test
  void whatAStepDoesNotCarryIsUnknown() {
    for (Measure measure :
        new Measure[] {
          Measure.SNR, Measure.COSINE, Measure.UPDATE_RATIO, Measure.TRUST_RATIO, Measure.SATURATION
        }) {
      assertThat(of(measure, bare)).as(measure.label()).isNaN();
      assertThat(of(measure, TwoSpans.with(bare, signals(null)))).as(measure.label()).isNaN();
    }
    for (RunMeasure measure : RunMeasure.values()) {
      boolean known =
          measure == RunMeasure.LOSS
              || measure == RunMeasure.BATCH
              || measure == RunMeasure.GLOBAL_NORM;
      assertThat(Double.isNaN(measure.of(bare))).as(measure.label()).isEqualTo(!known);
    }
  }

  @Test
  void ratiosAreInOctaves() {
    double[] weights = new double[LAYERS];
    Arrays.fill(weights, 8);
    Step step = TwoSpans.with(bare, signals(weights));
    assertThat(of(Measure.UPDATE_RATIO, step)).isEqualTo(-5);
    assertThat(of(Measure.TRUST_RATIO, step))
        .isCloseTo(Scale.OCTAVES.of(bare.norms().l2()[2] / 8), within(1e-12));
    assertThat(of(Measure.SNR, step)).isCloseTo(Scale.OCTAVES.of(0.6 / 0.8), within(1e-12));
    assertThat(of(Measure.COSINE, step)).isEqualTo(0.25);
    assertThat(of(Measure.SATURATION, step)).isEqualTo(12.5);
    assertThat(of(Measure.CREST, step)).isNotNaN();
  }

  private static double of(Measure measure, Step step) {
    return measure.of(new LayerReading(step, 2, TwoSpans.LAYERS.get(2), 1));
  }

  private StepSignals signals(double[] weightNorm) {
    boolean known = weightNorm != null;
    double[] mean = new double[LAYERS];
    double[] update = new double[LAYERS];
    float[] cosine = new float[LAYERS];
    float[] saturation = new float[LAYERS];
    Arrays.fill(mean, -0.6 * rms);
    Arrays.fill(update, 0.25);
    Arrays.fill(cosine, 0.25f);
    Arrays.fill(saturation, 12.5f);
    return new StepSignals(
        known ? mean : null,
        null,
        null,
        weightNorm,
        update,
        known ? cosine : null,
        null,
        null,
        null,
        known ? saturation : null,
        null,
        null,
        null,
        null,
        null);
  }
}
