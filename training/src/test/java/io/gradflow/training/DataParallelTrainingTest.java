package io.gradflow.training;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.withinPercentage;

import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(120)
class DataParallelTrainingTest {

  @AfterEach
  void noThreadIsLeftBehind() {
    assertThat(Thread.getAllStackTraces().keySet())
        .extracting(Thread::getName)
        .noneMatch(name -> name.startsWith("training-rank"));
  }

  @Test
  void sameSeedGivesTheSameLossesWhateverTheTiming() throws Exception {
    var policy = TrainingPolicy.ofSeed(3).withSteps(40);
    var undisturbed = healthy(policy).run(step -> {});
    var disturbed =
        healthy(policy)
            .run(step -> LockSupport.parkNanos((step.step() * 7 + step.rank() * 5L) % 11 * 50_000));
    var otherSeed = healthy(TrainingPolicy.ofSeed(4).withSteps(40)).run(step -> {});

    assertThat(disturbed.losses()).hasSize(40).isEqualTo(undisturbed.losses());
    assertThat(otherSeed.losses()).isNotEqualTo(undisturbed.losses());
  }

  @ParameterizedTest
  @ValueSource(longs = {1, 2, 3})
  void healthyTrainingAtLeastHalvesItsLoss(long seed) throws Exception {
    var result = healthy(TrainingPolicy.ofSeed(seed).withSteps(1000)).run(step -> {});

    assertThat(result.steps()).isEqualTo(1000);
    assertThat(result.lastLoss()).isLessThan(result.firstLoss() / 2);
  }

  @Test
  void ranksSeeTheirOwnSamplesAndKeepEqualWeights() throws Exception {
    var recording = Recording.of(TrainingPolicy.ofSeed(5).withSteps(10), Optional.empty());

    for (int step = 0; step < 10; step++) {
      for (int rank = 1; rank < 4; rank++) {
        assertThat(recording.weightSquares[step][rank]).isEqualTo(recording.weightSquares[step][0]);
        assertThat(recording.reducedSquares[step][rank])
            .isEqualTo(recording.reducedSquares[step][0]);
        assertThat(recording.localSquares[step][rank])
            .isNotEqualTo(recording.localSquares[step][0]);
      }
    }
  }

  @Test
  void updateNormsAreThoseOfWhatTheStepBeforeTookFromTheWeights() throws Exception {
    var before = new AtomicReference<float[][]>();
    healthy(TrainingPolicy.ofSeed(5).withSteps(5))
        .run(
            step -> {
              if (step.rank() != 0) {
                return;
              }
              if (before.get() == null) {
                assertThat(step.updateNorms()).isNull();
              } else {
                for (int layer = 0; layer < step.weights().length; layer++) {
                  double squares = 0;
                  for (int e = 0; e < step.weights()[layer].length; e++) {
                    double taken = before.get()[layer][e] - step.weights()[layer][e];
                    squares += taken * taken;
                  }
                  assertThat((double) step.updateNorms()[layer])
                      .isCloseTo(Math.sqrt(squares), withinPercentage(0.1));
                }
              }
              before.set(Arrays.stream(step.weights()).map(float[]::clone).toArray(float[][]::new));
            });
  }

  @Test
  void globalNormIsThatOfTheReducedGradient() throws Exception {
    healthy(TrainingPolicy.ofSeed(5).withSteps(3))
        .run(
            step -> {
              double squares = 0;
              for (float[] layer : step.reduced()) {
                for (float g : layer) {
                  squares += (double) g * g;
                }
              }
              assertThat((double) PublishedRanks.globalNorm(step.reduced()))
                  .isCloseTo(Math.sqrt(squares), withinPercentage(0.01));
            });
  }

  @Test
  void stopEndsAfterTheStepUnderWay() throws Exception {
    var training = healthy(TrainingPolicy.ofSeed(1).withSteps(1_000_000));
    var result =
        training.run(
            step -> {
              if (step.step() == 20) {
                training.stop();
              }
            });

    assertThat(result.steps()).isBetween(21, 22);
  }

  @Test
  void thereIsNothingToStrikeAfterTheLastStep() throws Exception {
    var policy = TrainingPolicy.ofSeed(1).withSteps(2);
    var training = healthy(policy);
    var fault = Optional.of(new Fault(Scenario.NAN, 0, "block1.weight", 0));
    assertThat(training.strike(fault)).isEqualTo(1);
    assertThatThrownBy(() -> training.strike(fault.map(f -> f.onRank(4))))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("fault nan: expected a rank from 0 to 3, got 4");
    assertThat(training.fault()).isEqualTo(fault.map(f -> f.atStep(1)));
    training.run(step -> {});

    assertThatThrownBy(() -> training.strike(fault))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage(
            "training: expected one that still has a step to strike, got one that ends after 2");
  }

  @Test
  void failingObserverEndsAllRanksAndIsNamed() {
    var training = healthy(TrainingPolicy.ofSeed(1).withSteps(1_000_000));

    assertThatThrownBy(
            () ->
                training.run(
                    step -> {
                      if (step.step() == 4 && step.rank() == 2) {
                        throw new IllegalArgumentException("no");
                      }
                    }))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("training: a rank failed at step 4")
        .hasRootCauseMessage("no");
  }

  @Test
  void interruptedRankEndsTheTrainingAsAFailure() {
    var training = healthy(TrainingPolicy.ofSeed(1).withSteps(1_000_000));

    assertThatThrownBy(
            () ->
                training.run(
                    step -> {
                      if (step.step() == 4 && step.rank() == 1) {
                        Thread.currentThread().interrupt();
                      }
                    }))
        .isInstanceOf(IllegalStateException.class)
        .hasMessage("training: expected 1000000 steps, got 5: a rank's thread was interrupted");
    assertThatThrownBy(() -> training.run(step -> {}))
        .hasMessage("training: expected to be run once, got a second run");
  }

  @Test
  void interruptedCallerEndsAllRanks() throws Exception {
    var started = new CountDownLatch(1);
    var outcome = new Throwable[1];
    var caller =
        new Thread(
            () -> {
              try {
                healthy(TrainingPolicy.ofSeed(1).withSteps(1_000_000))
                    .run(step -> started.countDown());
              } catch (InterruptedException e) {
                outcome[0] = e;
              }
            });
    caller.start();
    started.await();
    caller.interrupt();
    caller.join();

    assertThat(outcome[0]).isInstanceOf(InterruptedException.class);
  }

  @Test
  void paceIsNotExceeded() throws Exception {
    var training = healthy(TrainingPolicy.ofSeed(1).withSteps(20).withStepsPerSecond(200));
    long start = System.nanoTime();
    training.run(step -> {});

    assertThat(System.nanoTime() - start).isGreaterThanOrEqualTo(95_000_000L);
  }

  private static DataParallelTraining healthy(TrainingPolicy policy) {
    return new DataParallelTraining(policy, Optional.empty());
  }
}
