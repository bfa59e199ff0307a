package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;

import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.example.PublishingExample;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The page for people who write trainers is true. */
@Timeout(60)
class TrainersPageTest {
  private static final Path PAGE = Path.of("..", "docs", "trainers.md");
  private static final Path EXAMPLES = Path.of("src", "test", "java", "io", "gradflow", "example");
  private static final Duration SOON = Duration.ofSeconds(10);
  private static final int STEPS = 3;

  private final MockProducer<byte[], byte[]> kafka =
      new MockProducer<>(true, null, new ByteArraySerializer(), new ByteArraySerializer());

  /** Rank 6 of two hosts with four ranks each. */
  private final PublisherOptions options =
      PublisherOptions.fromEnvironment(
          Map.of(
              "GRADFLOW_BOOTSTRAP_SERVERS", "unused:9092",
              "GRADFLOW_RUN", "gpt",
              "GRADFLOW_ATTEMPT", "1700000000000",
              "GRADFLOW_RANK", "6",
              "GRADFLOW_COORDS", "1,2"));

  @ParameterizedTest
  @ValueSource(strings = {"PublishingExample.java", "FollowingExample.java"})
  void thePageQuotesTheExamples(String example) throws IOException {
    String source = Files.readString(EXAMPLES.resolve(example));
    assertThat(Files.readString(PAGE))
        .contains("```java\n" + source.substring(source.indexOf("import")) + "```\n");
  }

  @Test
  void thePagesEnvironmentSetsEveryOption() throws IOException {
    Map<String, String> environment = new HashMap<>();
    Pattern.compile("^export (\\w+)=(.*)$", Pattern.MULTILINE)
        .matcher(Files.readString(PAGE))
        .results()
        .forEach(line -> environment.put(line.group(1), line.group(2)));
    assertThat(PublisherOptions.fromEnvironment(environment))
        .usingRecursiveComparison()
        .isEqualTo(
            new PublisherOptions(
                "broker-1:9092,broker-2:9092",
                "gpt-small",
                1_700_000_000_000L,
                "main",
                6,
                8,
                new int[] {1, 2},
                "node-1",
                "cuda:2",
                PublisherOptions.DEFAULT_QUEUE_CAPACITY,
                1,
                SignalPolicy.parse("moments,weights,histogram:10,sketch:50"),
                true,
                Map.of("security.protocol", "SSL")));
  }

  @Test
  void theRankThatSpeaksForTheRunAnnouncesAndEndsIt() {
    PublisherOptions first = PublisherOptions.of("unused:9092", "gpt", 1_700_000_000_000L, 0);
    Manifest manifest = PublishingExample.replicated(first, 8);
    train(first, manifest, new Toy(1));

    assertThat(read(Codecs.MANIFESTS)).containsExactly(manifest);
    assertThat(read(Codecs.RUNS))
        .extracting(RunEvent::type)
        .containsExactly(RunEvent.Type.STARTED, RunEvent.Type.FINISHED);
    assertThat(read(Codecs.RUNS).get(1).step()).isEqualTo(STEPS - 1);
    assertAccepted(Layout.of(manifest), read(Codecs.SHARDS));
  }

  @Test
  void aShardedRankPublishesItsSlices() {
    Manifest manifest = PublishingExample.sharded(options, 2, 4);
    train(options, manifest, new Toy(4));

    assertThat(read(Codecs.MANIFESTS)).isEmpty();
    assertThat(read(Codecs.RUNS)).isEmpty();
    assertAccepted(Layout.of(manifest), read(Codecs.SHARDS));
  }

  @Test
  void aStepByItsValuesIsWhatAStepByItsStatisticsIs() {
    Manifest manifest = PublishingExample.sharded(options, 2, 4);
    GradientPublisher publisher =
        new GradientPublisher(options, () -> kafka, InstantSource.system());
    publisher.refer(manifest.manifestId());
    PublishingExample.publishValues(publisher, new Toy(4), 0);
    publisher.close(SOON);

    Layout layout = Layout.of(manifest);
    List<Block> blocks = read(Codecs.BLOCKS);
    assertThat(blocks).hasSize(2 * layout.layerCount());
    for (Block block : blocks) {
      Shard shard = block.measured();
      assertThat(layout.fault(shard)).isNull();
      assertThat(block.count())
          .isEqualTo(layout.slices(shard.stage(), shard.coords()).elements(block.layer()));
      assertThat(shard.columns().maxAbs()).containsOnly(shard.stage() == Stage.LOCAL ? 2 : 1);
      assertThat(shard.loss()).isEqualTo(0.5);
      assertThat(shard.weight()).isEqualTo(16);
    }
  }

  private void train(PublisherOptions rank, Manifest manifest, Toy toy) {
    GradientPublisher publisher = new GradientPublisher(rank, () -> kafka, InstantSource.system());
    PublishingExample.train(publisher, rank, manifest, toy, STEPS);
    publisher.close(SOON);
    assertThat(publisher.stats().dropped() + publisher.stats().failed()).isZero();
  }

  /** The jobs take these shards, and what they hold is what the placement says they hold. */
  private static void assertAccepted(Layout layout, List<Shard> shards) {
    assertThat(shards).hasSize(2 * STEPS);
    for (Shard shard : shards) {
      assertThat(layout.fault(shard)).isNull();
      assertThat(layout.due(shard.stage(), 0, shard.id().step()) & 1L << shard.rank()).isNotZero();
      Layout.Slices slices = layout.slices(shard.stage(), shard.coords());
      for (int layer = 0; layer < layout.layerCount(); layer++) {
        assertThat(shard.columns().elements()[layer]).isEqualTo(slices.elements(layer));
      }
      float value = shard.stage() == Stage.LOCAL ? 2 : 1;
      assertThat(shard.columns().maxAbs()).containsOnly(value);
      assertThat(shard.loss()).isEqualTo(0.5);
      assertThat(shard.weight()).isEqualTo(16);
    }
  }

  private <T> List<T> read(Codec<T> codec) {
    Topic topic = codec.topic();
    List<T> values = new ArrayList<>();
    for (ProducerRecord<byte[], byte[]> record : kafka.history()) {
      if (record.topic().equals(topic.topicName())) {
        values.add(codec.decoder(WriterSchemas.known()).decode(record.value(), null).value());
      }
    }
    return values;
  }

  /** A trainer whose local gradients are 2 and whose reduced ones are 1 everywhere. */
  private record Toy(int shards) implements PublishingExample.Trainer {
    @Override
    public float[][] backward(long step) {
      return filled(2, 1);
    }

    @Override
    public double loss() {
      return 0.5;
    }

    @Override
    public int samples() {
      return 16;
    }

    @Override
    public float[][] reduce(float[][] gradients) {
      return filled(1, shards);
    }

    @Override
    public void update(float[][] gradients) {
      for (float[] layer : gradients) {
        Arrays.fill(layer, Float.NaN);
      }
    }

    private static float[][] filled(float value, int pieces) {
      float[][] gradients = {
        new float[64 * 32 / pieces], new float[64 / pieces], new float[8 * 64 / pieces]
      };
      for (float[] layer : gradients) {
        Arrays.fill(layer, value);
      }
      return gradients;
    }
  }
}
