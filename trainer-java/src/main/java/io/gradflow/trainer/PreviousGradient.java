package io.gradflow.trainer;

import io.gradflow.core.shard.Measurement;
import java.util.OptionalLong;

/**
 * A copy of the REDUCED gradient that was reported last, for its dot product with the next: as many
 * bytes as the gradient has, kept from the first one on.
 */
final class PreviousGradient {
  private float[][] values = {};
  private OptionalLong step = OptionalLong.empty();
  private double scale;

  /**
   * Dot products with the gradient of a step; NaN where unknown.
   *
   * @param scale what that gradient was multiplied by
   * @param products one per layer
   */
  record Dots(long step, double scale, double... products) {}

  /**
   * The gradient's products with the one held; null if that was never published. Measured and
   * copied apart: a step that is not due for products is the next one's previous.
   */
  Dots dots(float[]... gradient) {
    if (step.isEmpty()) {
      return null;
    }
    double[] products = new double[gradient.length];
    for (int layer = 0; layer < gradient.length; layer++) {
      products[layer] =
          layer < values.length ? Measurement.dot(gradient[layer], values[layer]) : Double.NaN;
    }
    return new Dots(step.getAsLong(), scale, products);
  }

  /** Holds a copy of this gradient from now on. */
  void hold(float[]... gradient) {
    step = OptionalLong.empty();
    if (values.length != gradient.length) {
      values = new float[gradient.length][0];
    }
    for (int layer = 0; layer < gradient.length; layer++) {
      int size = gradient[layer].length;
      if (values[layer].length != size) {
        values[layer] = new float[size];
      }
      System.arraycopy(gradient[layer], 0, values[layer], 0, size);
    }
  }

  /** The gradient held is that of the step, and was multiplied by that scale. */
  void published(long ofStep, double itsScale) {
    step = OptionalLong.of(ofStep);
    scale = itsScale;
  }
}
