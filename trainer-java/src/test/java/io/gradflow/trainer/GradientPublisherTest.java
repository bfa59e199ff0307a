package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.errors.InterruptException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class GradientPublisherTest {
  private static final InstantSource NOON = InstantSource.fixed(Instant.ofEpochMilli(43_200_000));
  private static final Duration SOON = Duration.ofSeconds(10);

  private final PublisherOptions options =
      PublisherOptions.of("unused:9092", "gpt", 1_700_000_000_000L).withRank(3);

  /** Kafka as the test wants it. */
  private static class Kafka extends MockProducer<byte[], byte[]> {
    final CountDownLatch open;

    Kafka(boolean acknowledges, boolean reachable) {
      super(acknowledges, null, new ByteArraySerializer(), new ByteArraySerializer());
      open = new CountDownLatch(reachable ? 0 : 1);
    }

    @Override
    public List<PartitionInfo> partitionsFor(String topic) {
      if (open.getCount() > 0) {
        try {
          open.await();
        } catch (InterruptedException e) {
          throw new InterruptException(e);
        }
      }
      return List.of();
    }
  }

  private GradientPublisher publisher(Producer<byte[], byte[]> producer) {
    return new GradientPublisher(options, manifest(1), () -> producer, NOON);
  }

  @Test
  void aStepIsALocalAndAReducedShardInOrder() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.event(RunEvent.Type.STARTED, -1, Map.of("learningRate", "0.1"));
    float[][] gradients = {{3, 4}, {0, -12, Float.NaN}};
    StepReport report =
        StepReport.of(10)
            .local(gradients)
            .samples(32)
            .loss(0.5)
            .learningRates(0.1)
            .lossScale(1024)
            .clip(new Clip("norm", 1.0, 0.5))
            .globalNorm(13);
    gradients[0][0] = 1e9f;
    publisher.publish(report.reduced(new float[][] {{1, 0}, {2, 0, 0}}));
    publisher.publish(StepReport.of(12).local(new float[][] {{1, 1}, {1, 1, 1}}));
    publisher.event(RunEvent.Type.FINISHED, 12, Map.of());
    publisher.close(SOON);

    assertThat(kafka.history())
        .extracting(ProducerRecord::topic)
        .containsExactly(
            "gradient-manifests",
            "gradient-runs",
            "gradient-shards",
            "gradient-shards",
            "gradient-shards",
            "gradient-runs");
    assertThat(kafka.history().get(2).key()).asString().isEqualTo("gpt|3");
    List<Shard> shards = read(kafka, Codecs.SHARDS);
    Shard local = shards.get(0);
    assertThat(local.stage()).isEqualTo(Stage.LOCAL);
    assertThat(local.id().step()).isEqualTo(10);
    assertThat(local.previousStep()).isEqualTo(-1);
    assertThat(local.rank()).isEqualTo(3);
    assertThat(local.sentAt()).isEqualTo(43_200_000);
    assertThat(local.manifestId()).isEqualTo(manifest(1).contentId());
    assertThat(local.columns().norm()).containsExactly(5, 12);
    assertThat(local.columns().nonFinite().layers()).containsExactly(1);
    assertThat(local.columns().nonFinite().nans()).containsExactly(1);
    assertThat(local.loss()).isEqualTo(0.5);
    assertThat(local.lossScale()).isEqualTo(1024);
    assertThat(local.clip()).isEqualTo(new Clip("norm", 1.0, 0.5));
    assertThat(shards.get(1).stage()).isEqualTo(Stage.REDUCED);
    assertThat(shards.get(1).previousStep()).isEqualTo(-1);
    assertThat(shards.get(2).previousStep()).isEqualTo(10);
    assertThat(shards).extracting(Shard::producerSeq).containsExactly(0L, 1L, 2L);
    List<RunEvent> events = read(kafka, Codecs.RUNS);
    assertThat(events).extracting(RunEvent::step).containsExactly(-1L, 12L);
    assertStats(publisher, 6, 0, 0);
  }

  @Test
  void aFullQueueDropsTheOldestShardsAndTheNextRecordSaysHowMany() {
    Kafka kafka = new Kafka(true, false);
    GradientPublisher publisher = publisher(kafka);
    int capacity = PublisherOptions.DEFAULT_QUEUE_CAPACITY;
    for (int step = 0; step < capacity + 44; step++) {
      publisher.publish(StepReport.of(step).local(columns(1)));
    }
    assertStats(publisher, 0, 44, capacity + 1);
    kafka.open.countDown();
    publisher.close(SOON);

    assertStats(publisher, capacity + 1, 44, 0);
    assertThat(kafka.history().get(0).topic()).isEqualTo("gradient-manifests");
    List<Shard> shards = read(kafka, Codecs.SHARDS);
    assertThat(shards.get(0).id().step()).isEqualTo(44);
    // The steps in between were not left out by design: the loss has to show.
    assertThat(shards.get(0).previousStep()).isEqualTo(43);
    assertThat(shards).extracting(Shard::dropped).containsOnly(44L);
  }

  @Test
  void aRecordThatKafkaDoesNotTakeIsCountedAndTheManifestSentAgain() {
    Kafka kafka = new Kafka(false, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.publish(StepReport.of(0).local(columns(1)));
    await().atMost(SOON).until(() -> kafka.history().size() == 2);
    kafka.completeNext();
    kafka.errorNext(new TimeoutException("expired"));
    assertStats(publisher, 1, 1, 0);
    publisher.publish(StepReport.of(1).local(columns(1)));
    await().atMost(SOON).until(() -> kafka.history().size() == 4);
    assertThat(kafka.history().get(2).topic()).isEqualTo("gradient-manifests");
    assertThat(read(kafka, Codecs.SHARDS).get(1).dropped()).isEqualTo(1);
  }

  @Test
  void aLostEventIsSentAgainUnlessALaterOneArrived() {
    Kafka kafka = new Kafka(false, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.event(RunEvent.Type.STARTED, -1, Map.of());
    await().atMost(SOON).until(() -> kafka.history().size() == 2);
    kafka.completeNext();
    kafka.errorNext(new TimeoutException("expired"));
    publisher.event(RunEvent.Type.PAUSED, 0, Map.of());
    await().atMost(SOON).until(() -> kafka.history().size() == 4);
    assertThat(read(kafka, Codecs.RUNS))
        .extracting(RunEvent::type)
        .containsExactly(RunEvent.Type.STARTED, RunEvent.Type.STARTED, RunEvent.Type.PAUSED);
    kafka.errorNext(new TimeoutException("expired"));
    kafka.completeNext();
    publisher.event(RunEvent.Type.RESUMED, 0, Map.of());
    await().atMost(SOON).until(() -> kafka.history().size() == 5);
    kafka.completeNext();
    assertThat(read(kafka, Codecs.RUNS).get(3).type()).isEqualTo(RunEvent.Type.RESUMED);
    assertStats(publisher, 3, 1, 0);
  }

  @Test
  void aRankThatIsNotTheLowestToReportLeavesTheManifestToIt() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher other =
        new GradientPublisher(options.withRank(4), manifest(1), () -> kafka, NOON);
    other.publish(StepReport.of(0).local(columns(1)));
    other.close(SOON);
    assertThat(kafka.history())
        .extracting(ProducerRecord::topic)
        .containsExactly("gradient-shards");
    assertThat(read(kafka, Codecs.SHARDS).get(0).manifestId()).isEqualTo(manifest(1).contentId());
  }

  @Test
  void aBrokenProducerIsReplaced() {
    Kafka broken = new Kafka(true, true);
    broken.sendException = new KafkaException("fenced");
    Kafka next = new Kafka(true, true);
    AtomicInteger made = new AtomicInteger();
    GradientPublisher publisher =
        new GradientPublisher(
            options, manifest(1), () -> made.getAndIncrement() == 0 ? broken : next, NOON);
    publisher.publish(StepReport.of(0).local(columns(1)));
    publisher.close(SOON);
    assertThat(broken.closed()).isTrue();
    assertThat(next.history())
        .extracting(ProducerRecord::topic)
        .containsExactly("gradient-manifests", "gradient-shards");
    assertStats(publisher, 2, 0, 0);
  }

  @Test
  void aProducerThatCannotBeMadeYetIsTriedAgain() {
    Kafka kafka = new Kafka(true, true);
    AtomicInteger tries = new AtomicInteger();
    GradientPublisher publisher =
        new GradientPublisher(
            options,
            manifest(1),
            () -> {
              if (tries.getAndIncrement() == 0) {
                throw new KafkaException("No resolvable bootstrap urls");
              }
              return kafka;
            },
            NOON);
    publisher.publish(StepReport.of(0).local(columns(1)));
    await().atMost(SOON).until(() -> publisher.stats().sent() == 2);
    publisher.close(SOON);
  }

  @Test
  void closingEndsInTimeWithADeadBrokerAndCountsWhatIsLeft() {
    GradientPublisher publisher = publisher(new Kafka(true, false));
    for (int step = 0; step < 10; step++) {
      publisher.publish(StepReport.of(step).local(columns(1)));
    }
    long start = System.nanoTime();
    publisher.close(Duration.ofMillis(300));
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(2));
    await().atMost(SOON).until(() -> publisher.stats().waiting() == 0);
    assertStats(publisher, 0, 11, 0);
  }

  @Test
  void whatIsHandedOverAfterClosingIsDropped() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.close(SOON);
    publisher.close(SOON);
    publisher.publish(StepReport.of(0).local(columns(1)));
    publisher.event(RunEvent.Type.FINISHED, 12, Map.of());
    assertStats(publisher, 1, 2, 0);
    assertThat(kafka.history()).hasSize(1);
  }

  @Test
  void nothingTheTrainerHandsOverThrows() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.announce(null);
    publisher.event(RunEvent.Type.EVAL, 0, null);
    publisher.event(null, 0, Map.of());
    publisher.publish(StepReport.of(0).local(new float[][] {null}));
    publisher.publish(StepReport.of(1).reduced((LayerColumns) null));
    publisher.close(SOON);
    assertStats(publisher, 1, 4, 0);
    assertThat(publisher.stats().lastError()).isNotBlank();
  }

  @Test
  void aShardTooLargeForARecordIsOneHandedOverAndSeveralRecords() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.publish(StepReport.of(0).reduced(columns(300_000)));
    publisher.close(SOON);
    List<Shard> shards = read(kafka, Codecs.SHARDS);
    assertThat(shards).hasSizeGreaterThan(1);
    assertThat(shards).extracting(Shard::parts).containsOnly(shards.size());
    assertStats(publisher, 2, 0, 0);
  }

  @Test
  void theEnvironmentSetsTheOptions() {
    PublisherOptions fromEnvironment =
        PublisherOptions.fromEnvironment(
            Map.of(
                "GRADFLOW_BOOTSTRAP_SERVERS", "broker:9092",
                "GRADFLOW_RUN", "gpt",
                "GRADFLOW_ATTEMPT", "1700000000000",
                "GRADFLOW_RANK", "5",
                "GRADFLOW_COORDS", "1, 2",
                "GRADFLOW_QUEUE", "8",
                "GRADFLOW_KAFKA_SECURITY_PROTOCOL", "SSL",
                "HOSTNAME", "node-7"));
    assertThat(fromEnvironment)
        .isEqualTo(
            new PublisherOptions(
                "broker:9092",
                "gpt",
                1_700_000_000_000L,
                "main",
                5,
                List.of(1, 2),
                "node-7",
                null,
                8,
                Map.of("security.protocol", "SSL")));
  }

  @Test
  void aMissingOrImpossibleOptionIsNamed() {
    Map<String, String> environment =
        Map.of(
            "GRADFLOW_BOOTSTRAP_SERVERS", "broker:9092",
            "GRADFLOW_RUN", "gpt",
            "GRADFLOW_ATTEMPT", "soon");
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(Map.of("GRADFLOW_RUN", "gpt")))
        .hasMessage(
            "environment variable GRADFLOW_BOOTSTRAP_SERVERS is not set: the publisher needs it");
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(environment))
        .hasMessage("environment variable GRADFLOW_ATTEMPT: expected a whole number, got 'soon'");
    assertThatThrownBy(() -> PublisherOptions.of("broker:9092", "", 0))
        .hasMessage("publisher option runId: expected 1 to 500 characters, got ");
    assertThatThrownBy(() -> options.withRank(-1))
        .hasMessage("publisher option rank: expected 0 or more, got -1");
  }

  private static void assertStats(
      GradientPublisher publisher, long sent, long dropped, long waiting) {
    PublisherStats stats = publisher.stats();
    assertThat(List.of(stats.sent(), stats.dropped(), stats.waiting()))
        .containsExactly(sent, dropped, waiting);
  }

  private static <T> List<T> read(Kafka kafka, Codec<T> codec) {
    Topic topic = codec.topic();
    List<T> values = new ArrayList<>();
    for (ProducerRecord<byte[], byte[]> record : kafka.history()) {
      if (record.topic().equals(topic.topicName())) {
        values.add(codec.decoder(WriterSchemas.known()).decode(record.value(), null).value());
      }
    }
    return values;
  }

  private static LayerColumns columns(int layers) {
    float[] ones = new float[layers];
    Arrays.fill(ones, 1);
    return new LayerColumns(0, null, null, ones, ones, null, null, null);
  }

  private static Manifest manifest(int layers) {
    List<Layer> list =
        IntStream.range(0, layers)
            .mapToObj(
                i ->
                    new Layer(
                        "layer." + i,
                        null,
                        i,
                        LayerKind.WEIGHT,
                        10,
                        "float32",
                        true,
                        false,
                        false,
                        null,
                        List.of(Placement.REPLICATE)))
            .toList();
    return new Manifest(
        "gpt",
        1_700_000_000_000L,
        "main",
        0,
        0,
        1,
        0,
        layers,
        8,
        List.of(new MeshAxis("dp_replicate", 8)),
        List.of(new Reporting(Stage.LOCAL, new int[] {3, 4}, 1)),
        "mean",
        null,
        null,
        null,
        null,
        null,
        list);
  }
}
