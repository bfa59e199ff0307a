package io.gradflow.training;

import java.util.List;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CyclicBarrier;

/**
 * The mean over ranks of their gradients and losses.
 *
 * <p>Every rank sums an equal slice of each layer over the ranks, in the order of the ranks, so
 * that the result does not depend on the timing of threads. The mean stays until all ranks have
 * called {@link #reduce} again.
 */
final class AllReduce {

  private final float[][][] local;
  private final double[] localLoss;
  private final float[][] mean;
  private final CyclicBarrier contributed;
  private final CyclicBarrier reduced;

  /**
   * @param layers whose gradients are reduced
   * @param ranks that take part in every reduction
   * @param whileAllWait runs once per reduction, on one of the ranks' threads, when the means are
   *     there and before any rank goes on; whatever it writes, all ranks see
   */
  AllReduce(List<Layer> layers, int ranks, Runnable whileAllWait) {
    local = new float[ranks][][];
    localLoss = new double[ranks];
    mean = new float[layers.size()][];
    for (int i = 0; i < mean.length; i++) {
      mean[i] = new float[layers.get(i).elements()];
    }
    contributed = new CyclicBarrier(ranks);
    reduced = new CyclicBarrier(ranks, whileAllWait);
  }

  /**
   * Contributes a rank's gradient and loss, and returns when the means of all ranks are there.
   *
   * @throws InterruptedException when this thread was interrupted
   * @throws BrokenBarrierException when another rank's was
   */
  void reduce(int rank, float[][] gradient, double loss)
      throws InterruptedException, BrokenBarrierException {
    local[rank] = gradient;
    localLoss[rank] = loss;
    contributed.await();
    for (int layer = 0; layer < mean.length; layer++) {
      reduceSlice(rank, layer);
    }
    reduced.await();
  }

  /** The last mean gradient, by layer and element. */
  float[][] mean() {
    return mean;
  }

  /** The mean of the losses last contributed. */
  double meanLoss() {
    double sum = 0;
    for (double loss : localLoss) {
      sum += loss;
    }
    return sum / localLoss.length;
  }

  private void reduceSlice(int rank, int layer) {
    int ranks = local.length;
    float[] sum = mean[layer];
    int from = (int) ((long) sum.length * rank / ranks);
    int to = (int) ((long) sum.length * (rank + 1) / ranks);
    System.arraycopy(local[0][layer], from, sum, from, to - from);
    for (int r = 1; r < ranks; r++) {
      float[] addend = local[r][layer];
      for (int i = from; i < to; i++) {
        sum[i] += addend[i];
      }
    }
    float share = 1f / ranks;
    for (int i = from; i < to; i++) {
      sum[i] *= share;
    }
  }
}
