package io.gradflow.training.zoo;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.training.zoo.Truth.Cause;
import io.gradflow.training.zoo.Truth.Episode;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class OracleTest {

  /** Two trainings that differ by rounding drift apart, but never so far that it would count. */
  @ParameterizedTest
  @EnumSource(
      value = Family.class,
      names = {
        "HE_DESCENT",
        "RNN_CLIPPED",
        "CONVOLUTIONAL",
        "TRANSFORMER_WARMUP",
        "MIXTURE_OF_EXPERTS",
        "LOW_RANK_ADAPTERS",
        "ADVERSARIAL",
        "CONSTANT_ADAM"
      })
  void differenceOfRoundingDoesNotCount(Family family) {
    Trial healthy = family.draw(2);
    var rounding = new ZooFault(ZooFault.Kind.NOISE, 61, Long.MAX_VALUE, 0, -1, 1e-6);
    var episode = new Episode(61, Long.MAX_VALUE, true, Cause.HARDWARE, List.of(), 0);
    var trial =
        new Trial(
            family,
            2,
            healthy.options(),
            List.of(rounding),
            new Truth(List.of(episode), null, false),
            healthy.workload(),
            healthy.workload());

    assertThat(Oracle.run(trial, Oracle.NOBODY, Oracle.NOBODY).excluded()).isNotNull();
  }
}
