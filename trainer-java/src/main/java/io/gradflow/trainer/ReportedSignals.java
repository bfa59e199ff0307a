package io.gradflow.trainer;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.SignalColumns;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * What a step's report says of layers beside its gradients: position i is the manifest's layer i,
 * null is not said.
 */
final class ReportedSignals {
  float[] weightNorms;
  float[] updateNorms;
  long[] activations;
  long[] saturated;

  /**
   * The columns with all this beside them, and with dot products.
   *
   * @param previousDots with the gradient before; null: unknown
   * @param reducedDots of a LOCAL gradient with the REDUCED one; null: unknown
   * @throws IndexOutOfBoundsException when something is said of fewer layers than the columns have
   */
  LayerColumns beside(LayerColumns columns, float[] previousDots, float[] reducedDots) {
    float[] weights = of(columns, weightNorms);
    float[] updates = of(columns, updateNorms);
    long[] units = of(columns, activations);
    long[] lost = of(columns, saturated);
    SignalColumns own = columns.signals();
    if (own != null) {
      return columns.with(
          new SignalColumns(
              own.sum(),
              own.subnormals(),
              own.minNonzeroAbs(),
              either(weights, own.weightNorm()),
              either(updates, own.updateNorm()),
              either(previousDots, own.dotPrevious()),
              either(reducedDots, own.dotReduced()),
              either(units, own.activations()),
              either(lost, own.saturated()),
              own.contentHash(),
              own.histograms(),
              own.sketches()));
    }
    boolean any =
        Stream.of(weights, updates, previousDots, reducedDots, units, lost)
            .anyMatch(Objects::nonNull);
    return any
        ? columns.with(
            new SignalColumns(
                null,
                null,
                null,
                weights,
                updates,
                previousDots,
                reducedDots,
                units,
                lost,
                null,
                null,
                null))
        : columns;
  }

  /** Dot products as they are published: of gradients multiplied by a factor, one per layer. */
  static float[] dots(LayerColumns columns, double[] products, double factor) {
    float[] dots = new float[columns.size()];
    for (int i = 0; i < dots.length; i++) {
      dots[i] = Measurement.held(products[columns.layer(i)] * factor);
    }
    return dots;
  }

  private static <T> T either(T said, T otherwise) {
    return said == null ? otherwise : said;
  }

  private static float[] of(LayerColumns columns, float[] byLayer) {
    if (byLayer == null) {
      return null;
    }
    float[] aligned = new float[columns.size()];
    for (int i = 0; i < aligned.length; i++) {
      aligned[i] = byLayer[columns.layer(i)];
    }
    return aligned;
  }

  private static long[] of(LayerColumns columns, long[] byLayer) {
    if (byLayer == null) {
      return null;
    }
    long[] aligned = new long[columns.size()];
    for (int i = 0; i < aligned.length; i++) {
      aligned[i] = byLayer[columns.layer(i)];
    }
    return aligned;
  }
}
