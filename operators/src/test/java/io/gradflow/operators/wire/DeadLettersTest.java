package io.gradflow.operators.wire;

import static io.gradflow.operators.wire.WireTrial.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Origin;
import io.gradflow.core.Rejection;
import io.gradflow.core.StepId;
import io.gradflow.schema.Undecodable;
import java.util.Map;
import org.junit.jupiter.api.Test;

class DeadLettersTest {
  private static final Origin ORIGIN = new Origin("gradient-shards", 5, 41, 1_700);
  private static final DeadLetters LETTERS = new DeadLetters("NormJob", "1.2.3");

  @Test
  void anExceptionNobodyForesawIsNamed() {
    var failure =
        new Undecodable(
            Undecodable.Reason.MALFORMED,
            "reading failed",
            "java.lang.ArithmeticException: / by zero");

    OutgoingRecord letter = LETTERS.of(new RawRecord(ORIGIN, null, bytes("x")), failure);

    assertThat(letter.headers())
        .containsEntry("exception", "java.lang.ArithmeticException: / by zero");
  }

  @Test
  void whatWasUnderstoodAndRefusedIsIdentifiedWithoutBytes() {
    var rejection =
        new Rejection("no-manifest", "too late", new StepId("gpt", 9, "main", 7), 3, ORIGIN);

    OutgoingRecord letter = LETTERS.of(rejection);

    assertThat(letter.topic()).isEqualTo("gradient-dead-letters");
    assertThat(letter.key()).isEqualTo(bytes("gpt"));
    assertThat(letter.value()).isNull();
    assertThat(letter.headers())
        .containsExactlyInAnyOrderEntriesOf(
            Map.ofEntries(
                Map.entry("reason", "no-manifest"),
                Map.entry("detail", "too late"),
                Map.entry("run", "gpt"),
                Map.entry("attempt", "9"),
                Map.entry("stream", "main"),
                Map.entry("step", "7"),
                Map.entry("rank", "3"),
                Map.entry("topic", "gradient-shards"),
                Map.entry("partition", "5"),
                Map.entry("offset", "41"),
                Map.entry("timestamp", "1700"),
                Map.entry("job", "NormJob"),
                Map.entry("version", "1.2.3")));
  }

  @Test
  void whatWasReadNowhereHasNoCoordinates() {
    var rejection = new Rejection("bad-columns", "odd", new StepId("gpt", 9, "main", 7), -1, null);

    assertThat(LETTERS.of(rejection).headers())
        .doesNotContainKeys("topic", "partition", "offset", "timestamp");
  }

  @Test
  void bytesThatNoTopicTakesAreCountedAndLeftOut() {
    var failure = new Undecodable(Undecodable.Reason.TOO_LARGE, "too large", null);
    byte[] key = bytes("k");
    byte[] most = new byte[DeadLetters.MAX_LETTER_BYTES - 1];
    byte[] more = new byte[DeadLetters.MAX_LETTER_BYTES];

    OutgoingRecord kept = LETTERS.of(new RawRecord(ORIGIN, key, most), failure);
    OutgoingRecord omitted = LETTERS.of(new RawRecord(ORIGIN, key, more), failure);

    assertThat(kept.value()).isSameAs(most);
    assertThat(kept.headers()).doesNotContainKey("omitted");
    assertThat(omitted.value()).isNull();
    assertThat(omitted.key()).isNull();
    assertThat(omitted.headers())
        .containsEntry("omitted", Integer.toString(DeadLetters.MAX_LETTER_BYTES + 1))
        .containsEntry("offset", "41");
  }
}
