package io.gradflow.core.conformance;

import io.gradflow.core.shard.Stage;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/**
 * The gradient of one step of a composition, known as a whole: what each data-parallel worker has
 * of each tensor after each micro-batch, and their mean. What ranks hold is cut from it.
 *
 * <p>What a rank holds is a float, multiplied by the loss scale and, once reduced, by the
 * coefficient of the clip. The known values are these very floats, divided by both in double: the
 * suite judges how norms are put together, not how a trainer rounds.
 */
final class KnownGradient {
  private final Composition composition;
  private final long step;
  private final Map<String, Tensors> tensors = new HashMap<>();

  /**
   * Of one tensor, as ranks hold it.
   *
   * @param batches worker x micro-batch: what has accumulated by then; the last is the worker's
   *     gradient
   * @param reduced mean of the workers' gradients
   */
  private record Tensors(float[][][] batches, float[] reduced) {}

  KnownGradient(Composition composition, long step) {
    this.composition = composition;
    this.step = step;
    List<Tensor> all = composition.models().stream().flatMap(m -> m.tensors().stream()).toList();
    Random random = new Random(composition.seed() * 0x9E3779B97F4A7C15L + step);
    int badTensor = composition.bad() ? random.nextInt(all.size()) : -1;
    for (int i = 0; i < all.size(); i++) {
      Tensor tensor = all.get(i);
      if (!tensors.containsKey(tensor.owner())) {
        tensors.put(tensor.owner(), draw(tensor.elements(), random, i == badTensor));
      }
    }
  }

  long step() {
    return step;
  }

  /** What held values are multiplied by. */
  double scale(Stage stage) {
    return composition.scale(stage, step);
  }

  private Tensors draw(int elements, Random random, boolean bad) {
    int workers = composition.workers();
    int batches = composition.accumSteps();
    double size = Math.exp(3 * random.nextGaussian());
    double[] common = new double[elements];
    for (int i = 0; i < elements; i++) {
      common[i] = random.nextInt(6) == 0 ? 0 : size * random.nextGaussian();
    }
    int badWorker = bad ? random.nextInt(workers) : -1;
    int badElement = random.nextInt(elements);
    float badValue = random.nextBoolean() ? Float.NaN : Float.NEGATIVE_INFINITY;
    float[][][] accumulated = new float[workers][batches][elements];
    double[] mean = new double[elements];
    for (int worker = 0; worker < workers; worker++) {
      double[] sum = new double[elements];
      for (int batch = 0; batch < batches; batch++) {
        for (int i = 0; i < elements; i++) {
          boolean isBad = worker == badWorker && i == badElement && batch == batches - 1;
          sum[i] += isBad ? badValue : common[i] * (1 + random.nextGaussian()) / batches;
          accumulated[worker][batch][i] = (float) (scale(Stage.LOCAL) * sum[i]);
        }
      }
      for (int i = 0; i < elements; i++) {
        mean[i] += sum[i] / workers;
      }
    }
    float[] reduced = new float[elements];
    for (int i = 0; i < elements; i++) {
      reduced[i] = (float) (scale(Stage.REDUCED) * mean[i]);
    }
    return new Tensors(accumulated, reduced);
  }

  /** The whole of what a rank holds a slice of. The result must not be changed. */
  float[] held(Tensor tensor, Stage stage, int[] coords, int batch) {
    Tensors of = tensors.get(tensor.owner());
    boolean last = batch == composition.accumSteps() - 1;
    float[] held =
        stage == Stage.REDUCED && last
            ? of.reduced()
            : of.batches()[composition.worker(coords)][batch];
    int summands = tensor.summands(stage);
    return summands == 1 ? held : summand(tensor, held, tensor.summand(stage, coords), summands);
  }

  /** One of several summands of the values, the same for everybody who asks. */
  private float[] summand(Tensor tensor, float[] values, int summand, int summands) {
    Random random = new Random(tensor.owner().hashCode() + step);
    float[] part = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      double rest = values[i];
      for (int k = 0; k < summands - 1; k++) {
        double share = values[i] * random.nextGaussian();
        rest -= share;
        part[i] = k == summand ? (float) share : part[i];
      }
      part[i] = summand == summands - 1 ? (float) rest : part[i];
    }
    return part;
  }

  /** The known values of a worker, not scaled. */
  double[] local(Tensor tensor, int worker) {
    float[] held = tensors.get(tensor.owner()).batches()[worker][composition.accumSteps() - 1];
    return unscaled(held, Stage.LOCAL);
  }

  /** The known reduced values of a tensor, neither scaled nor clipped. */
  double[] reduced(Tensor tensor) {
    return unscaled(tensors.get(tensor.owner()).reduced(), Stage.REDUCED);
  }

  private double[] unscaled(float[] held, Stage stage) {
    double[] values = new double[held.length];
    for (int i = 0; i < held.length; i++) {
      values[i] = held[i] / scale(stage);
    }
    return values;
  }

  /** A number that is the same for all holders of an element: of its weight, say. */
  static float ofElement(Tensor tensor, int element, String what) {
    int mixed = (tensor.owner() + what).hashCode() * 31 + element;
    return (float) Math.sin(mixed);
  }
}
