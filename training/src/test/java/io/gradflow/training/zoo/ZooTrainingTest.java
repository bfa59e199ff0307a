package io.gradflow.training.zoo;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What a training does with its ranks, on the smallest workload. */
class ZooTrainingTest {
  private static final long FOREVER = Long.MAX_VALUE;

  private static final ZooOptions OPTIONS =
      ZooOptions.of(7, 4, 8, 60, Optimiser.sgd(), Schedule.constant(.05));

  @Test
  void reducedGradientIsThePlainMeanAlsoOfUnequalRanks() {
    var seen = run(OPTIONS.withSamples(2, 8, 8, 32));

    for (Seen step : seen) {
      float mean = (step.local[0] + step.local[1] + step.local[2] + step.local[3]) / 4;
      assertThat(step.reduced).isCloseTo(mean, within(1e-4f));
    }
    assertThat(seen.get(0).step.samples()).containsExactly(2, 8, 8, 32);
    assertThat(seen.get(0).step.updateNorms()).isNull();
    assertThat(seen.get(59).loss()).isLessThan(seen.get(0).loss() / 10);
  }

  @Test
  void updateIsRateTimesClippedGradient() {
    var seen = run(OPTIONS.withClip(.5));

    for (int s = 0; s < 59; s++) {
      ZooStep step = seen.get(s).step;
      double coefficient = step.clipCoefficients()[0];
      assertThat(coefficient).isCloseTo(Math.min(1, .5 / step.reportedNorm()[0]), within(1e-9));
      assertThat(seen.get(s + 1).weight - seen.get(s).weight)
          .isCloseTo((float) (-.05 * coefficient * seen.get(s).reduced), within(1e-6f));
    }
    assertThat(seen.get(0).step.clipCoefficients()[0]).isLessThan(1);
  }

  @Test
  void slicesShareSamplesAndOneMayForgetToClip() {
    var options = OPTIONS.withClip(.1).withTensorParallel(2);
    var seen = run(options, fault(ZooFault.Kind.CLIP_SKIPPED, 10, FOREVER, 1, -1, 0));

    assertThat(seen.get(0).local[1]).isEqualTo(seen.get(0).local[0]);
    assertThat(seen.get(0).local[2]).isNotEqualTo(seen.get(0).local[0]);
    assertThat(seen.get(9).step.clipCoefficients()[1]).isLessThan(1);
    assertThat(seen.get(10).step.clipCoefficients()[0]).isLessThan(1);
    assertThat(seen.get(10).step.clipCoefficients()[1]).isEqualTo(1);
    assertThat(seen.get(10).step.clipCoefficients()[3]).isEqualTo(1);
    // The bias is one element, which the last slice holds.
    assertThat(seen.get(11).step.updateNorms()[1])
        .isCloseTo(.05 * Math.abs(seen.get(10).bias), within(1e-5));
  }

  @Test
  void scalerSkipsAndHalvesOnOverflowAndDoublesAfterGoodSteps() {
    var seen = run(OPTIONS.withScaling(new LossScaling(1 << 20, 10)));

    int good = 0;
    int skips = 0;
    for (int s = 0; s < 59; s++) {
      ZooStep step = seen.get(s).step;
      double next = seen.get(s + 1).step.lossScale();
      if (step.skipped()) {
        skips++;
        good = 0;
        assertThat(next).isEqualTo(step.lossScale() / 2);
        assertThat(seen.get(s + 1).weight).isEqualTo(seen.get(s).weight);
        assertThat(seen.get(s + 1).step.updateNorms()).containsOnly(0);
      } else {
        good = good == 9 ? 0 : good + 1;
        assertThat(next).isEqualTo(good == 0 ? step.lossScale() * 2 : step.lossScale());
      }
    }
    assertThat(skips).isGreaterThan(3);
    assertThat(seen.get(59).loss()).isLessThan(seen.get(0).loss() / 10);
  }

  @Test
  void lossScaleBeyondTheFormatRuinsATrainingThatDoesNotSkip() {
    var seen =
        run(
            OPTIONS.withScaling(new LossScaling(1024, 0)),
            fault(ZooFault.Kind.LOSS_SCALE, 20, FOREVER, -1, -1, 1 << 26));

    assertThat(seen.get(19).step.lossScale()).isEqualTo(1024);
    assertThat(seen.get(20).step.lossScale()).isEqualTo(1 << 26);
    assertThat(seen.get(19).weight).isFinite();
    assertThat(Float.isFinite(seen.get(21).weight)).isFalse();
  }

  @Test
  void faultsOfARankStrikeThatRankAlone() {
    var healthy = run(OPTIONS);
    var flipped = run(OPTIONS, fault(ZooFault.Kind.GRADIENT, 30, 31, 2, -1, -1));
    var noisy = run(OPTIONS, fault(ZooFault.Kind.NOISE, 30, 31, 2, 0, .05));
    var bits = run(OPTIONS, fault(ZooFault.Kind.BIT_FLIPS, 30, 31, 2, 0, 1));
    var silent = run(OPTIONS, fault(ZooFault.Kind.SILENT, 30, 31, 2, -1, 0));

    float own = healthy.get(30).local[2];
    assertThat(flipped.get(30).local[2]).isEqualTo(-own);
    assertThat(noisy.get(30).local[2]).isNotEqualTo(own);
    assertThat(bits.get(30).largest(2)).isGreaterThan(1000 * healthy.get(30).largest(2));
    assertThat(silent.get(30).step.reports()).containsExactly(true, true, false, true);
    assertThat(silent.get(31).step.reports()).doesNotContain(false);
    for (var struck : List.of(flipped, noisy, bits, silent)) {
      assertThat(struck.get(30).local[1]).isEqualTo(healthy.get(30).local[1]);
      assertThat(struck.get(29).reduced).isEqualTo(healthy.get(29).reduced);
    }
    assertThat(silent.get(59).weight).isEqualTo(healthy.get(59).weight);
  }

  @Test
  void sumIsRanksTimesTheMean() {
    var healthy = run(OPTIONS);
    var summed = run(OPTIONS, fault(ZooFault.Kind.SUM, 5, FOREVER, -1, -1, 0));

    assertThat(summed.get(5).reduced).isCloseTo(4 * healthy.get(5).reduced, within(1e-4f));
  }

  @Test
  void frozenParameterStaysThoughItsGradientGoesOn() {
    var seen = run(OPTIONS, fault(ZooFault.Kind.FROZEN, 5, FOREVER, -1, 0, 0));

    assertThat(seen.get(40).weight).isEqualTo(seen.get(5).weight);
    assertThat(seen.get(40).reduced).isNotZero();
    assertThat(seen.get(40).step.updateNorms()[0]).isZero();
    assertThat(seen.get(40).step.trainable()).containsExactly(true, true);
  }

  @Test
  void layersThawAtTheirStep() {
    var seen = run(OPTIONS.withFrozen(1, 20));

    assertThat(seen.get(19).step.trainable()).containsExactly(false, true);
    assertThat(seen.get(19).reduced).isZero();
    assertThat(seen.get(20).step.trainable()).containsExactly(true, true);
    assertThat(seen.get(20).reduced).isNotZero();
  }

  @Test
  void onlyEveryNthStepIsSeenAndTheTrainingIsTheSame() {
    var all = run(OPTIONS);
    var some = run(OPTIONS.withEvery(10));

    assertThat(some).hasSize(6);
    assertThat(some.get(5).step.step()).isEqualTo(50);
    assertThat(some.get(5).weight).isEqualTo(all.get(50).weight);
    assertThat(some.get(5).step.updateNorms()).isEqualTo(all.get(50).step.updateNorms());
  }

  @Test
  void declaredChangesAreToldUndeclaredOnesHappenAlike() {
    List<String> told = new ArrayList<>();
    var occasions =
        List.of(
            new Occasion(Occasion.Kind.BATCH, 20, 8, true),
            new Occasion(Occasion.Kind.RATE, 30, .1, false));
    var seen = run(OPTIONS.withOccasions(occasions), told);

    assertThat(told).containsExactly("STARTED {ranks=4}", "CHANGED {batch=256}", "FINISHED {}");
    assertThat(seen.get(20).step.samples()).containsOnly(64);
    assertThat(seen.get(29).step.learningRate()).isEqualTo(.05);
    assertThat(seen.get(30).step.learningRate()).isCloseTo(.005, within(1e-12));
  }

  @Test
  void faultOutsideTheTrainingIsRefused() {
    var late = fault(ZooFault.Kind.NAN, 60, 61, 0, 0, 0);
    var foreign = fault(ZooFault.Kind.NAN, 30, 31, 4, 0, 0);

    assertThatThrownBy(() -> run(OPTIONS, late)).hasMessageContaining("expected a step below 60");
    assertThatThrownBy(() -> run(OPTIONS, foreign)).hasMessageContaining("a rank below 4");
  }

  private static ZooFault fault(
      ZooFault.Kind kind, long onset, long end, int rank, int parameter, double strength) {
    return new ZooFault(kind, onset, end, rank, parameter, strength);
  }

  private static List<Seen> run(ZooOptions options, ZooFault... faults) {
    return run(options, new ArrayList<>(), faults);
  }

  private static List<Seen> run(ZooOptions options, List<String> told, ZooFault... faults) {
    List<Seen> seen = new ArrayList<>();
    new ZooTraining(new LineWorkload(), options, List.of(faults))
        .run(
            new ZooObserver() {
              @Override
              public void step(ZooStep step) {
                seen.add(new Seen(step));
              }

              @Override
              public void event(
                  int attempt,
                  int stream,
                  long step,
                  RunEvent.Type type,
                  Map<String, String> attributes) {
                told.add(type + " " + attributes);
              }
            });
    return seen;
  }

  /** What is kept of a step: its arrays are the training's own. */
  private static final class Seen {
    private final ZooStep step;
    private final float[] local;
    private final double[] largest;
    private final float reduced;
    private final float bias;
    private final float weight;

    Seen(ZooStep step) {
      this.step = step;
      local = new float[step.local().length];
      largest = new double[local.length];
      for (int r = 0; r < local.length; r++) {
        local[r] = step.local()[r][0][0];
        for (float g : step.local()[r][0]) {
          largest[r] = Math.max(largest[r], Math.abs(g));
        }
      }
      reduced = step.reduced()[0][0];
      bias = step.reduced()[1][0];
      weight = step.weights()[0][0];
    }

    double largest(int rank) {
      return largest[rank];
    }

    double loss() {
      return Arrays.stream(step.losses()).average().orElseThrow();
    }
  }
}
