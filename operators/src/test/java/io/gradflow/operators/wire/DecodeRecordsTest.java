package io.gradflow.operators.wire;

import static io.gradflow.operators.wire.WireTrial.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.Origin;
import io.gradflow.core.StepId;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import java.io.ByteArrayOutputStream;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.flink.util.function.SerializableSupplier;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Poison among good records: it becomes dead letters, and the good ones pass. */
class DecodeRecordsTest {
  private static final byte[] KEY = bytes("run|3");
  private static final RunEvent EVENT =
      new RunEvent("run", 1, StepId.MAIN_STREAM, 7, RunEvent.Type.EVAL, 0, Map.of());

  /** Bytes that are no shard. */
  private record Poison(String name, byte[] value, String reason, String sentence) {
    @Override
    public String toString() {
      return name;
    }
  }

  private static Stream<Poison> poison() {
    byte[] good = encoded(shard(1));
    byte[] otherMagic = good.clone();
    otherMagic[0] = 'x';
    byte[] otherFingerprint = good.clone();
    otherFingerprint[5]++;
    // Run id, attempt, stream, step, rank, then coords of 2^31 - 1 items.
    byte[] manyItems = {2, 'r', 0, 2, 'm', 0, 0, -2, -1, -1, -1, 15};
    byte[] longText = {-2, -1, -1, -1, 15, 'r'};
    return Stream.of(
        new Poison("no value", null, "empty", "expected a value, got none"),
        new Poison("no bytes", new byte[0], "empty", "expected a value, got none"),
        new Poison(
            "truncated", Arrays.copyOf(good, good.length - 1), "malformed", "more bytes at byte"),
        new Poison(
            "trailing bytes",
            Arrays.copyOf(good, good.length + 3),
            "malformed",
            "got 3 bytes more"),
        new Poison("wrong magic", otherMagic, "unknown-framing", "bytes starting 78 01"),
        new Poison("not Avro", bytes("{\"run\": 1}"), "unknown-framing", "got 10 bytes"),
        new Poison(
            "unknown fingerprint", otherFingerprint, "unknown-schema", "expected the fingerprint"),
        new Poison(
            "a registry's record", new byte[] {0, 0, 0, 0, 7, 1}, "unknown-schema", "schema id 7"),
        new Poison(
            "another topic's record",
            Codecs.RUNS.encode(EVENT).get(0).value(),
            "wrong-schema",
            "expected a record GradientShard"),
        new Poison(
            "absurd array length", body(good, manyItems), "malformed", "array items before byte"),
        new Poison("absurd text length", body(good, longText), "malformed", "2147483647 more"),
        new Poison("20 MB", new byte[20_000_000], "too-large", "got 20000000"),
        new Poison(
            "non-finite header",
            encoded(shard(Double.NaN)),
            "bad-header",
            "expected weight to be finite and not negative, got NaN"),
        new Poison(
            "infinite header",
            encoded(shard(Double.POSITIVE_INFINITY)),
            "bad-header",
            "expected weight to be finite and not negative, got Infinity"));
  }

  @ParameterizedTest
  @MethodSource("poison")
  void poisonBecomesADeadLetterAndItsNeighboursPass(Poison poison) throws Exception {
    try (var trial = trial(() -> Codecs.SHARDS, false)) {
      trial.put(raw("gradient-shards", 40, encoded(shard(1))));
      trial.put(raw("gradient-shards", 41, poison.value()));
      trial.put(raw("gradient-shards", 42, encoded(shard(2))));

      assertThat(trial.output()).extracting(Shard::weight).containsExactly(1.0, 2.0);
      assertThat(trial.output()).extracting(s -> s.origin().offset()).containsExactly(40L, 42L);
      assertThat(trial.letters()).hasSize(1);
      OutgoingRecord letter = trial.letters().get(0);
      assertThat(letter.topic()).isEqualTo("gradient-dead-letters");
      assertThat(letter.key()).isEqualTo(KEY);
      assertThat(letter.value()).isEqualTo(poison.value());
      assertThat(letter.headers())
          .containsExactlyInAnyOrderEntriesOf(
              Map.of(
                  "reason", poison.reason(),
                  "detail", letter.headers().get("detail"),
                  "topic", "gradient-shards",
                  "partition", "5",
                  "offset", "41",
                  "timestamp", "1700000000041",
                  "job", "NormJob",
                  "version", "1.2.3"));
      assertThat(letter.headers().get("detail"))
          .startsWith("gradient-shards-5@41: ")
          .contains(poison.sentence());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void allPoisonAtOnceChangesNothing(boolean restores) throws Exception {
    try (var trial = trial(() -> Codecs.SHARDS, restores)) {
      trial.put(raw("gradient-shards", 0, encoded(shard(1))));
      for (Poison poison : poison().toList()) {
        trial.put(raw("gradient-shards", 1, poison.value()));
        trial.put(raw("gradient-shards", 2, encoded(shard(2))));
      }
      int count = (int) poison().count();
      assertThat(trial.output()).hasSize(1 + count);
      assertThat(trial.letters())
          .extracting(OutgoingRecord::value)
          .containsExactlyElementsOf(poison().map(Poison::value).toList());
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aDeletionInACompactedTopicSaysNothing(boolean restores) throws Exception {
    try (var trial = trial(() -> Codecs.RUNS, restores)) {
      byte[] event = Codecs.RUNS.encode(EVENT).get(0).value();
      trial.put(raw("gradient-runs", 0, event));
      trial.put(raw("gradient-runs", 1, null));
      trial.put(raw("gradient-runs", 2, new byte[0]));
      trial.put(raw("gradient-runs", 3, event));

      assertThat(trial.output()).containsExactly(EVENT, EVENT);
      assertThat(trial.letters())
          .extracting(letter -> letter.headers().get("offset"))
          .containsExactly("2");
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aBlockIsMeasuredAsItIsReadAndACapturedOneIsSetAside(boolean restores) throws Exception {
    byte[] values = {0, 0, 64, 64, 0, 0, (byte) 128, 64, 0, 0, (byte) 192, 127};
    try (var trial =
        new WireTrial<RawRecord, Shard>(
            () ->
                new DecodeRecords<>(() -> Codecs.BLOCKS, Block::measured, null, WireTrial.LETTERS),
            DecodeRecords.DEAD_LETTERS,
            restores)) {
      trial.put(raw("gradient-blocks", 7, encoded(block(3, values, null))));
      trial.put(raw("gradient-blocks", 8, encoded(block(3, values, "capture-1"))));
      byte[] badCount = encoded(block(4, values, null));
      trial.put(raw("gradient-blocks", 9, badCount));

      assertThat(trial.output()).hasSize(1);
      Shard shard = trial.output().get(0);
      assertThat(shard.origin().offset()).isEqualTo(7);
      assertThat(shard.columns().layer(0)).isEqualTo(2);
      assertThat(shard.columns().square(0)).isEqualTo(25);
      assertThat(shard.columns().elements()).containsExactly(3);
      assertThat(shard.columns().nonFinite().nans()).containsExactly(1);
      assertThat(shard.loss()).isEqualTo(0.5);
      assertThat(trial.letters()).hasSize(1);
      assertThat(trial.letters().get(0).value()).isEqualTo(badCount);
      assertThat(trial.letters().get(0).headers())
          .containsEntry("reason", "bad-columns")
          .containsEntry(
              "detail",
              "gradient-blocks-5@9: expected 4 values of 4 bytes (float32), got 12 bytes");
    }
  }

  private static byte[] encoded(Block block) {
    return Codecs.BLOCKS.encode(block).get(0).value();
  }

  private static Block block(long count, byte[] values, String captureId) {
    return new Block(
        shard(1).part(0, 1, null),
        2,
        0,
        null,
        count,
        Dtype.FLOAT32,
        values,
        captureId == null ? Block.Purpose.MEASURE : Block.Purpose.CAPTURE,
        captureId);
  }

  @Test
  void aKeyMayBeAbsentOrAnything() throws Exception {
    try (var trial = trial(() -> Codecs.SHARDS, false)) {
      var origin = new Origin("gradient-shards", 0, 0, 0);
      byte[] noText = {(byte) 0xFF, 0};
      trial.put(new RawRecord(origin, null, bytes("x")));
      trial.put(new RawRecord(origin, noText, bytes("x")));

      assertThat(trial.letters()).extracting(OutgoingRecord::key).containsExactly(null, noText);
    }
  }

  private static <T> WireTrial<RawRecord, T> trial(
      SerializableSupplier<Codec<T>> codec, boolean restores) throws Exception {
    return new WireTrial<>(
        () -> new DecodeRecords<>(codec, value -> value, null, WireTrial.LETTERS),
        DecodeRecords.DEAD_LETTERS,
        restores);
  }

  private static RawRecord raw(String topic, long offset, byte[] value) {
    return new RawRecord(new Origin(topic, 5, offset, 1_700_000_000_000L + offset), KEY, value);
  }

  private static byte[] encoded(Shard shard) {
    return Codecs.SHARDS.encode(shard).get(0).value();
  }

  /** The framing of a good record before another body. */
  private static byte[] body(byte[] good, byte[] body) {
    var out = new ByteArrayOutputStream();
    out.write(good, 0, 10);
    out.writeBytes(body);
    return out.toByteArray();
  }

  private static Shard shard(double weight) {
    return new Shard(
        new StepId("run", 1, StepId.MAIN_STREAM, 7),
        3,
        new int[] {3},
        0,
        1,
        42,
        Stage.REDUCED,
        6,
        0,
        1,
        0,
        0,
        0,
        weight,
        null,
        false,
        null,
        null,
        0.5,
        null,
        null,
        "host",
        null,
        Measurement.of(new float[] {3, 4}),
        null);
  }
}
