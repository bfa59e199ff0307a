package io.gradflow.operators.wire;

import static io.gradflow.operators.wire.WireTrial.bytes;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Decoder;
import io.gradflow.schema.WriterSchemas;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.apache.flink.util.function.SerializableSupplier;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Values leave as records that their topic takes. */
class EncodeRecordsTest {
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void aValueTooLargeForOneRecordLeavesInParts(boolean restores) throws Exception {
    try (var trial = trial(() -> Codecs.MANIFESTS, restores)) {
      Manifest whole = manifest(20_000);
      trial.put(whole);
      trial.put(manifest(1));

      Decoder<Manifest> decoder = Codecs.MANIFESTS.decoder(WriterSchemas.known());
      List<Manifest> read =
          trial.output().stream().map(r -> decoder.decode(r.value(), null).value()).toList();
      List<Manifest> parts = read.subList(0, read.size() - 1);
      assertThat(parts).hasSizeGreaterThan(1);
      assertThat(parts.stream().flatMap(part -> part.layers().stream()).toList())
          .isEqualTo(whole.layers());
      assertThat(read.get(parts.size()).layers()).hasSize(1);
      assertThat(trial.output())
          .allSatisfy(
              record -> {
                assertThat(record.topic()).isEqualTo("gradient-manifests");
                assertThat(record.value()).hasSizeLessThan(EncodeRecords.LARGEST_VALUE_BYTES);
                assertThat(record.headers()).isEmpty();
              });
      assertThat(trial.output().stream().map(r -> new String(r.key(), UTF_8)))
          .startsWith("run|" + whole.manifestId() + "|0", "run|" + whole.manifestId() + "|1");
      assertThat(trial.letters()).isEmpty();
    }
  }

  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void whatCannotBeSplitBecomesADeadLetter(boolean restores) throws Exception {
    try (var trial = trial(() -> Codecs.RUNS, restores)) {
      RunEvent huge = event("x".repeat(2_000_000));
      trial.put(event("before"));
      trial.put(huge);
      trial.put(event("after"));

      Decoder<RunEvent> decoder = Codecs.RUNS.decoder(WriterSchemas.known());
      assertThat(trial.output())
          .extracting(r -> decoder.decode(r.value(), null).value())
          .containsExactly(event("before"), event("after"));
      assertThat(trial.letters()).hasSize(1);
      OutgoingRecord letter = trial.letters().get(0);
      assertThat(letter.topic()).isEqualTo("gradient-dead-letters");
      assertThat(letter.key()).isEqualTo(bytes("run"));
      assertThat(decoder.decode(letter.value(), null).value()).isEqualTo(huge);
      assertThat(letter.headers())
          .containsExactlyInAnyOrderEntriesOf(
              Map.of(
                  "reason",
                  "too-large",
                  "detail",
                  "gradient-runs: expected a record of at most 1000000 bytes, got "
                      + letter.value().length,
                  "topic",
                  "gradient-runs",
                  "job",
                  "NormJob",
                  "version",
                  "1.2.3"));
    }
  }

  private static <T> WireTrial<T, OutgoingRecord> trial(
      SerializableSupplier<Codec<T>> codec, boolean restores) throws Exception {
    return new WireTrial<>(
        () -> new EncodeRecords<>(codec, WireTrial.LETTERS), EncodeRecords.OVERSIZED, restores);
  }

  private static RunEvent event(String note) {
    return new RunEvent(
        "run", 1, StepId.MAIN_STREAM, 7, RunEvent.Type.CHANGED, 0, Map.of("note", note));
  }

  private static Manifest manifest(int layers) {
    return new Manifest(
            "run",
            1,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            layers,
            4,
            List.of(new MeshAxis("dp_replicate", 4)),
            List.of(),
            "mean",
            "float32",
            null,
            null,
            null,
            null,
            IntStream.range(0, layers).mapToObj(EncodeRecordsTest::layer).toList())
        .identified();
  }

  private static Layer layer(int index) {
    return new Layer(
        "decoder.layers." + index + ".self_attention.query_key_value.weight",
        null,
        null,
        LayerKind.WEIGHT,
        2,
        "float32",
        true,
        false,
        false,
        null,
        List.of(Placement.REPLICATE));
  }
}
