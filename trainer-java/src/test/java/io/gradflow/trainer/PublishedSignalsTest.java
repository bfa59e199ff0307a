package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.SignalGroup;
import io.gradflow.core.shard.Slicing;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What a publisher says beyond norms, as it is read from the topic. */
@Timeout(60)
class PublishedSignalsTest {
  private static final Duration SOON = Duration.ofSeconds(10);
  private static final String EVERYTHING = "moments,histogram,sketch,hash,weights,dots";

  private final MockProducer<byte[], byte[]> kafka =
      new MockProducer<>(true, null, new ByteArraySerializer(), new ByteArraySerializer());

  @Test
  void groupsComeWithTheirCadenceAndOnlyWhereTheyServeAPurpose() {
    GradientPublisher publisher = publisher("moments:2,histogram:4,hash:3,sketch:6,weights:2");
    publisher.announce(manifest("float32", 2, 3));
    for (int step = 0; step < 7; step++) {
      float[][] gradient = {{1, 2}, {0, -3, 4}};
      publisher
          .step(step)
          .local(gradient)
          .reduced(gradient)
          .weights(gradient)
          .updates(gradient)
          .publish();
    }
    List<SignalColumns> local = signals(publisher, Stage.LOCAL);
    List<SignalColumns> reduced = signals(publisher, Stage.REDUCED);

    for (int step = 0; step < 7; step++) {
      SignalColumns here = reduced.get(step);
      boolean any = step % 2 == 0 || step % 3 == 0;
      assertThat(here != null).isEqualTo(any);
      if (any) {
        assertThat(here.sum() != null).isEqualTo(step % 2 == 0);
        assertThat(here.histograms() != null).isEqualTo(step % 4 == 0);
        assertThat(here.contentHash() != null).isEqualTo(step % 3 == 0);
        assertThat(here.sketches() != null).isEqualTo(step % 6 == 0);
        assertThat(here.weightNorm() != null).isEqualTo(step % 2 == 0);
        assertThat(here.updateNorm() != null).isEqualTo(step % 2 == 0);
        assertThat(here.dotPrevious()).isNull();
      }
      assertThat(local.get(step) != null).isEqualTo(step % 6 == 0);
    }
    assertThat(local.get(0).sum()).isNull();
    assertThat(local.get(0).sketches().layers()).containsExactly(0, 1);
    assertThat(local.get(0).weightNorm()).isNull();
    assertThat(reduced.get(0).sum()).containsExactly(3, 1);
    assertThat(reduced.get(0).minNonzeroAbs()).containsExactly(1, 3);
    assertThat(reduced.get(0).histograms().bins()).containsExactly(0, 1, 1, 2);
    assertThat(reduced.get(0).weightNorm()).containsExactly((float) Math.sqrt(5), 5);
  }

  @Test
  void unlessToldOtherwiseMomentsAndWeightsComeAlwaysAndHistogramsEveryTenthStep() {
    GradientPublisher publisher = publisher(SignalPolicy.DEFAULT);
    publisher.announce(manifest("float32", 1));
    for (int step = 0; step < 11; step++) {
      publisher.step(step).reduced(new float[][] {{1}}).publish();
    }
    List<SignalColumns> signals = signals(publisher, Stage.REDUCED);
    assertThat(signals).allSatisfy(here -> assertThat(here.sum()).containsExactly(1));
    assertThat(signals).allSatisfy(here -> assertThat(here.sketches()).isNull());
    assertThat(signals).allSatisfy(here -> assertThat(here.contentHash()).isNull());
    assertThat(signals)
        .extracting(here -> here.histograms() != null)
        .containsExactly(true, false, false, false, false, false, false, false, false, false, true);
  }

  @Test
  void weightsUpdatesAndActivationsAreMeasuredAtOnceAndComeWithTheReducedGradient() {
    GradientPublisher publisher = publisher(EVERYTHING);
    float[][] weights = {{3, 4}, {Float.NaN, 1}};
    long[] counts = {64, 0};
    StepReport report =
        publisher
            .step(0)
            .local(new float[][] {{1, 1}, {1, 1}})
            .reduced(new float[][] {{1, 1}, {1, 1}})
            .weights(weights)
            .updateNorms(new float[] {0.25f, Float.NaN})
            .activations(counts, new long[] {16, 0});
    weights[0][0] = 100;
    counts[0] = 1;
    report.publish();
    publisher
        .step(1)
        .local(new float[][] {{1, 1}, {1, 1}})
        .weights(new float[][] {{1}, {2}})
        .publish();
    SignalColumns reduced = signals(publisher, Stage.REDUCED).get(0);
    assertThat(reduced.weightNorm()).containsExactly(5, Float.NaN);
    assertThat(reduced.updateNorm()).containsExactly(0.25f, Float.NaN);
    assertThat(reduced.activations()).containsExactly(64, 0);
    assertThat(reduced.saturated()).containsExactly(16, 0);
    List<SignalColumns> local = signals(publisher, Stage.LOCAL);
    assertThat(local.get(0)).isNull();
    // Where there is no other record they come with this one.
    assertThat(local.get(1).weightNorm()).containsExactly(1, 2);
  }

  @Test
  void whatIsSaidOfLayersJoinsWhatTheTrainerMeasuredItself() {
    GradientPublisher publisher = publisher(EVERYTHING);
    float[] norms = {1, 2};
    LayerColumns some = new LayerColumns(0, new int[] {1, 3}, null, norms, norms, null, null, null);
    publisher.step(0).reduced(some).weightNorms(new float[] {10, 11, 12, 13}).publish();
    SignalColumns own =
        new SignalColumns(
            new float[] {7, 8}, null, null, norms, null, null, null, null, null, null, null, null);
    publisher.step(1).reduced(some.with(own)).updateNorms(new float[] {20, 21, 22, 23}).publish();
    List<SignalColumns> signals = signals(publisher, Stage.REDUCED);
    assertThat(signals.get(0).weightNorm()).containsExactly(11, 13);
    assertThat(signals.get(1).sum()).containsExactly(7, 8);
    assertThat(signals.get(1).weightNorm()).containsExactly(1, 2);
    assertThat(signals.get(1).updateNorm()).containsExactly(21, 23);
  }

  @Test
  void aDotProductIsWithTheStepNamedAsPreviousAtThisRecordsLossScale() {
    GradientPublisher publisher = publisher(EVERYTHING);
    float[][] gradient = {{2, 4}, {8}};
    publisher.step(0).reduced(gradient).lossScale(2).publish();
    gradient[0][0] = 1e30f;
    publisher.step(1).reduced(new float[][] {{4, 8}, {Float.NaN}}).lossScale(4).publish();
    // Not reduced: the next step's previous is this one, of which there is no gradient.
    publisher.step(2).local(new float[][] {{1, 1}, {1}}).publish();
    publisher.step(3).reduced(new float[][] {{1, 0}, {1}}).publish();
    publisher.step(4).reduced(new float[][] {{1, 0}, {1, 1}}).publish();
    // Never published.
    publisher.step(5).reduced(new float[][] {{1, 0}, {1, 1}});
    publisher.step(6).reduced(new float[][] {{0, 1}, {1, 1}}).publish();
    // A micro-batch is not a step's gradient.
    publisher.step(7).microBatch(0, 2).reduced(new float[][] {{0, 1}, {1, 1}}).publish();
    publisher.step(7).microBatch(1, 2).reduced(new float[][] {{0, 1}, {1, 1}}).publish();
    publisher.step(8).reduced(new float[][] {{0, 3}, {1e-30f, 0}}).publish();
    publisher.step(9).reduced(new float[][] {{0, 1}, {1e-30f, 0}}).publish();
    // Back to an earlier step.
    publisher.step(3).reduced(new float[][] {{0, 1}, {1, 1}}).publish();

    List<SignalColumns> signals = signals(publisher, Stage.REDUCED);
    assertThat(signals.get(0).dotPrevious()).isNull();
    // (2, 4) at scale 2 is (4, 8) at scale 4.
    assertThat(signals.get(1).dotPrevious()).containsExactly(80, Float.NaN);
    assertThat(signals.get(2).dotPrevious()).isNull();
    assertThat(signals.get(3).dotPrevious()).containsExactly(1, Float.NaN);
    assertThat(signals.get(4).dotPrevious()).isNull();
    assertThat(signals.get(5).dotPrevious()).containsExactly(1, 2);
    assertThat(signals.get(6).dotPrevious()).isNull();
    assertThat(signals.get(7).dotPrevious()).containsExactly(3, 1e-30f);
    // 1e-60 is no float.
    assertThat(signals.get(8).dotPrevious()).containsExactly(3, Float.NaN);
    assertThat(signals.get(9).dotPrevious()).isNull();
  }

  @Test
  void dotProductsOfClippedGradientsAreAsIfBothCarriedThisRecordsCoefficient() {
    GradientPublisher publisher = publisher(EVERYTHING);
    Clip half = new Clip("norm", 1.0, 0.5, true);
    publisher.step(0).reduced(new float[][] {{8}}).publish();
    publisher
        .step(1)
        .clip(half)
        .lossScale(2)
        .gradients(new float[][] {{6}}, new float[][] {{3}})
        .publish();
    publisher
        .step(2)
        .clip(new Clip("value", 1.0, null, true))
        .gradients(new float[][] {{6}}, new float[][] {{3}})
        .publish();
    List<Shard> shards = shards(publisher);
    // 3 was 3 before scaling by 2 and clipping by a half; the 8 before was neither.
    assertThat(shards.get(2).columns().signals().dotPrevious()).containsExactly(24);
    assertThat(shards.get(2).scale()).isEqualTo(1);
    // The rank's own 6 is scaled and not clipped; the reduced one before clipping was 6, too.
    assertThat(shards.get(1).columns().signals().dotReduced()).containsExactly(36);
    assertThat(shards.get(1).scale()).isEqualTo(2);
    assertThat(shards.get(1).clip().applied()).isFalse();
    assertThat(shards.get(2).clip()).isEqualTo(half);
    // What clipping by value has done cannot be undone.
    assertThat(shards.get(3).columns().signals()).isNull();
  }

  @Test
  void localAndReducedTogetherHaveADotProduct() {
    GradientPublisher publisher = publisher("dots:2");
    float[][] local = {{1, 2}, {3}, {1}};
    float[][] reduced = {{2, 2}, {Float.POSITIVE_INFINITY}, {1, 1}};
    publisher.step(0).gradients(local, reduced).publish();
    publisher.step(1).gradients(local, reduced).publish();
    List<SignalColumns> signals = signals(publisher, Stage.LOCAL);
    assertThat(signals.get(0).dotReduced()).containsExactly(6, Float.NaN, Float.NaN);
    assertThat(signals.get(1)).isNull();
    assertThat(signals(publisher, Stage.REDUCED)).hasSize(2);
  }

  @Test
  void sketchesAreOfSlicesWhosePlaceIsKnown() {
    float[][] slices = {{1, 2}, {3, 4}, {5}};
    GradientPublisher publisher = publisher("sketch");
    publisher.step(0).reduced(slices).publish();
    publisher.step(1).slicesAt(0, Slicing.UNKNOWN, 7).reduced(slices).publish();
    publisher.refer(manifest("float32", 2, 4, 4));
    publisher.step(2).reduced(slices).publish();
    publisher.step(3).local(slices).slicesAt(0, 2).reduced(slices).publish();
    List<SignalColumns> reduced = signals(publisher, Stage.REDUCED);
    assertThat(reduced.get(0)).isNull();
    assertThat(reduced.get(1).sketches().layers()).containsExactly(0, 2);
    assertThat(reduced.get(2).sketches().layers()).containsExactly(0);
    assertThat(reduced.get(3).sketches().layers()).containsExactly(0, 1);
    assertThat(signals(publisher, Stage.LOCAL).get(0).sketches().layers()).containsExactly(0);
    Slicing slicing =
        new Slicing(
            "gpt",
            0,
            new Dtype[] {Dtype.FLOAT32, Dtype.FLOAT32, Dtype.FLOAT32},
            new long[] {0, 2, Slicing.UNKNOWN});
    assertThat(reduced.get(3).sketches().values())
        .isEqualTo(
            Measurement.of(Set.of(SignalGroup.SKETCH), slicing, slices)
                .signals()
                .sketches()
                .values());
  }

  @Test
  void subnormalsAreThoseOfTheManifestsDtype() {
    float[][] gradient = {{0x1p-15f, 1, 0}};
    GradientPublisher publisher = publisher("moments");
    publisher.step(0).reduced(gradient).publish();
    publisher.announce(manifest("float16", 3));
    publisher.step(1).reduced(gradient).publish();
    publisher.refer(manifest("float8_e5m2", 3));
    publisher.step(2).reduced(gradient).publish();
    publisher.refer(12345);
    publisher.step(3).reduced(gradient).publish();
    List<SignalColumns> signals = signals(publisher, Stage.REDUCED);
    assertThat(signals.get(0).subnormals()).containsExactly(0);
    assertThat(signals.get(1).subnormals()).containsExactly(1);
    assertThat(signals.get(2).subnormals()).isNull();
    assertThat(signals.get(2).minNonzeroAbs()).containsExactly(0x1p-15f);
    assertThat(signals.get(3).subnormals()).containsExactly(0);
  }

  @Test
  void blocksOfWholeLayersSayWhereTheyBegin() {
    int perBlock = RawValues.SLICE_BYTES / Float.BYTES;
    float[][] gradient = {new float[perBlock + 5], {1, 2}};
    Slicing slicing =
        ManifestLayers.of(manifest("float32", perBlock + 5, 4))
            .slicing("gpt", 2, layer -> gradient[layer].length);
    Slicing said = ManifestLayers.NONE.slicing("gpt", 2, layer -> gradient[layer].length, 100, -1);
    assertThat(globalOffsets(RawValues.copyOf(gradient, slicing)))
        .containsExactly(0L, (long) perBlock, null);
    assertThat(globalOffsets(RawValues.copyOf(gradient, said)))
        .containsExactly(100L, 100L + perBlock, null);
  }

  private static List<Long> globalOffsets(RawValues values) {
    Shard header =
        new Shard(
            null,
            0,
            null,
            0,
            1,
            0,
            Stage.REDUCED,
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
            null,
            null);
    List<Long> offsets = new ArrayList<>();
    values.toBlocks(() -> header, (Block block) -> offsets.add(block.globalOffset()));
    return offsets;
  }

  private GradientPublisher publisher(String signals) {
    return publisher(SignalPolicy.parse(signals));
  }

  private GradientPublisher publisher(SignalPolicy signals) {
    PublisherOptions options = PublisherOptions.of("unused:9092", "gpt", 1_700_000_000_000L, 3);
    return new GradientPublisher(options.with(signals), () -> kafka, InstantSource.system());
  }

  /** Signals of the stage's shards in order, null where a shard has none. */
  private List<SignalColumns> signals(GradientPublisher publisher, Stage stage) {
    List<SignalColumns> signals = new ArrayList<>();
    for (Shard shard : shards(publisher)) {
      if (shard.stage() == stage) {
        signals.add(shard.columns().signals());
      }
    }
    return signals;
  }

  private List<Shard> shards(GradientPublisher publisher) {
    publisher.close(SOON);
    assertThat(publisher.stats().dropped() + publisher.stats().failed()).isZero();
    return kafka.history().stream()
        .filter(record -> record.topic().equals(Topic.SHARDS.topicName()))
        .map(
            record ->
                Codecs.SHARDS.decoder(WriterSchemas.known()).decode(record.value(), null).value())
        .toList();
  }

  private static Manifest manifest(String dtype, long... elements) {
    List<Layer> layers = new ArrayList<>();
    for (long size : elements) {
      layers.add(
          new Layer(
              "layer." + layers.size(),
              null,
              null,
              LayerKind.WEIGHT,
              size,
              dtype,
              true,
              false,
              false,
              null,
              List.of(Placement.REPLICATE)));
    }
    return new Manifest(
        "gpt",
        1_700_000_000_000L,
        "main",
        0,
        0,
        1,
        0,
        layers.size(),
        8,
        List.of(new MeshAxis("dp_replicate", 8)),
        List.of(new Reporting(Stage.REDUCED, null, 1)),
        "mean",
        null,
        null,
        null,
        null,
        null,
        layers);
  }
}
