package io.gradflow.schema;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Cause;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Sketches;
import io.gradflow.core.shard.Stage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.io.DecoderFactory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * That the Python trainer writes what Java reads, and Java what it reads: the same values, in
 * {@code trainer-python/tests/golden.py} and here, make the same bytes.
 *
 * <p>{@code mvn -o -pl schemas -am test -Dtest=PythonTrainerTest -Dgradflow.golden=write
 * -Dsurefire.failIfNoSpecifiedTests=false} writes Java's files anew; {@code
 * trainer-python/tests/golden.py}, run as a program, writes Python's.
 */
class PythonTrainerTest {
  private static final Path PYTHON = Path.of("..", "trainer-python");
  private static final Path GOLDEN = PYTHON.resolve(Path.of("tests", "golden"));
  private static final Path COPIES = PYTHON.resolve(Path.of("src", "gradflow", "schemas"));
  private static final Path SCHEMAS = Path.of("src", "main", "avro");

  private static final int LAYERS = 40;
  private static final StepId ID = new StepId("run|1%", 1_700_000_000_000L, "generator", 7);

  @ParameterizedTest
  @ValueSource(strings = {"GradientShard", "GradientManifest", "GradientRunEvent", "GradientAlert"})
  void itsSchemasAreThese(String name) throws IOException {
    assertThat(COPIES.resolve(name + ".avsc"))
        .as("copy it from schemas/src/main/avro")
        .hasSameTextualContentAs(SCHEMAS.resolve(name + ".avsc"));
  }

  @Test
  void itsReleasedSchemasAreThese() throws IOException {
    assertThat(COPIES.resolve("GradientAlert-0.1.0.avsc"))
        .hasSameTextualContentAs(SCHEMAS.resolve("released/0.1.0/GradientAlert.avsc"));
  }

  // --- Records of one part ----------------------------------------------------------------------

  @Test
  void shardOfEveryColumn() throws IOException {
    Row row = new ShardMapping().toRow(fullShard(), Topic.SHARDS.rowType());
    row.set("batchIds", List.of("part-7", "ß"));
    assertWritten("shard-full", written(Topic.SHARDS, row));
    assertRead(Codecs.SHARDS, "shard-full", fullShard());
    assertThat(generic(Topic.SHARDS, "shard-full").get("batchIds"))
        .hasToString("[part-7, ß]"); // no value of Java's has it
  }

  @Test
  void shardOfNoColumnButThoseEveryRecordHas() throws IOException {
    assertWritten("shard-bare", Codecs.SHARDS.encode(bareShard()).get(0).value());
    assertRead(Codecs.SHARDS, "shard-bare", bareShard());
  }

  @Test
  void manifest() throws IOException {
    Row row = new ManifestMapping().toRow(fullManifest(), Topic.MANIFESTS.rowType());
    row.records("reporting").get(1).set("columnEvery", Map.of("histogramBins", 50));
    assertWritten("manifest-full", written(Topic.MANIFESTS, row));
    assertRead(Codecs.MANIFESTS, "manifest-full", fullManifest());
    GenericRecord reporting =
        (GenericRecord)
            ((List<?>) generic(Topic.MANIFESTS, "manifest-full").get("reporting")).get(1);
    assertThat(reporting.get("columnEvery")).hasToString("{histogramBins=50}");

    assertWritten("manifest-bare", Codecs.MANIFESTS.encode(bareManifest()).get(0).value());
    assertRead(Codecs.MANIFESTS, "manifest-bare", bareManifest());
  }

  @Test
  void runEvent() throws IOException {
    RunEvent full =
        new RunEvent(
            "run|1%",
            1_700_000_000_000L,
            "generator",
            7,
            RunEvent.Type.CHANGED,
            1_700_000_000_500L,
            Map.of("batch", "64"));
    RunEvent bare = new RunEvent("run", 1, "main", -1, RunEvent.Type.STARTED, 2, Map.of());
    assertWritten("event-full", Codecs.RUNS.encode(full).get(0).value());
    assertWritten("event-bare", Codecs.RUNS.encode(bare).get(0).value());
    assertRead(Codecs.RUNS, "event-full", full);
    assertRead(Codecs.RUNS, "event-bare", bare);
  }

  @Test
  void alert() throws IOException {
    Alert full =
        new Alert(
            "a1",
            "i1",
            2,
            "run|1%",
            1_700_000_000_000L,
            "generator",
            Alert.State.RESOLVED,
            FindingKind.NON_FINITE,
            Severity.CRITICAL,
            7,
            9,
            6,
            12L,
            "decoder.0",
            3,
            "node-1",
            "cuda:3",
            List.of(
                new Alert.Suspect("decoder.0", 3, 1.5, "node-1", "cuda:3"),
                new Alert.Suspect(null, null, Double.NEGATIVE_INFINITY, null, null)),
            List.of(
                new Alert.Link(8, FindingKind.DEAD_LAYER, "decoder.1", 5, Double.NaN),
                new Alert.Link(9, FindingKind.STRAGGLER, null, null, 1)),
            new Alert.Evidence(
                1, 0, "elements", new long[] {-1, 1L << 40}, new double[] {Double.NaN, 1}),
            "Layer decoder.0 of rank 3 is not finite.",
            "Lower the rate.",
            List.of("no activations", "ß"),
            0.9,
            4,
            true,
            1_700_000_000_900L,
            new Alert.Context(
                Cause.HARDWARE,
                "decoder.0 of rank 3 NaN or Inf at step 6.",
                2.5,
                Double.NaN,
                List.of("step 4: checkpoint"),
                5L,
                4L,
                "Take host node-1 out."));
    Alert bare =
        new Alert(
            "a2",
            "i2",
            0,
            "run",
            1,
            "main",
            Alert.State.OPENED,
            FindingKind.ADVICE_CLIP,
            Severity.INFO,
            7,
            7,
            7,
            null,
            null,
            null,
            null,
            null,
            List.of(),
            List.of(),
            null,
            "Clip at 1.",
            null,
            List.of(),
            null,
            0,
            false,
            0,
            Alert.Context.NONE);
    assertWritten("alert-full", Codecs.ALERTS.encode(full).get(0).value());
    assertWritten("alert-bare", Codecs.ALERTS.encode(bare).get(0).value());
  }

  // --- Records of several parts -----------------------------------------------------------------

  @Test
  void splitShardAndManifest() throws IOException {
    StringBuilder digests = new StringBuilder();
    digests.append(digests("shard", Codecs.SHARDS.encode(splitShard(false))));
    digests.append(digests("shard with gaps", Codecs.SHARDS.encode(splitShard(true))));
    digests.append(digests("manifest", Codecs.MANIFESTS.encode(largeManifest())));
    Path file = GOLDEN.resolve("java-parts.txt");
    if (isWriting()) {
      Files.writeString(file, digests);
    }
    assertThat(file).hasContent(digests.toString());
    assertThat(GOLDEN.resolve("python-parts.txt")).hasContent(digests.toString());
  }

  private static String digests(String what, List<Encoded> records) {
    assertThat(records).hasSizeGreaterThan(1);
    StringBuilder lines = new StringBuilder();
    for (Encoded record : records) {
      lines.append(
          "%s, key %s: %d bytes, SHA-256 %s%n"
              .formatted(
                  what,
                  new String(record.key(), UTF_8),
                  record.value().length,
                  HexFormat.of().formatHex(sha256().digest(record.value()))));
    }
    return lines.toString();
  }

  private static MessageDigest sha256() {
    try {
      return MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError("every JDK has it", e);
    }
  }

  // --- Values, also in Python's golden.py -------------------------------------------------------

  private static Shard fullShard() {
    long[] hashes = longs(LAYERS, i -> i * 0x9E3779B97F4A7C15L);
    hashes[0] = Long.MIN_VALUE;
    hashes[1] = Long.MAX_VALUE;
    float[] norm = floats(LAYERS, i -> i * 0.5f);
    norm[1] = Float.MAX_VALUE;
    norm[2] = Float.MIN_VALUE;
    int[] bins = ints(LAYERS - 1, k -> k % 2 == 1 ? (k + 1) / 2 - 150 : k / 2 + 1);
    bins[0] = 0;
    long[] counts = longs(LAYERS - 1, k -> (1L << k) + k);
    counts[0] = Histograms.UNKNOWN;
    return new Shard(
        ID,
        3,
        new int[] {1, 0, 2},
        0,
        1,
        -77,
        Stage.REDUCED,
        5,
        1,
        2,
        1_700_000_000_500L,
        1L << 40,
        9,
        32.5,
        1024.0,
        true,
        new Clip("norm", 1.0, 0.25, true),
        Double.POSITIVE_INFINITY,
        Double.NaN,
        Double.NEGATIVE_INFINITY,
        new double[] {0.1, 1e-5},
        "node-1",
        "cuda:3",
        new LayerColumns(
            5,
            ints(LAYERS, i -> 3 * i + 5),
            longs(LAYERS, i -> (1L << i) + i),
            norm,
            floats(LAYERS, i -> i * 0.25f),
            floats(LAYERS, i -> i * 8f),
            longs(LAYERS, i -> (long) i * i * i),
            new NonFinite(
                new int[] {5, 11}, new long[] {1, 0}, new long[] {0, 1L << 33}, new long[] {2, 0}),
            null,
            new SignalColumns(
                unknown(3, floats(LAYERS, i -> i * -0.125f)),
                longs(LAYERS, i -> (long) (i % 3)),
                unknown(4, floats(LAYERS, i -> Math.scalb(1f, -i))),
                unknown(5, floats(LAYERS, i -> i + 0.5f)),
                unknown(6, floats(LAYERS, i -> i * 0.0625f)),
                unknown(7, floats(LAYERS, i -> 1f - i)),
                unknown(8, floats(LAYERS, i -> i - 20f)),
                longs(LAYERS, i -> 1000L * i),
                longs(LAYERS, i -> (long) i),
                hashes,
                // The first layer's is unknown, 19 have two bins, the others none.
                new Histograms(
                    ints(LAYERS + 1, i -> i == 0 ? 0 : Math.min(2 * i - 1, LAYERS - 1)),
                    bins,
                    counts),
                new Sketches(new int[] {5, 14}, 64, floats(128, k -> (k - 64) * 0.5f)))),
        null);
  }

  private static Shard bareShard() {
    return new Shard(
        new StepId("run", 1, "main", 0),
        0,
        new int[0],
        0,
        1,
        0,
        Stage.LOCAL,
        -1,
        0,
        1,
        0,
        0,
        0,
        1,
        null,
        false,
        null,
        null,
        null,
        null,
        null,
        null,
        null,
        new LayerColumns(
            0, null, null, new float[] {1, 0}, new float[] {0.5f, 0}, null, null, null),
        null);
  }

  private static Shard splitShard(boolean gaps) {
    int layers = 100_000;
    int stride = gaps ? 3 : 1;
    Shard header = fullShard();
    LayerColumns columns =
        new LayerColumns(
            10,
            gaps ? ints(layers, i -> 10 + stride * i) : null,
            null,
            floats(layers, i -> (float) i),
            floats(layers, i -> i * 0.5f),
            null,
            longs(layers, i -> 1000L * i),
            new NonFinite(
                new int[] {10, 10 + stride * 50_000, 10 + stride * 99_999},
                new long[] {1, 2, 3},
                new long[] {0, 0, 1},
                new long[] {4, 0, 0}),
            null,
            new SignalColumns(
                floats(layers, i -> i % 7 == 0 ? Float.NaN : -i),
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                null,
                new Histograms(
                    ints(layers + 1, i -> i),
                    ints(layers, i -> i % 5 - 2),
                    longs(layers, i -> i + 1L)),
                new Sketches(
                    new int[] {10, 10 + stride * 60_000}, 64, floats(128, k -> (float) k))));
    return header.part(0, 1, columns);
  }

  private static Manifest fullManifest() {
    return new Manifest(
            "run|1%",
            1_700_000_000_000L,
            "generator",
            0,
            0,
            1,
            0,
            2,
            8,
            List.of(new MeshAxis("dp_shard", 4), new MeshAxis("tp", 2)),
            List.of(
                new Reporting(Stage.LOCAL, null, 1),
                new Reporting(Stage.REDUCED, new int[] {0, 7}, 10)),
            "sum",
            "bfloat16",
            "float32",
            "float64",
            "AdamW",
            1e-8,
            List.of(
                new Layer(
                    "decoder.0.wéight",
                    "decoder.0",
                    0,
                    LayerKind.EMBEDDING,
                    1L << 33,
                    "bfloat16",
                    true,
                    true,
                    true,
                    "decoder.1.weight",
                    List.of(Placement.SHARD, Placement.REPLICATE)),
                new Layer(
                    "decoder.1.weight",
                    null,
                    null,
                    LayerKind.OTHER,
                    5,
                    "float32",
                    false,
                    false,
                    false,
                    null,
                    List.of(Placement.PARTIAL, Placement.SHARD))))
        .identified();
  }

  private static Manifest bareManifest() {
    return new Manifest(
            "run", 1, "main", 0, 0, 1, 0, 0, 1, List.of(), List.of(), "mean", null, null, null,
            null, null, List.of())
        .identified();
  }

  private static Manifest largeManifest() {
    IntFunction<Layer> layer =
        i ->
            new Layer(
                "decoder." + i + ".weight",
                "decoder." + i,
                i,
                LayerKind.WEIGHT,
                4096L * i,
                "float32",
                true,
                false,
                false,
                null,
                List.of(Placement.REPLICATE));
    return new Manifest(
            "run",
            1,
            "main",
            0,
            0,
            1,
            0,
            30_000,
            8,
            List.of(new MeshAxis("dp_replicate", 8)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32",
            null,
            null,
            null,
            null,
            IntStream.range(0, 30_000).mapToObj(layer).toList())
        .identified();
  }

  private static float[] unknown(int at, float[] column) {
    column[at] = Float.NaN;
    return column;
  }

  private static float[] floats(int size, IntFunction<Float> value) {
    float[] column = new float[size];
    for (int i = 0; i < size; i++) {
      column[i] = value.apply(i);
    }
    return column;
  }

  private static long[] longs(int size, IntFunction<Long> value) {
    return LongStream.range(0, size).map(i -> value.apply((int) i)).toArray();
  }

  private static int[] ints(int size, IntFunction<Integer> value) {
    return IntStream.range(0, size).map(value::apply).toArray();
  }

  // --- Files ------------------------------------------------------------------------------------

  private static boolean isWriting() {
    return "write".equals(System.getProperty("gradflow.golden"));
  }

  private static byte[] written(Topic topic, Row row) {
    ByteWriter out = new ByteWriter();
    out.writeRaw(WriterSchemas.header(topic.schema()));
    topic.rowType().write(out, row);
    return out.toByteArray();
  }

  private static void assertWritten(String name, byte[] bytes) throws IOException {
    Path file = GOLDEN.resolve("java-" + name + ".bin");
    if (isWriting()) {
      Files.write(file, bytes);
    }
    assertThat(bytes).as(name).isEqualTo(Files.readAllBytes(file));
  }

  private static byte[] python(String name) throws IOException {
    return Files.readAllBytes(GOLDEN.resolve("python-" + name + ".bin"));
  }

  private static <T> void assertRead(Codec<T> codec, String name, T expected) throws IOException {
    Decoded<T> decoded = codec.decoder(WriterSchemas.known()).decode(python(name), null);
    assertThat(decoded.failure()).as(name).isNull();
    assertThat(decoded.value())
        .as(name)
        .usingRecursiveComparison()
        .withEqualsForType(Double::equals, Double.class)
        .withEqualsForType(Float::equals, Float.class)
        .isEqualTo(expected);
  }

  private static GenericRecord generic(Topic topic, String name) throws IOException {
    byte[] bytes = python(name);
    int header = WriterSchemas.SINGLE_OBJECT_HEADER;
    return new GenericDatumReader<GenericRecord>(topic.schema())
        .read(null, DecoderFactory.get().binaryDecoder(bytes, header, bytes.length - header, null));
  }
}
