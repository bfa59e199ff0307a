package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class PatienceTest {
  private final Patience patience = new Patience(Duration.ofSeconds(10), 0);

  @Test
  void aDeadlineIsUpWhenOthersAreHeard() {
    patience.heard(1_000);
    patience.heard(5_000);
    patience.heard(8_000);
    assertThat(patience.nextLook(11_000, 9_000)).isEqualTo(11_000);
    assertThat(patience.nextLook(11_000, 11_000)).isEqualTo(11_000);
  }

  @Test
  void silenceHoldsADeadline() {
    patience.heard(1_000);
    assertThat(patience.nextLook(11_000, 11_000)).isEqualTo(16_000);
    assertThat(patience.nextLook(11_000, 60_000)).isEqualTo(65_000);
  }

  @Test
  void afterSilenceADeadlineIsPutOffByHalfTheTimeout() {
    patience.heard(1_000);
    patience.heard(60_000);
    assertThat(patience.nextLook(11_000, 60_000)).isEqualTo(65_000);
    patience.heard(64_000);
    assertThat(patience.nextLook(11_000, 65_000)).isEqualTo(65_000);
  }

  @Test
  void aRestoredDeadlineWaitsForTheFirstInput() {
    assertThat(patience.nextLook(-5_000, 3_000)).isEqualTo(8_000);
    patience.heard(4_000);
    assertThat(patience.nextLook(-5_000, 4_000)).isEqualTo(9_000);
    assertThat(patience.readyAt()).isEqualTo(5_000);
  }
}
