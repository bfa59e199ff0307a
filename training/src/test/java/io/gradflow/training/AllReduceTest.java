package io.gradflow.training;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class AllReduceTest {

  private static final List<Layer> LAYERS =
      List.of(
          new Layer("a.weight", "a", 0, Layer.Kind.WEIGHT, 1000, false),
          new Layer("a.bias", "a", 0, Layer.Kind.BIAS, 3, true));

  @Test
  void meanIsTheSumInTheOrderOfRanks() throws Exception {
    int ranks = 5;
    float[][][] local = randomGradients(ranks);
    var allReduce = new AllReduce(LAYERS, ranks, () -> {});
    var pool = Executors.newFixedThreadPool(ranks);
    try {
      // The last rank comes first: the order of arrival must not matter.
      List<Future<?>> calls =
          IntStream.range(0, ranks)
              .map(i -> ranks - 1 - i)
              .<Future<?>>mapToObj(
                  rank ->
                      pool.submit(
                          () -> {
                            allReduce.reduce(rank, local[rank], rank);
                            return null;
                          }))
              .toList();
      for (Future<?> call : calls) {
        call.get();
      }
    } finally {
      pool.shutdownNow();
    }

    for (int layer = 0; layer < LAYERS.size(); layer++) {
      for (int e = 0; e < LAYERS.get(layer).elements(); e++) {
        float sum = local[0][layer][e];
        for (int rank = 1; rank < ranks; rank++) {
          sum += local[rank][layer][e];
        }
        assertThat(allReduce.mean()[layer][e]).isEqualTo(sum * (1f / ranks));
      }
    }
    assertThat(allReduce.meanLoss()).isEqualTo(2);
  }

  private static float[][][] randomGradients(int ranks) {
    Random random = new Random(3);
    float[][][] local = new float[ranks][LAYERS.size()][];
    for (float[][] gradient : local) {
      for (int layer = 0; layer < gradient.length; layer++) {
        gradient[layer] = new float[LAYERS.get(layer).elements()];
        for (int e = 0; e < gradient[layer].length; e++) {
          gradient[layer][e] = (float) random.nextGaussian();
        }
      }
    }
    return local;
  }
}
