package io.gradflow.core.window;

import io.gradflow.core.norm.LayerSignal;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Histograms;
import java.util.function.Function;

/**
 * What a window keeps of the signals of one step. A column is null where the step has none; NaN and
 * -1 are unknown. A step that the optimiser skipped has no columns: it teaches nothing.
 *
 * <p>Bytes per layer: 4 for each of the first six columns, 8 for each of the others, and 12 for
 * each octave of a histogram.
 *
 * @param loss, learningRate of the step, the rate being that of the first group; NaN: unknown
 * @param snr, crest, updateRatio, trustRatio, cosine, saturation as {@link LayerSignal}s
 * @param gradientSquare, noiseTrace, subnormals, activations, saturated, histograms as in {@link
 *     StepSignals}
 */
public record RowSignals(
    boolean skipped,
    double loss,
    double learningRate,
    float[] snr,
    float[] crest,
    float[] updateRatio,
    float[] trustRatio,
    float[] cosine,
    float[] saturation,
    double[] gradientSquare,
    double[] noiseTrace,
    long[] subnormals,
    long[] activations,
    long[] saturated,
    Histograms histograms) {

  static RowSignals of(Step step) {
    double[] rates = step.scalars() == null ? null : step.scalars().learningRates();
    Double loss = step.scalars() == null ? null : step.scalars().loss();
    return new RowSignals(
        isSkipped(step),
        loss == null ? Double.NaN : loss,
        rates == null || rates.length == 0 ? Double.NaN : rates[0],
        column(step, LayerSignal.SNR),
        column(step, LayerSignal.CREST),
        column(step, LayerSignal.UPDATE_RATIO),
        column(step, LayerSignal.TRUST_RATIO),
        column(step, LayerSignal.COSINE),
        column(step, LayerSignal.SATURATION),
        column(step, StepSignals::gradientSquare),
        column(step, StepSignals::noiseTrace),
        column(step, StepSignals::subnormals),
        column(step, StepSignals::activations),
        column(step, StepSignals::saturated),
        column(step, StepSignals::histograms));
  }

  private static boolean isSkipped(Step step) {
    return step.scalars() != null && step.scalars().stepSkipped();
  }

  private static <C> C column(Step step, Function<StepSignals, C> column) {
    return step.signals() == null || isSkipped(step) ? null : column.apply(step.signals());
  }

  private static float[] column(Step step, LayerSignal signal) {
    float[] column = new float[step.norms().size()];
    boolean any = false;
    for (int layer = 0; layer < column.length && !isSkipped(step); layer++) {
      column[layer] = (float) signal.of(step, layer);
      any |= !Float.isNaN(column[layer]);
    }
    return any ? column : null;
  }
}
