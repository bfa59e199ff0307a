package io.gradflow.core.conformance;

import io.gradflow.core.norm.Refusal;
import io.gradflow.core.shard.Stage;
import java.util.Arrays;
import java.util.Map;
import java.util.TreeMap;

/**
 * What must come out for one layer of a step: norms computed directly from the known gradient, or
 * the reason why there can be none.
 *
 * @param refusal null if there are norms
 * @param received elements they are of: fewer than the layer has where a rank is absent
 */
record Expectation(
    Refusal refusal, long received, double l1, double l2, double linf, double rms, Finite finite) {

  /**
   * What is known of the elements whatever they are.
   *
   * @param l2 of the finite ones
   * @param zeros exact ones
   */
  record Finite(double l2, long zeros, long nans, long posInfs, long negInfs) {}

  static Expectation of(
      Composition composition,
      KnownGradient gradient,
      Composition.Model model,
      Tensor tensor,
      long step) {
    if (tensor.isPartial()) {
      return new Expectation(Refusal.PARTIAL, 0, 0, 0, 0, 0, null);
    }
    double[] values = gradient.reduced(tensor);
    boolean[] received = received(composition, model, tensor, step);
    long count = 0;
    double squares = 0;
    double sum = 0;
    double max = 0;
    long zeros = 0;
    long[] bad = new long[3];
    for (int i = 0; i < values.length; i++) {
      if (!received[i]) {
        continue;
      }
      count++;
      double size = Math.abs(values[i]);
      if (Double.isFinite(size)) {
        squares += size * size;
        sum += size;
        max = Math.max(max, size);
        zeros += size == 0 ? 1 : 0;
      } else {
        bad[Double.isNaN(size) ? 0 : values[i] > 0 ? 1 : 2]++;
      }
    }
    Finite finite = new Finite(Math.sqrt(squares), zeros, bad[0], bad[1], bad[2]);
    boolean isFinite = Arrays.stream(bad).sum() == 0;
    return new Expectation(
        count == 0 ? Refusal.NOT_RECEIVED : isFinite ? null : Refusal.NON_FINITE,
        count,
        sum,
        Math.sqrt(squares),
        max,
        Math.sqrt(squares / count),
        finite);
  }

  /** The elements of the replica that speaks for the layer: a whole one, else the fullest. */
  private static boolean[] received(
      Composition composition, Composition.Model model, Tensor tensor, long step) {
    Map<Integer, boolean[]> replicas = new TreeMap<>();
    for (int rank = 0; rank < composition.worldSize(); rank++) {
      if (rank == composition.absent()
          || !tensor.reported()
          || !composition.modelsOf(rank).contains(model)
          || !composition.isDue(model, Stage.REDUCED, rank, step)) {
        continue;
      }
      int[] coords = composition.coords(rank);
      Tensor.Slice slice = tensor.slice(Stage.REDUCED, coords);
      boolean[] of =
          replicas.computeIfAbsent(tensor.replica(coords), r -> new boolean[tensor.elements()]);
      Arrays.fill(of, slice.from(), slice.to(), true);
    }
    boolean[] fullest = new boolean[tensor.elements()];
    for (boolean[] of : replicas.values()) {
      fullest = count(of) > count(fullest) ? of : fullest;
    }
    return fullest;
  }

  private static int count(boolean[] elements) {
    int count = 0;
    for (boolean element : elements) {
      count += element ? 1 : 0;
    }
    return count;
  }
}
