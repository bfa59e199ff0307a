package io.gradflow.schema;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.StepId;
import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Rule;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.incident.Cause;
import io.gradflow.core.incident.Feedback;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.RankPlaces;
import io.gradflow.core.norm.Refusal;
import io.gradflow.core.norm.Refusals;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Capture;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
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
import io.gradflow.core.window.LayerWindow;
import io.gradflow.core.window.WindowSignals;
import java.io.IOException;
import java.io.InputStream;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.avro.Schema;
import org.junit.jupiter.api.Test;

/**
 * What was once written stays as it was, byte for byte: {@code golden.properties} holds a record of
 * each topic and the fingerprint of each schema. A line there changes only with a schema, and a
 * schema changes only by addition.
 */
class GoldenBytesTest {
  private static final StepId ID = new StepId("run", 1_700_000_000_000L, "main", 7);

  @Test
  void shard() throws IOException {
    assertGolden(
        Codecs.SHARDS,
        header()
            .part(
                0,
                1,
                new LayerColumns(
                    0,
                    new int[] {2, 5},
                    new long[] {10, 20},
                    new float[] {1.5f, 0},
                    new float[] {1, Float.MAX_VALUE},
                    new float[] {3, 0},
                    new long[] {0, 20},
                    new NonFinite(new int[] {5}, new long[] {1}, new long[] {2}, new long[] {3}),
                    null,
                    new SignalColumns(
                        new float[] {0.25f, 0},
                        new long[] {1, 0},
                        new float[] {1e-3f, Float.NaN},
                        new float[] {7, 8},
                        new float[] {0.5f, 0},
                        new float[] {-2, Float.NaN},
                        new float[] {2, 0},
                        new long[] {100, 200},
                        new long[] {3, 4},
                        new long[] {-1, 1},
                        new Histograms(
                            new int[] {0, 2, 2}, new int[] {-3, 0}, new long[] {4, 1L << 33}),
                        new Sketches(new int[] {5}, 2, new float[] {1, -1})))));
  }

  /** What a shard and a block say before their columns and values. */
  private static Shard header() {
    return new Shard(
        ID,
        3,
        new int[] {1, 1},
        0,
        1,
        -77,
        Stage.LOCAL,
        6,
        1,
        2,
        1_700_000_000_500L,
        9,
        2,
        32,
        1024.0,
        true,
        new Clip("norm", 1.0, 0.5),
        2.5,
        Double.NaN,
        null,
        new double[] {0.1},
        "node-1",
        "cuda:3",
        null,
        null);
  }

  @Test
  void block() throws IOException {
    assertGolden(
        Codecs.BLOCKS,
        new Block(
            header(),
            5,
            1L << 33,
            1L << 34,
            3,
            Dtype.FLOAT16,
            new byte[] {0, 60, 1, 0, -1, -5},
            Block.Purpose.CAPTURE,
            "capture-1"));
  }

  @Test
  void manifest() throws IOException {
    Layer layer =
        new Layer(
            "decoder.0.weight",
            "decoder.0",
            0,
            LayerKind.WEIGHT,
            1L << 33,
            "bfloat16",
            true,
            false,
            false,
            null,
            List.of(Placement.SHARD, Placement.REPLICATE));
    assertGolden(
        Codecs.MANIFESTS,
        new Manifest(
            "run",
            1,
            "main",
            -5,
            0,
            1,
            0,
            1,
            8,
            List.of(new MeshAxis("dp_shard", 4), new MeshAxis("tp", 2)),
            List.of(new Reporting(Stage.REDUCED, new int[] {0, 7}, 10)),
            "mean",
            "bfloat16",
            null,
            null,
            "AdamW",
            1e-8,
            List.of(layer)));
  }

  @Test
  void runEvent() throws IOException {
    assertGolden(
        Codecs.RUNS,
        new RunEvent("run", 1, "main", 7, RunEvent.Type.CHANGED, 2, Map.of("batch", "64")));
  }

  @Test
  void step() throws IOException {
    double[] column = {1.5, Double.NaN};
    assertGolden(
        Codecs.STEPS,
        new Step(
            ID,
            -77,
            0,
            1,
            0,
            16,
            ClosedBy.QUORUM,
            false,
            0.875,
            8,
            new int[] {6},
            new int[] {1},
            new int[] {1},
            new double[] {0.5},
            Double.NaN,
            new NormColumns(
                column,
                column,
                column,
                column,
                new double[] {1.5, 2},
                new long[] {0, 3},
                new NonFinite(new int[] {1}, new long[] {1}, new long[] {0}, new long[] {0}),
                new int[] {4},
                new Refusals(new int[] {1}, List.of(Refusal.NON_FINITE))),
            new RankEvidence(
                new int[] {0, 4},
                new double[] {1, Double.NaN},
                new long[] {0, 12},
                new long[] {0, 1},
                1,
                new int[] {4, -1},
                new float[] {2.5f, Float.NaN},
                new int[] {0, 1, 2},
                new int[] {-3, 40},
                new int[] {1, 1},
                new double[] {3, 4},
                new int[] {2, 2},
                new float[] {0, Float.NaN},
                1_700_000_000_400L,
                new RankPlaces(
                    new String[] {"node-1"},
                    new int[] {0, -1},
                    new String[] {"0", "1"},
                    new int[] {0, 1}),
                new RankComparison(
                    new double[] {1, 2},
                    new double[] {3, Double.NaN},
                    new float[] {0.5f, Float.NaN},
                    null,
                    new double[] {0.75, 0.25},
                    1.6,
                    1,
                    new int[] {4, -1},
                    new float[] {-0.5f, Float.NaN},
                    new double[] {32, 16},
                    new double[] {0.5, Double.NaN},
                    new double[] {0.25, Double.NaN})),
            new StepScalars(0.5, null, new double[] {0.1}, null, false, null, 3.0, 256),
            List.of(new RunEvent("run", 1, "main", 6, RunEvent.Type.EVAL, 2, Map.of())),
            new StepSignals(
                column,
                new long[] {1, -1},
                column,
                column,
                column,
                new float[] {0.5f, Float.NaN},
                new float[] {0, Float.NaN},
                column,
                column,
                new float[] {12.5f, Float.NaN},
                new long[] {100, -1},
                new long[] {3, -1},
                new Histograms(new int[] {0, 2, 3}, new int[] {-3, 0, 0}, new long[] {4, 5, -1}),
                new int[] {1},
                new RunSignals(
                    6, 0.25, 0.125, 1, 2, 3, 4, 0.5, 1024, 0.75, 0.5, 9, 8, 7, 2, 6, 0.5, 5, 4))));
  }

  @Test
  void window() throws IOException {
    LayerWindow.Spread spread = new LayerWindow.Spread(1, 0.5, 2, 1.5, 1, 2);
    assertGolden(
        Codecs.WINDOWS,
        new LayerWindow(
            "run",
            1,
            "main",
            -77,
            "decoder.0",
            0,
            100,
            100,
            true,
            3,
            101,
            105,
            0.5,
            spread,
            null,
            -0.25,
            1,
            12L,
            new WindowSignals(
                0.5,
                4.0,
                1e-3,
                2.0,
                -0.25,
                1.5,
                3.0,
                0.125,
                0.0,
                -1.0,
                8.0,
                null,
                new WindowSignals.Magnitudes(
                    2, new int[] {-3, 0}, new long[] {5, 6}, 1L, 0.0, 1.25, 1.75),
                new WindowSignals.Link(-0.75, 2, 90),
                null,
                "decoder.1",
                new WindowSignals.Link(0.875, -1, 98))));
  }

  @Test
  void alert() throws IOException {
    assertGolden(
        Codecs.ALERTS,
        new Alert(
            "a1",
            "i1",
            2,
            "run",
            1,
            "main",
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
            null,
            List.of(new Alert.Suspect("decoder.0", 3, 1.5, "node-1", null)),
            List.of(new Alert.Link(8, FindingKind.DEAD_LAYER, "decoder.1", null, 1)),
            new Alert.Evidence(1, 0, "elements", new long[] {6, 7}, new double[] {0, 1}),
            "Layer decoder.0 of rank 3 is not finite.",
            null,
            List.of("no activations"),
            0.9,
            4,
            false,
            1_700_000_000_900L,
            new Alert.Context(
                Cause.HARDWARE,
                "decoder.0 of rank 3 NaN or Inf at step 6.",
                2.5,
                Double.NaN,
                List.of("step 4: checkpoint"),
                5L,
                4L,
                "Take host node-1 out.")));
  }

  @Test
  void rule() throws IOException {
    assertGolden(
        Codecs.RULES,
        new Rule("*", FindingKind.EXPLODING_SPIKE, 3, Rule.Mode.SHADOW, Map.of("threshold", 8.0)));
  }

  @Test
  void feedback() throws IOException {
    assertGolden(
        Codecs.FEEDBACK,
        new Feedback(
            "run",
            "1d",
            Feedback.Verdict.EXPECTED,
            "ann",
            1_700_000_000_000L,
            "warm-up of step 7"));
  }

  @Test
  void capture() throws IOException {
    assertGolden(
        Codecs.CAPTURES,
        new Capture(
            "capture-1",
            "run",
            "main",
            List.of("decoder.0.weight"),
            new int[] {3, 5},
            8L,
            2,
            1L << 20,
            1_700_000_600_000L,
            "ann",
            1_700_000_000_000L));
  }

  @Test
  void fingerprints() throws IOException {
    Properties golden = golden();
    for (Topic topic : Topic.values()) {
      Schema schema = topic.schema();
      if (schema != null) {
        assertThat(HexFormat.of().formatHex(WriterSchemas.header(schema)))
            .as(topic.topicName())
            .isEqualTo(golden.getProperty("schema." + topic.topicName()));
      }
    }
  }

  private static <T> void assertGolden(Codec<T> codec, T value) throws IOException {
    byte[] bytes = codec.encode(value).get(0).value();
    String topic = codec.topic().topicName();
    assertThat(HexFormat.of().formatHex(bytes))
        .as(topic)
        .isEqualTo(golden().getProperty("record." + topic));
    assertThat(codec.decoder(WriterSchemas.known()).decode(bytes, null).value())
        .usingRecursiveComparison()
        .withEqualsForType(Double::equals, Double.class)
        .withEqualsForType(Float::equals, Float.class)
        .isEqualTo(value);
  }

  private static Properties golden() throws IOException {
    Properties golden = new Properties();
    try (InputStream in = GoldenBytesTest.class.getResourceAsStream("golden.properties")) {
      golden.load(in);
    }
    return golden;
  }
}
