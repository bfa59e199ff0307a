package io.gradflow.core.detect;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.RunEvent;
import java.util.Random;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What gets a tool muted: healthy doings of a run, none of which may open anything. */
class NothingOpensTest {
  private static final int SEEDS = 12;

  /** What tells of a change. */
  private enum Told {
    BY_AN_EVENT,
    BY_ITS_VALUE,
    BY_NOTHING
  }

  private static double loss(long step, Random random) {
    return 4 - 2 * step / (step + 500.0) + 0.05 * random.nextGaussian();
  }

  private static UnaryOperator<SimulatedRun.Draft> learning(long seed) {
    var random = new Random(seed);
    return s -> s.loss(loss(s.number(), random));
  }

  private static void assertSilent(SimulatedRun run) {
    assertThat(run.findings()).isEmpty();
    assertThat(run.alerts()).isEmpty();
  }

  @Test
  void anEvaluationPause() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.3);
      for (int i = 0; i < 6; i++) {
        run.steps(100, healthy)
            .steps(
                1,
                s ->
                    healthy
                        .apply(s)
                        .event(RunEvent.Type.PAUSED)
                        .event(RunEvent.Type.EVAL)
                        .event(RunEvent.Type.CHECKPOINT)
                        .event(RunEvent.Type.RESUMED));
      }

      assertSilent(run);
    }
  }

  @Test
  void aFinishedRun() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var healthy = learning(seed);
      assertSilent(
          new SimulatedRun(seed, 0.3)
              .steps(300, healthy)
              .steps(1, s -> healthy.apply(s).event(RunEvent.Type.FINISHED)));
    }
  }

  @Test
  void aRestartThatGoesBackInSteps() {
    for (long seed = 0; seed < SEEDS; seed++) {
      assertSilent(
          new SimulatedRun(seed, 0.3)
              .steps(300, learning(seed))
              .shiftAll(3)
              .restart(250)
              .steps(300, learning(seed)));
    }
  }

  @Test
  void sampledSteps() {
    for (long seed = 0; seed < SEEDS; seed++) {
      assertSilent(new SimulatedRun(seed, 0.3).publishEvery(10).steps(1_000, learning(seed)));
    }
  }

  @Test
  void unfreezing() {
    var frozen =
        SimulatedRun.manifest(l -> SimulatedRun.trainable(l, !l.name().startsWith("block2")));
    var trained = SimulatedRun.manifest(UnaryOperator.identity());
    for (long seed = 0; seed < SEEDS; seed++) {
      var healthy = learning(seed);
      assertSilent(
          new SimulatedRun(seed, 0.3, frozen)
              .steps(200, s -> healthy.apply(s).dead("block2.weight", "block2.bias"))
              .under(trained)
              .steps(300, healthy));
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = LayerKind.class,
      names = {"EMBEDDING", "ROUTER", "WEIGHT"})
  void spikesByNatureWithoutAnEffectOnTheLoss(LayerKind kind) {
    var manifest =
        SimulatedRun.manifest(
            l ->
                l.name().equals("block0.weight")
                    ? SimulatedRun.kind(l, kind, kind != LayerKind.ROUTER)
                    : l);
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.2, manifest).steps(60, healthy);
      for (int i = 0; i < 20; i++) {
        double height = 2 + 6 * random.nextDouble();
        run.steps(1 + random.nextInt(2), s -> healthy.apply(s).raise("block0.weight", height))
            .steps(10 + random.nextInt(60), healthy);
      }

      assertSilent(run);
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {-4, 4})
  void warmingUpTheLearningRate(double octaves) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var healthy = learning(seed);
      var random = new Random(seed);
      double[] share = random.doubles(16, 0.3, 1).toArray();
      var run = new SimulatedRun(seed, 0.2);
      for (int i = 0; i < 100; i++) {
        for (int layer = 0; layer < 8; layer++) {
          run.shift("block" + layer + ".weight", share[layer] * octaves / 100);
          run.shift("block" + layer + ".bias", share[8 + layer] * octaves / 100);
        }
        run.steps(1, s -> healthy.apply(s).rates(1e-5 * (1 + s.number())));
      }
      run.steps(600, s -> healthy.apply(s).rates(1e-3 * Math.cos(s.number() / 800.0)));

      assertSilent(run);
    }
  }

  @ParameterizedTest
  @EnumSource(Told.class)
  void aBatchEightTimesAsLarge(Told told) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.4).steps(300, healthy);
      run.shiftAll(-1.5 * random.nextDouble()).noise(0.4 / Math.sqrt(8));
      for (int i = 0; i < 500; i++) {
        boolean first = i == 0;
        run.steps(1, s -> changed(healthy.apply(s), told, first, 256, 0.01));
      }

      assertSilent(run);
    }
  }

  @ParameterizedTest
  @EnumSource(Told.class)
  void aTenthOfTheLearningRate(Told told) {
    for (long seed = 0; seed < SEEDS; seed++) {
      var random = new Random(seed);
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.2).steps(300, s -> healthy.apply(s).rates(0.01));
      run.shiftAll(3 * random.nextDouble() - 1.5);
      for (int i = 0; i < 500; i++) {
        boolean first = i == 0;
        double rate = told == Told.BY_ITS_VALUE ? 0.001 : 0.01;
        run.steps(1, s -> changed(healthy.apply(s), told, first, 32, rate));
      }

      assertSilent(run);
    }
  }

  private static SimulatedRun.Draft changed(
      SimulatedRun.Draft draft, Told told, boolean first, double weight, double rate) {
    if (told == Told.BY_AN_EVENT && first) {
      draft.event(RunEvent.Type.CHANGED);
    }
    return draft.rates(rate).weight(told == Told.BY_ITS_VALUE ? weight : 32);
  }

  @Test
  void skipsOfALossScaler() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.3);
      for (int i = 0; i < 8; i++) {
        int skips = 1 + i % 4;
        run.steps(50, healthy)
            .steps(skips, s -> healthy.apply(s).nan(0, "block3.weight", "block2.weight").skipped());
      }

      assertSilent(run.steps(50, healthy));
    }
  }

  @ParameterizedTest
  @ValueSource(doubles = {0.0005, 0.002, 0.01})
  void aWholeNetworkThatDecays(double slope) {
    for (long seed = 0; seed < 4; seed++) {
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.3);
      for (int i = 0; i < 4_000; i++) {
        run.shiftAll(-slope).steps(1, healthy);
      }

      assertSilent(run);
    }
  }

  @Test
  void epochsThatEndOnASmallerBatch() {
    for (long seed = 0; seed < SEEDS; seed++) {
      var healthy = learning(seed);
      var run = new SimulatedRun(seed, 0.3);
      for (int i = 0; i < 20; i++) {
        run.steps(49, healthy).steps(1, s -> healthy.apply(s).weight(12).raiseAll(0.5));
      }

      assertSilent(run);
    }
  }
}
