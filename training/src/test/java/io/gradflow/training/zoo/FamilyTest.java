package io.gradflow.training.zoo;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.RunEvent;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** What the families promise, on the first seeds of each. */
class FamilyTest {

  @ParameterizedTest
  @EnumSource(Family.class)
  void sameSeedDrawsTheSameTraining(Family family) {
    Trial trial = family.draw(3);
    Trial again = family.draw(3);

    assertThat(course(trial.training(), 25)).isEqualTo(course(again.training(), 25));
    assertThat(again.truth()).isEqualTo(trial.truth());
    assertThat(course(family.draw(4).training(), 25)).isNotEqualTo(course(trial.training(), 25));
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void twinIsTheSameUpToTheOnsetBitForBit(Family family) {
    Trial trial = family.draw(5);
    if (family.healthy()) {
      assertThat(trial.twin()).isNull();
      assertThat(trial.truth().episodes()).isEmpty();
      return;
    }
    int onset = (int) trial.truth().episodes().get(0).onset();
    // An update shows in the step after, a loss scale in what is left of small gradients.
    int steps = Math.min(trial.options().steps(), onset + 20);
    List<Long> faulty = course(trial.training(), steps);
    List<Long> healthy = course(trial.twin(), steps);

    assertThat(faulty.subList(0, onset)).isEqualTo(healthy.subList(0, onset));
    assertThat(faulty).isNotEqualTo(healthy);
  }

  @ParameterizedTest
  @EnumSource(Family.class)
  void faultsDoHarmByTheOracleAndTheHealthyLearn(Family family) {
    if (family.healthy()) {
      assertThat(IntStream.range(0, 2).parallel().allMatch(seed -> learns(family.draw(seed))))
          .isTrue();
    } else {
      // The third seed is needed only when one of the first two does no harm.
      long count = harmful(family, 0, 2);
      assertThat(count == 2 ? count : count + harmful(family, 2, 3)).isGreaterThanOrEqualTo(2);
    }
  }

  @Test
  void restartGoesBackInStepsUnderAnotherAttempt() {
    Trial trial = Family.CHECKPOINT_RESTART.draw(1);
    Occasion restart =
        trial.options().occasions().stream()
            .filter(o -> o.kind() == Occasion.Kind.RESTART)
            .findFirst()
            .orElseThrow();
    List<String> seen = new ArrayList<>();
    trial
        .training()
        .run(
            new ZooObserver() {
              @Override
              public void step(ZooStep step) {
                if (step.stream() == 0) {
                  seen.add(step.attempt() + ":" + step.step());
                }
              }

              @Override
              public void event(
                  int attempt,
                  int stream,
                  long step,
                  RunEvent.Type type,
                  Map<String, String> attributes) {
                if (stream == 0) {
                  seen.add(type + " " + attempt + ":" + step);
                }
              }
            });

    long at = restart.step();
    long from = at - (long) restart.amount();
    assertThat(seen)
        .startsWith("STARTED 0:-1", "0:0")
        .containsSubsequence(
            "0:" + (from - 1),
            "CHECKPOINT 0:" + (from - 1),
            "0:" + from,
            "0:" + (at - 1),
            "STARTED 1:" + (from - 1),
            "1:" + from,
            "1:" + at)
        .endsWith("FINISHED 1:" + (trial.options().steps() - 1))
        .doesNotContain("0:" + at, "1:" + (from - 1));
  }

  /** A hash by step of all that the observer sees of it. */
  private static List<Long> course(ZooTraining training, int steps) {
    List<Long> course = new ArrayList<>();
    var observer =
        new ZooObserver() {
          private long hash;

          @Override
          public void step(ZooStep step) {
            hash = 31 * hash + Arrays.deepHashCode(step.local());
            hash = 31 * hash + Arrays.deepHashCode(step.reduced());
            hash = 31 * hash + Arrays.deepHashCode(step.weights());
            hash = 31 * hash + Arrays.hashCode(step.losses());
            hash = 31 * hash + Arrays.hashCode(step.reports());
            hash = 31 * hash + Arrays.hashCode(step.clipCoefficients());
          }

          @Override
          public void event(
              int attempt,
              int stream,
              long step,
              RunEvent.Type type,
              Map<String, String> attributes) {
            hash = 31 * hash + attributes.hashCode();
          }
        };
    boolean more = true;
    for (int s = 0; s < steps && more; s++) {
      observer.hash = 0;
      more = training.advance(observer);
      course.add(observer.hash);
    }
    return course;
  }

  private static long harmful(Family family, long from, long to) {
    return LongStream.range(from, to)
        .parallel()
        .mapToObj(family::draw)
        .map(Oracle::judge)
        .filter(truth -> truth.excluded() == null)
        .count();
  }

  /** Of a soak, whose steps are all alike, the first twentieth is enough. */
  private static boolean learns(Trial trial) {
    ZooTraining training = trial.training();
    double initial = training.heldOutLoss();
    long steps = Math.min(trial.options().steps(), 5000);
    while (training.nextStep() < steps && training.advance(Oracle.NOBODY)) {
      // To the end.
    }
    double end = training.heldOutLoss();
    // Two networks that play against each other need not lower either loss.
    return training.streams().size() > 1 ? Double.isFinite(end) : end <= initial;
  }
}
