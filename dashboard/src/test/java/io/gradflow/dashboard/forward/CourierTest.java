package io.gradflow.dashboard.forward;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.dashboard.forward.Courier.Outcome;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CourierTest {
  private static final Instant NOW = Instant.parse("2026-11-22T10:00:00Z");

  @ParameterizedTest
  @CsvSource({
    "200, DELIVERED",
    "204, DELIVERED",
    "301, REFUSED",
    "400, REFUSED",
    "401, REFUSED",
    "404, REFUSED",
    "413, REFUSED",
    "408, FAILED",
    "425, FAILED",
    "429, FAILED",
    "500, FAILED",
    "503, FAILED"
  })
  void statusSaysWhetherAnotherTimeMayHelp(int status, Outcome expected) {
    assertThat(Courier.answer(status, "", Optional.empty(), NOW).outcome()).isEqualTo(expected);
  }

  @ParameterizedTest
  @CsvSource(
      delimiter = '|',
      value = {
        "7|7",
        "Sun, 22 Nov 2026 10:00:30 GMT|30",
        "Sun, 22 Nov 2026 09:00:00 GMT|",
        "soon|",
        "-3|"
      })
  void retryAfterIsSecondsOrADate(String header, Long seconds) {
    assertThat(Courier.answer(429, "", Optional.of(header), NOW).pause())
        .isEqualTo(Optional.ofNullable(seconds).map(Duration::ofSeconds));
  }

  @Test
  void anAnswerIsToldInOneShortLine() {
    String body = "no\u001b[2Jroom " + "x".repeat(1_000) + "\nsecond line";

    assertThat(Courier.answer(400, body, Optional.empty(), NOW).why())
        .startsWith("HTTP status 400: no?[2Jroom x")
        .endsWith("…")
        .hasSizeLessThan(250);
  }

  @Test
  void theSignatureIsThatOfRfc4231() {
    assertThat(
            Courier.signature(
                "Jefe", "what do ya want for nothing?".getBytes(StandardCharsets.UTF_8)))
        .isEqualTo("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  }
}
