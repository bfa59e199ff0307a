package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.gradflow.core.Origin;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Capture;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.junit.jupiter.api.Test;

/** What is written is read again, and is what Avro's own reader reads. */
class CodecTest {
  private static final int SEEDS = 200;

  @Test
  void shardsReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.SHARDS, s -> s.shard(0), Samples.ORIGIN);
    everySeedReturns(Codecs.SHARDS, s -> s.shard(37), Samples.ORIGIN);
  }

  @Test
  void blocksReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.BLOCKS, s -> s.block(0), Samples.ORIGIN);
    everySeedReturns(Codecs.BLOCKS, s -> s.block(37), Samples.ORIGIN);
  }

  @Test
  void manifestsReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.MANIFESTS, s -> s.manifest(7), null);
  }

  @Test
  void runEventsReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.RUNS, Samples::runEvent, null);
  }

  @Test
  void stepsReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.STEPS, s -> s.step(0), null);
    everySeedReturns(Codecs.STEPS, s -> s.step(19), null);
  }

  @Test
  void windowsReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.WINDOWS, Samples::window, null);
  }

  @Test
  void alertsReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.ALERTS, Samples::alert, null);
  }

  @Test
  void rulesReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.RULES, Samples::rule, null);
  }

  @Test
  void feedbackReturnsAsItWas() throws IOException {
    everySeedReturns(Codecs.FEEDBACK, Samples::feedback, null);
  }

  @Test
  void capturesReturnAsTheyWere() throws IOException {
    everySeedReturns(Codecs.CAPTURES, Samples::capture, null);
  }

  private static <T> void everySeedReturns(
      Codec<T> codec, Function<Samples, T> sample, Origin origin) throws IOException {
    Decoder<T> decoder = codec.decoder(WriterSchemas.known());
    for (long seed = 0; seed < SEEDS; seed++) {
      T value = sample.apply(new Samples(seed));
      List<Encoded> records = codec.encode(value);
      assertThat(records).hasSize(1);
      Decoded<T> decoded = decoder.decode(records.get(0).value(), origin);
      assertThat(decoded.failure()).as("seed %d", seed).isNull();
      assertSame(decoded.value(), value, seed);
      avroReadsTheSame(codec, records.get(0).value());
    }
  }

  /** Field by field, column by column, bit by bit. */
  private static void assertSame(Object actual, Object expected, long seed) {
    assertThat(actual)
        .as("seed %d", seed)
        .usingRecursiveComparison()
        .withEqualsForType(Double::equals, Double.class)
        .withEqualsForType(Float::equals, Float.class)
        .isEqualTo(expected);
  }

  private static void avroReadsTheSame(Codec<?> codec, byte[] value) throws IOException {
    byte[] body = Arrays.copyOfRange(value, 10, value.length);
    Object generic =
        new GenericDatumReader<>(codec.topic().schema())
            .read(null, DecoderFactory.get().binaryDecoder(body, null));
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    BinaryEncoder encoder = EncoderFactory.get().binaryEncoder(out, null);
    new GenericDatumWriter<>(codec.topic().schema()).write(generic, encoder);
    encoder.flush();
    // The order of a map's entries is free, so that equal length and equal content say it all.
    assertThat(out.size()).isEqualTo(body.length);
    assertThat(
            new GenericDatumReader<>(codec.topic().schema())
                .read(null, DecoderFactory.get().binaryDecoder(out.toByteArray(), null)))
        .isEqualTo(generic);
  }

  @Test
  void aShardOfAHundredThousandLayersIsSplitByLayers() {
    Shard whole = new Samples(1).shard(100_000);
    Decoder<Shard> decoder = Codecs.SHARDS.decoder(WriterSchemas.known());
    List<Encoded> records = Codecs.SHARDS.encode(whole);
    assertThat(records).hasSizeGreaterThan(1);
    int next = 0;
    for (int part = 0; part < records.size(); part++) {
      assertThat(records.get(part).value()).hasSizeLessThanOrEqualTo(Topic.MAX_VALUE_BYTES);
      assertThat(records.get(part).key()).isEqualTo(records.get(0).key());
      Shard shard = decoder.decode(records.get(part).value(), null).value();
      assertThat(shard.id()).isEqualTo(whole.id());
      assertThat(shard.part()).isEqualTo(part);
      assertThat(shard.parts()).isEqualTo(records.size());
      LayerColumns columns = shard.columns();
      for (int i = 0; i < columns.size(); i++, next++) {
        assertThat(columns.layer(i)).isEqualTo(whole.columns().layer(next));
        assertThat(columns.norm()[i]).isEqualTo(whole.columns().norm()[next]);
      }
    }
    assertThat(next).isEqualTo(100_000);
  }

  @Test
  void theNonFiniteLayersOfASplitShardStayWithTheirPart() {
    for (long seed = 0; seed < SEEDS; seed++) {
      Shard whole = new Samples(seed).shard(10);
      List<Shard> parts = new ShardMapping().split(whole, 3);
      int[] together =
          parts.stream()
              .filter(p -> p.columns().nonFinite() != null)
              .flatMapToInt(p -> Arrays.stream(p.columns().nonFinite().layers()))
              .toArray();
      int[] expected =
          whole.columns().nonFinite() == null ? new int[0] : whole.columns().nonFinite().layers();
      assertThat(together).isEqualTo(expected);
      Decoder<Shard> decoder = Codecs.SHARDS.decoder(WriterSchemas.known());
      for (Shard part : parts) {
        byte[] bytes = Codecs.SHARDS.encode(part).get(0).value();
        assertSame(decoder.decode(bytes, Samples.ORIGIN).value(), part, seed);
      }
    }
  }

  @Test
  void aManifestOfAHundredThousandLayersIsSplitUnderOneId() {
    Manifest whole = new Samples(2).manifest(100_000);
    Decoder<Manifest> decoder = Codecs.MANIFESTS.decoder(WriterSchemas.known());
    List<Manifest> parts = decodeAll(Codecs.MANIFESTS.encode(whole), decoder);
    assertThat(parts).hasSizeGreaterThan(5);
    assertThat(parts).extracting(Manifest::manifestId).containsOnly(whole.manifestId());
    List<Layer> layers = new ArrayList<>();
    for (Manifest part : parts) {
      assertThat(part.firstLayer()).isEqualTo(layers.size());
      layers.addAll(part.layers());
    }
    assertThat(layers).isEqualTo(whole.layers());
  }

  @Test
  void stepsAreSplitAndJoinedAtAnyNumberOfParts() {
    Decoder<Step> decoder = Codecs.STEPS.decoder(WriterSchemas.known());
    StepMapping mapping = new StepMapping();
    for (long seed = 0; seed < SEEDS; seed++) {
      Step whole = new Samples(seed).step(13);
      List<Step> parts = new ArrayList<>();
      for (Step part : mapping.split(whole, 1 + (int) (seed % 13))) {
        parts.add(decoder.decode(Codecs.STEPS.encode(part).get(0).value(), null).value());
      }
      assertSame(mapping.join(parts), whole, seed);
    }
  }

  @Test
  void aStepOfAHundredThousandLayersFitsItsRecords() {
    Step whole = new Samples(11).step(100_000);
    Decoder<Step> decoder = Codecs.STEPS.decoder(WriterSchemas.known());
    List<Encoded> records = Codecs.STEPS.encode(whole);
    assertThat(records).hasSizeGreaterThan(3);
    assertThat(records)
        .allSatisfy(r -> assertThat(r.value().length).isLessThan(Topic.MAX_VALUE_BYTES));
    Step joined = Codecs.STEPS.join(decodeAll(records, decoder));
    assertThat(joined.norms().l2()).isEqualTo(whole.norms().l2());
  }

  private static <T> List<T> decodeAll(List<Encoded> records, Decoder<T> decoder) {
    return records.stream().map(r -> decoder.decode(r.value(), null).value()).toList();
  }

  @Test
  void keysNeverMeetAcrossNames() {
    assertThat(Topic.key("a|b", "c", 100)).isEqualTo("a%7Cb|c|100");
    assertThat(Topic.key("a", "b|c", 100)).isNotEqualTo(Topic.key("a|b", "c", 100));
    assertThat(Topic.key("a%7Cb")).isNotEqualTo(Topic.key("a|b"));
    Shard shard = new Samples(3).shard(1);
    assertThat(new String(Codecs.SHARDS.encode(shard).get(0).key(), StandardCharsets.UTF_8))
        .isEqualTo(shard.id().runId() + "|" + shard.rank());
    Rule rule = new Samples(3).rule();
    assertThat(new String(Codecs.RULES.encode(rule).get(0).key(), StandardCharsets.UTF_8))
        .isEqualTo("*|" + rule.kind());
    Feedback feedback = new Feedback("a|b", "i1", Feedback.Verdict.FALSE, null, 0, null);
    assertThat(new String(Codecs.FEEDBACK.encode(feedback).get(0).key(), StandardCharsets.UTF_8))
        .as("one verdict an incident survives compaction, not one a run")
        .isEqualTo("a%7Cb|i1");
    Capture capture = new Samples(3).capture();
    assertThat(new String(Codecs.CAPTURES.encode(capture).get(0).key(), StandardCharsets.UTF_8))
        .isEqualTo(capture.runId());
  }

  @Test
  void aMissingRequiredFieldIsNamed() {
    RunEvent nameless = new RunEvent(null, 0, "main", 0, RunEvent.Type.EVAL, 0, Map.of());
    assertThatThrownBy(() -> Codecs.RUNS.encode(nameless))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("GradientRunEvent.runId: expected a value, got null");
  }
}
