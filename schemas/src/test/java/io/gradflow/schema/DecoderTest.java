package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.sun.management.ThreadMXBean;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Shard;
import java.io.ByteArrayOutputStream;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.apache.avro.Schema;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Whatever the bytes are, there is a value or a reason. */
class DecoderTest {
  private static final int HEADER = 10;

  private static Stream<Sample> everyTopic() {
    Samples samples = new Samples(5);
    return Stream.of(
        Sample.of(Codecs.MANIFESTS, samples.manifest(3)),
        Sample.of(Codecs.RUNS, samples.runEvent()),
        Sample.of(Codecs.SHARDS, samples.shard(5)),
        Sample.of(Codecs.BLOCKS, samples.block(5)),
        Sample.of(Codecs.STEPS, samples.step(5)),
        Sample.of(Codecs.WINDOWS, samples.window()),
        Sample.of(Codecs.ALERTS, samples.alert()),
        Sample.of(Codecs.RULES, samples.rule()),
        Sample.of(Codecs.FEEDBACK, samples.feedback()),
        Sample.of(Codecs.CAPTURES, samples.capture()));
  }

  private record Sample(Topic topic, byte[] bytes, Decoder<?> decoder) {
    static <T> Sample of(Codec<T> codec, T value) {
      return new Sample(
          codec.topic(), codec.encode(value).get(0).value(), codec.decoder(WriterSchemas.known()));
    }

    Undecodable refusal(byte[] bytes) {
      return decoder.decode(bytes, Samples.ORIGIN).failure();
    }

    @Override
    public String toString() {
      return topic.topicName();
    }
  }

  @ParameterizedTest
  @MethodSource("everyTopic")
  void everyTruncationIsRefused(Sample sample) {
    for (int length = 0; length < sample.bytes.length; length++) {
      Undecodable failure = sample.refusal(Arrays.copyOf(sample.bytes, length));
      assertThat(failure).as("cut to %d bytes", length).isNotNull();
      assertThat(failure.detail()).startsWith("gradient-shards-3@42: ");
    }
  }

  @ParameterizedTest
  @MethodSource("everyTopic")
  void trailingBytesAreRefused(Sample sample) {
    Undecodable failure = sample.refusal(Arrays.copyOf(sample.bytes, sample.bytes.length + 2));
    assertThat(failure.reason()).isEqualTo(Undecodable.Reason.MALFORMED);
    assertThat(failure.detail())
        .isEqualTo(
            "gradient-shards-3@42: expected the record to end at byte %d, got 2 bytes more",
            sample.bytes.length);
  }

  @ParameterizedTest
  @MethodSource("everyTopic")
  void anyByteMayBeAnything(Sample sample) {
    Random random = new Random(17);
    for (int i = 0; i < 20_000; i++) {
      byte[] bytes = sample.bytes.clone();
      for (int flips = 1 + random.nextInt(4); flips > 0; flips--) {
        bytes[HEADER + random.nextInt(bytes.length - HEADER)] = (byte) random.nextInt();
      }
      assertOneOfTwo(sample.decoder.decode(bytes, null));
    }
  }

  @ParameterizedTest
  @MethodSource("everyTopic")
  void anyBytesAtAllMayCome(Sample sample) {
    Random random = new Random(18);
    for (int i = 0; i < 20_000; i++) {
      byte[] noise = new byte[random.nextInt(200)];
      random.nextBytes(noise);
      assertOneOfTwo(sample.decoder.decode(noise, null));
      byte[] framed = Arrays.copyOf(sample.bytes, HEADER + noise.length);
      System.arraycopy(noise, 0, framed, HEADER, noise.length);
      assertOneOfTwo(sample.decoder.decode(framed, null));
    }
  }

  private static void assertOneOfTwo(Decoded<?> decoded) {
    assertThat(decoded.value() == null).isNotEqualTo(decoded.failure() == null);
    if (decoded.failure() != null) {
      // The net under the decoder must not be what catches it.
      assertThat(decoded.failure().detail()).doesNotContain("reading failed with");
    }
  }

  @Test
  void anAbsurdArrayLengthCostsNothing() {
    // Run id, attempt, stream, step, rank, then coords of 2^31 - 1 items.
    byte[] body = {2, 'r', 0, 2, 'm', 0, 0, -2, -1, -1, -1, 15};
    assertThat(refusal(framed(Topic.SHARDS.schema(), body)).detail())
        .contains("expected at most 12 array items before byte 22, got 2147483647");
  }

  @Test
  void anAbsurdTextLengthCostsNothing() {
    byte[] body = {-2, -1, -1, -1, 15, 'r'};
    assertThat(refusal(framed(Topic.SHARDS.schema(), body)).detail())
        .contains("expected 2147483647 more bytes at byte 15, got 1");
  }

  @Test
  void itemsThatTakeNoBytesAreCountedAgainstTheRecord() {
    Schema writer =
        new Schema.Parser()
            .parse(
                Topic.RULES
                    .schema()
                    .toString()
                    .replace(
                        "\"fields\":[",
                        "\"fields\":[{\"name\":\"junk\",\"type\":{\"type\":\"array\",\"items\":"
                            + "\"null\"}},"));
    // Two million blocks of one null each: more items than the record has bytes left for.
    byte[] body = new byte[2_000_000];
    Arrays.fill(body, (byte) 2);
    Decoded<?> decoded =
        Codecs.RULES
            .decoder(WriterSchemas.known(List.of(writer)))
            .decode(framed(writer, body), null);
    assertThat(decoded.failure().reason()).isEqualTo(Undecodable.Reason.MALFORMED);
  }

  @Test
  void aRecursiveWritersSchemaIsFollowedToABoundedDepth() {
    Schema writer =
        new Schema.Parser()
            .parse(
                "{\"type\":\"record\",\"name\":\"GradientRule\",\"namespace\":"
                    + "\"io.gradflow.schema\",\"fields\":[{\"name\":\"next\",\"type\":"
                    + "[\"null\",\"GradientRule\"]},{\"name\":\"scope\",\"type\":\"string\"},"
                    + "{\"name\":\"kind\",\"type\":\"string\"},"
                    + "{\"name\":\"policyVersion\",\"type\":\"long\"}]}");
    byte[] body = new byte[1_000_000];
    Arrays.fill(body, (byte) 2);
    Decoded<?> decoded =
        Codecs.RULES
            .decoder(WriterSchemas.known(List.of(writer)))
            .decode(framed(writer, body), null);
    assertThat(decoded.failure().detail()).contains("nested at most 64 deep");
  }

  @Test
  void aWritersSchemaThatNestsNothingsCostsNoMoreThanItsRecord() {
    // Each of 40 records holds the next one twice: 2^40 values in no byte at all.
    StringBuilder nothings = new StringBuilder();
    for (int depth = 0; depth < 40; depth++) {
      nothings.append(
          "{\"type\":\"record\",\"name\":\"N%d\",\"fields\":[{\"name\":\"a\",\"type\":"
              .formatted(depth));
    }
    nothings.append("\"null\"}]}");
    for (int depth = 39; depth > 0; depth--) {
      nothings.append("},{\"name\":\"b\",\"type\":\"N%d\"}]}".formatted(depth));
    }
    Schema writer =
        new Schema.Parser()
            .parse(
                Topic.RULES
                    .schema()
                    .toString()
                    .replace(
                        "\"fields\":[",
                        "\"fields\":[{\"name\":\"junk\",\"type\":" + nothings + "},"));
    Decoded<?> decoded =
        assertTimeoutPreemptively(
            Duration.ofSeconds(10),
            () ->
                Codecs.RULES
                    .decoder(WriterSchemas.known(List.of(writer)))
                    .decode(framed(writer, new byte[1_000]), null));
    assertThat(decoded.failure().detail()).contains("more values without bytes than bytes");
  }

  /** Lengths that no record can have, as Avro writes them. */
  private static final byte[][] ABSURD = {
    {-2, -1, -1, -1, 15}, // 2^31 - 1
    {-1, -1, -1, -1, 15}, // -2^31: an array block that also says its size
    {-128, -128, -128, -128, -128, 64}, // 2^40
    {-2, -1, -1, -1, -1, -1, -1, -1, -1, 1}, // 2^63 - 1
  };

  @ParameterizedTest
  @MethodSource("everyTopic")
  void anAbsurdLengthAnywhereAllocatesNoMoreThanTheRecordIsWorth(Sample sample) {
    ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    sample.decoder.decode(sample.bytes, null); // The plan of the schema is made once.
    for (int at = HEADER; at < sample.bytes.length; at++) {
      for (byte[] length : ABSURD) {
        byte[] bytes = new byte[at + length.length + 1_000];
        System.arraycopy(sample.bytes, 0, bytes, 0, at);
        System.arraycopy(length, 0, bytes, at, length.length);
        long before = threads.getCurrentThreadAllocatedBytes();
        Decoded<?> decoded = sample.decoder.decode(bytes, null);
        long allocated = threads.getCurrentThreadAllocatedBytes() - before;
        assertOneOfTwo(decoded);
        assertThat(allocated)
            .as("bytes allocated for %d, an absurd length at %d", bytes.length, at)
            .isLessThan(64L * bytes.length);
      }
    }
  }

  @Test
  void aRecordBeyondTheLimitIsNotLookedAt() {
    Undecodable failure = refusal(new byte[20_000_000]);
    assertThat(failure.reason().word()).isEqualTo("too-large");
    assertThat(failure.detail())
        .isEqualTo(
            "gradient-shards-3@42: expected at most 4194304 bytes, got 20000000: split the record"
                + " into parts");
  }

  @Test
  void noBytesAreRefused() {
    assertThat(refusal(null).reason().word()).isEqualTo("empty");
    assertThat(refusal(new byte[0]).reason().word()).isEqualTo("empty");
  }

  @Test
  void anotherTopicsRecordIsTheWrongSchema() {
    byte[] rule = Codecs.RULES.encode(new Samples(1).rule()).get(0).value();
    Undecodable failure = refusal(rule);
    assertThat(failure.reason().word()).isEqualTo("wrong-schema");
    assertThat(failure.detail())
        .endsWith("expected a record GradientShard, got \"io.gradflow.schema.GradientRule\"");
  }

  @Test
  void impossibleHeadersAreRefusedWithASentence() {
    Map<String, Consumer<Row>> faults = new HashMap<>();
    faults.put("expected weight to be finite and not negative, got NaN", set("weight", Double.NaN));
    faults.put(
        "expected weight to be finite and not negative, got Infinity",
        set("weight", Double.POSITIVE_INFINITY));
    faults.put(
        "expected lossScale to be finite and positive, got NaN", set("lossScale", Double.NaN));
    faults.put("expected lossScale to be finite and positive, got 0.0", set("lossScale", 0.0));
    faults.put("expected rank of 0 to 1048575, got -1", set("rank", -1));
    faults.put("expected rank of 0 to 1048575, got 2147483647", set("rank", Integer.MAX_VALUE));
    faults.put("expected step not to be negative, got -5", set("step", -5L));
    faults.put("expected attempt not to be negative, got -1", set("attempt", -1L));
    faults.put("expected runId to have 1 to 500 characters, got 0", set("runId", ""));
    faults.put(
        "expected runId to have 1 to 500 characters, got 501", set("runId", "r".repeat(501)));
    faults.put("expected parts of 1 to 100000, got 0", set("parts", 0));
    faults.put("expected part of 0 to 0, got 1", set("part", 1));
    faults.put("expected accumIndex of 0 to 3, got 4", set("accumIndex", 4));
    faults.put("expected coords not to be negative, got -2", set("coords", new int[] {-2}));
    faults.put(
        "expected stage to be one of [LOCAL, REDUCED], got \"GLOBAL?\"", set("stage", "GLOBAL\n"));
    faults.forEach((sentence, fault) -> assertRefused(fault, "bad-header", sentence));
  }

  @Test
  void columnsThatContradictEachOtherAreRefusedWithASentence() {
    Map<String, Consumer<Row>> faults = new HashMap<>();
    faults.put("expected 5 values in maxAbs, got 4", set("maxAbs", new float[4]));
    faults.put("expected 5 values in zeros, got 6", set("zeros", new long[6]));
    faults.put("expected the columns norm and maxAbs, got none", set("norm", null));
    faults.put(
        "expected layers ascending from 0, got 3 after 3",
        set("layers", new int[] {1, 3, 3, 4, 5}));
    faults.put(
        "expected no count below 0 in elements, got -1",
        set("elements", new long[] {1, 1, 1, 1, -1}));
    faults.put(
        "expected finite magnitudes in norm (non-finite elements are counted apart, an overflow is"
            + " 3.4028235e38), got NaN",
        set("norm", new float[] {1, 1, 1, 1, Float.NaN}));
    faults.put(
        "expected nans beside nonFiniteLayers, got none",
        row -> row.set("nonFiniteLayers", new int[] {1}).set("nans", null));
    faults.put(
        "expected nonFiniteLayers among the layers of the record, got 999999",
        row ->
            row.set("nonFiniteLayers", new int[] {999_999})
                .set("nans", new long[1])
                .set("posInfs", new long[1])
                .set("negInfs", new long[1]));
    faults.forEach((sentence, fault) -> assertRefused(fault, "bad-columns", sentence));
  }

  @Test
  void blocksThatContradictThemselvesAreRefusedWithASentence() {
    assertBlockRefused(
        set("count", 6L), "bad-columns", "expected 6 values of 2 bytes (bfloat16), got 10 bytes");
    assertBlockRefused(
        set("values", new byte[9]),
        "bad-columns",
        "expected 5 values of 2 bytes (bfloat16), got 9 bytes");
    // Twice this is 10 in 64 bits.
    assertBlockRefused(
        set("count", 5L + (1L << 63)), "bad-header", "expected count not to be negative, got -92");
    assertBlockRefused(
        set("dtype", "float8"),
        "bad-header",
        "expected dtype to be one of [float32, float16, bfloat16], got \"float8\"");
    assertBlockRefused(set("layer", -1), "bad-header", "expected layer of 0 to 2147483647, got -1");
    assertBlockRefused(
        set("offset", -3L), "bad-header", "expected offset not to be negative, got -3");
    assertBlockRefused(
        set("purpose", "LOOK"),
        "bad-header",
        "expected purpose to be one of [MEASURE, CAPTURE], got \"LOOK\"");
    assertBlockRefused(
        set("captureId", "c-1"),
        "bad-header",
        "expected a captureId with purpose CAPTURE and with no other, got purpose MEASURE with one");
    assertBlockRefused(
        set("purpose", "CAPTURE"),
        "bad-header",
        "expected a captureId with purpose CAPTURE and with no other, got purpose CAPTURE without"
            + " one");
    assertBlockRefused(
        set("weight", Double.NaN),
        "bad-header",
        "expected weight to be finite and not negative, got NaN");
  }

  @Test
  void placesOfRanksThatAreNoneAreRefusedWithASentence() {
    assertPlacesRefused(
        row -> row.set("hostOf", new int[] {0, 2}), "expected hostOf to be from -1 to 1, got 2");
    assertPlacesRefused(
        row -> row.set("hostOf", new int[] {-2, 0}), "expected hostOf to be from -1 to 1, got -2");
    assertPlacesRefused(row -> row.set("hostOf", new int[1]), "expected 2 values in hostOf, got 1");
    assertPlacesRefused(
        row -> row.set("hostOf", null), "expected hostOf beside its partners, got none");
    assertPlacesRefused(
        row -> row.set("rankWeight", new double[3]), "expected 2 values in rankWeight, got 3");
  }

  private static void assertPlacesRefused(Consumer<Row> fault, String sentence) {
    RowType type = Topic.STEPS.rowType();
    Row row = new StepMapping().toRow(new Samples(5).step(3), type);
    Row evidence =
        type.nested("evidence")
            .row()
            .set("ranks", new int[] {0, 1})
            .set("localNorm", new double[2])
            .set("arrivalLagMs", new long[2])
            .set("dropped", new long[2])
            .set("hosts", List.of("node-1", "node-2"))
            .set("hostOf", new int[] {1, -1});
    fault.accept(evidence);
    row.set("evidence", evidence);
    ByteWriter out = new ByteWriter();
    type.write(out, row);
    Undecodable failure =
        Codecs.STEPS
            .decoder(WriterSchemas.known())
            .decode(framed(type.schema(), out.toByteArray()), null)
            .failure();
    assertThat(failure).as(sentence).isNotNull();
    assertThat(failure.detail()).isEqualTo("gradient-steps: " + sentence);
    assertThat(failure.reason().word()).isEqualTo("bad-columns");
  }

  private static void assertBlockRefused(Consumer<Row> fault, String reason, String sentence) {
    Block block =
        new Block(
            new Samples(5).shard(0).part(0, 1, null),
            1,
            0,
            null,
            5,
            Dtype.BFLOAT16,
            new byte[10],
            Block.Purpose.MEASURE,
            null);
    RowType type = Topic.BLOCKS.rowType();
    Row row = new BlockMapping().toRow(block, type);
    fault.accept(row);
    ByteWriter out = new ByteWriter();
    type.write(out, row);
    Undecodable failure =
        Codecs.BLOCKS
            .decoder(WriterSchemas.known())
            .decode(framed(type.schema(), out.toByteArray()), null)
            .failure();
    assertThat(failure).as(sentence).isNotNull();
    assertThat(failure.detail()).startsWith("gradient-blocks: " + sentence);
    assertThat(failure.reason().word()).isEqualTo(reason);
  }

  private static Consumer<Row> set(String field, Object value) {
    return row -> row.set(field, value);
  }

  private static void assertRefused(Consumer<Row> fault, String reason, String sentence) {
    RowType type = Topic.SHARDS.rowType();
    Row row = new ShardMapping().toRow(new Samples(5).shard(5), type);
    fault.accept(row);
    ByteWriter out = new ByteWriter();
    type.write(out, row);
    Undecodable failure = refusal(framed(type.schema(), out.toByteArray()));
    assertThat(failure).as(sentence).isNotNull();
    assertThat(failure.detail()).isEqualTo("gradient-shards-3@42: " + sentence);
    assertThat(failure.reason().word()).isEqualTo(reason);
  }

  private static Undecodable refusal(byte[] bytes) {
    Decoder<Shard> decoder = Codecs.SHARDS.decoder(WriterSchemas.known());
    return decoder.decode(bytes, Samples.ORIGIN).failure();
  }

  private static byte[] framed(Schema schema, byte[] body) {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    out.writeBytes(WriterSchemas.header(schema));
    out.writeBytes(body);
    return out.toByteArray();
  }
}
