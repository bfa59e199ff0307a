package io.gradflow.core.norm;

import static org.assertj.core.api.Assertions.assertThat;

import java.time.Duration;
import org.junit.jupiter.api.Test;

class PatienceTest {
  private final Patience patience = new Patience(Duration.ofSeconds(10));

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
    assertThat(patience.readyAt(4_000)).isEqualTo(8_000);
  }

  @Test
  void aDeadlineWaitsForWhatIsReadFarBehind() {
    patience.read(1_000, 900);
    patience.read(1_100, -20_000);
    assertThat(patience.isBehind(-20_001)).isFalse();
    assertThat(patience.isBehind(-19_999)).isTrue();
    assertThat(patience.nextLook(-9_000, -20_000, 10_000, 2_000))
        .as("just started")
        .isEqualTo(6_000);
    patience.read(5_000, 5_000);
    patience.read(5_000, -9_000);
    patience.read(6_000, 6_000);
    assertThat(patience.nextLook(-9_000, -20_000, 10_000, 6_000)).isEqualTo(6_500);
    patience.read(10_500, 10_500);
    assertThat(patience.isBehind(-8_000)).as("-9,000 was read of late").isTrue();
    patience.read(12_000, 12_000);
    patience.read(16_000, 16_000);
    assertThat(patience.nextLook(-9_000, -18_000, 10_000, 16_000)).as("up").isEqualTo(6_000);
  }

  @Test
  void theEndOfARunWaitsForWhatWasFarBehindButNotForEver() {
    patience.heard(-10_000);
    patience.read(10_000, 10_000);
    patience.read(10_100, 2_000);
    assertThat(patience.nextLookAtEnd(4_000, 1_000, 10_000, 14_000))
        .as("2,000 was read of late")
        .isEqualTo(14_500);
    assertThat(patience.nextLookAtEnd(4_000, 1_000, 10_000, 20_000))
        .as("long ago")
        .isLessThanOrEqualTo(20_000);
    assertThat(patience.nextLook(4_000, 1_000, 10_000, 20_000))
        .as("without an end silence may be an outage")
        .isGreaterThan(20_000);
    assertThat(patience.isBehind(2_001)).isTrue();
  }

  @Test
  void somethingNewDoesNotHideWhatIsBehind() {
    patience.read(1_000, -60_000);
    patience.read(1_000, -80_000);
    patience.read(2_000, 2_000);
    assertThat(patience.isBehind(-79_000)).isTrue();
    assertThat(patience.isBehind(-80_000)).isFalse();
  }

  @Test
  void aRestartKnowsFromTheStateHowFarOthersWere() {
    assertThat(patience.meets("run")).isTrue();
    assertThat(patience.meets("run")).isFalse();
    patience.knows(-60_000, 1_000);
    patience.read(1_000, -80_000);
    assertThat(patience.isBehind(-79_000)).isTrue();
    patience.forgets("run");
    assertThat(patience.meets("run")).isTrue();
  }

  @Test
  void aClockThatIsAheadMakesNobodyLate() {
    patience.read(1_000, 3_600_000);
    patience.read(1_001, 1_001);
    assertThat(patience.isBehind(Long.MAX_VALUE)).isFalse();
  }

  @Test
  void partitionsReadSideBySideHoldNothing() {
    patience.read(10_000, 10_000);
    patience.read(10_000, 9_500);
    assertThat(patience.isBehind(Long.MAX_VALUE)).isFalse();
  }
}
