package io.gradflow.core.detect;

/**
 * State of the layers' baselines ({@link LogHolt}). Columns by layer, changed in place.
 *
 * @param seen values learnt from
 * @param level l, in octaves
 * @param slope b, in octaves per step
 * @param variance s squared, in square octaves
 */
public record Baselines(int[] seen, double[] level, double[] slope, double[] variance) {
  static Baselines of(int layers) {
    return new Baselines(
        new int[layers], new double[layers], new double[layers], new double[layers]);
  }
}
