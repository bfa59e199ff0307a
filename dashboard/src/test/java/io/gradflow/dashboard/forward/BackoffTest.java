package io.gradflow.dashboard.forward;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class BackoffTest {
  @ParameterizedTest
  @CsvSource({
    "1, 0, 500",
    "1, 1, 1000",
    "2, 1, 2000",
    "3, 0.5, 3000",
    "7, 1, 60000",
    "40, 1, 60000",
    "2000000000, 0, 30000"
  })
  void pausesDoubleUpToTheLongestAndChanceTakesHalfAtMost(int failures, double chance, long ms) {
    assertThat(Backoff.DEFAULT.after(failures, chance, Optional.empty()))
        .isEqualTo(Duration.ofMillis(ms));
  }

  @Test
  void whatATargetAsksForIsKeptIfItIsLonger() {
    assertThat(Backoff.DEFAULT.after(1, 1, Optional.of(Duration.ofSeconds(90)))).hasSeconds(90);
    assertThat(Backoff.DEFAULT.after(4, 1, Optional.of(Duration.ofSeconds(1)))).hasSeconds(8);
    assertThat(Backoff.DEFAULT.after(1, 1, Optional.of(Duration.ofDays(9)))).hasMinutes(10);
  }
}
