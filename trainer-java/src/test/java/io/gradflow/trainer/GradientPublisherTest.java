package io.gradflow.trainer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.Layer;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalGroup;
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
import java.util.HashMap;
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
      PublisherOptions.of("unused:9092", "gpt", 1_700_000_000_000L, 3);

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
    return new GradientPublisher(options, () -> producer, NOON);
  }

  @Test
  void aStepIsALocalAndAReducedShardInOrder() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.announce(manifest(2));
    publisher.event(RunEvent.Type.STARTED, Map.of("learningRate", "0.1"));
    float[][] gradients = {{3, 4}, {0, -12, Float.NaN}};
    StepReport report =
        publisher
            .step(10)
            .local(gradients)
            .weight(32)
            .loss(0.5)
            .learningRates(0.1)
            .lossScale(1024)
            .clip(new Clip("norm", 1.0, 0.5))
            .globalNorm(13);
    gradients[0][0] = 1e9f;
    report.reduced(new float[][] {{1, 0}, {2, 0, 0}}).publish();
    publisher.step(12).local(new float[][] {{1, 1}, {1, 1, 1}}).publish();
    publisher.event(RunEvent.Type.FINISHED, Map.of());
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
    assertThat(local.manifestId()).isEqualTo(manifest(2).contentId());
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
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(6, 0, 0, 0));
  }

  @Test
  void aFullQueueDropsTheOldestShardsAndTheNextRecordSaysHowMany() {
    Kafka kafka = new Kafka(true, false);
    GradientPublisher publisher = publisher(kafka);
    publisher.announce(manifest(1));
    int capacity = PublisherOptions.DEFAULT_QUEUE_CAPACITY;
    for (int step = 0; step < capacity + 44; step++) {
      publisher.step(step).local(columns(1)).publish();
    }
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 44, 0, capacity + 1));
    kafka.open.countDown();
    publisher.close(SOON);

    assertThat(publisher.stats()).isEqualTo(new PublisherStats(capacity + 1, 44, 0, 0));
    assertThat(kafka.history().get(0).topic()).isEqualTo("gradient-manifests");
    List<Shard> shards = read(kafka, Codecs.SHARDS);
    assertThat(shards.get(0).id().step()).isEqualTo(44);
    // The steps in between were not left out by design: the loss has to show.
    assertThat(shards.get(0).previousStep()).isEqualTo(43);
    assertThat(shards).extracting(Shard::dropped).containsOnly(44L);
  }

  @Test
  void ofAStepThatIsNotSampledNothingIsMeasuredOrPublished() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher =
        new GradientPublisher(options.withEvery(4), () -> kafka, InstantSource.system());
    publisher.announce(manifest(1));
    for (int step = 0; step <= 10; step++) {
      StepReport report = publisher.step(step);
      assertThat(report.isDue()).isEqualTo(step % 4 == 0);
      assertThat(report.wants(SignalGroup.WEIGHTS)).isEqualTo(step % 4 == 0);
      if (report.isDue()) {
        report.local(new float[][] {{3, 4}}).weights(new float[][] {{1, 0}}).publish();
      } else {
        // What cannot be read is not read: it would count as dropped.
        float[][] unreadable = {null};
        report.local(unreadable).gradients(unreadable, unreadable).rawReduced(unreadable);
        report.reduced((LayerColumns) null).weights(unreadable).updates(unreadable);
        report.weightNorms(new float[0]).activations(new long[0], new long[0]).loss(1).publish();
      }
    }
    publisher.event(RunEvent.Type.EVAL, Map.of());
    publisher.step(4).local(columns(1)).publish();
    publisher.step(8).local(columns(1)).publish();
    publisher.close(SOON);

    List<Shard> shards = read(kafka, Codecs.SHARDS);
    assertThat(shards).extracting(shard -> shard.id().step()).containsExactly(0L, 4L, 8L, 4L, 8L);
    // A training that goes back in steps begins anew.
    assertThat(shards).extracting(Shard::previousStep).containsExactly(-1L, 0L, 4L, -1L, 4L);
    assertThat(shards.get(2).columns().norm()).containsExactly(5);
    assertThat(shards.get(2).columns().signals().weightNorm()).containsExactly(1);
    assertThat(read(kafka, Codecs.RUNS)).extracting(RunEvent::step).containsExactly(10L);
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(7, 0, 0, 0));
  }

  @Test
  void aTrainingThatGoesBackToAStepNotSampledBeginsAnew() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher =
        new GradientPublisher(options.withEvery(4), () -> kafka, InstantSource.system());
    for (int step : new int[] {4, 8, 9, 7, 8}) {
      publisher.step(step).local(columns(1)).publish();
    }
    publisher.close(SOON);
    assertThat(read(kafka, Codecs.SHARDS))
        .extracting(Shard::previousStep)
        .containsExactly(-1L, 4L, -1L);
  }

  @Test
  void theDotProductOfASampledStepIsWithTheOneSampledBefore() {
    Kafka kafka = new Kafka(true, true);
    PublisherOptions sampled = options.withEvery(2).with(SignalPolicy.parse("dots"));
    GradientPublisher publisher =
        new GradientPublisher(sampled, () -> kafka, InstantSource.system());
    for (int step = 0; step <= 4; step++) {
      publisher.step(step).reduced(new float[][] {{step + 1}}).publish();
    }
    publisher.close(SOON);
    List<Shard> shards = read(kafka, Codecs.SHARDS);
    assertThat(shards.get(1).columns().signals().dotPrevious()).containsExactly(3);
    assertThat(shards.get(2).columns().signals().dotPrevious()).containsExactly(15);
  }

  @Test
  void aManifestSaysWhatTheOptionsSample() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher =
        new GradientPublisher(options.withEvery(4), () -> kafka, InstantSource.system());
    Manifest manifest =
        manifest(1)
            .with(
                List.of(
                    new Reporting(Stage.LOCAL, null, 1),
                    new Reporting(Stage.REDUCED, new int[] {0}, 6)));
    publisher.announce(manifest);
    publisher.step(0).local(columns(1)).publish();
    publisher.refer(manifest);
    publisher.step(4).local(columns(1)).publish();
    publisher.announce(manifest.with(List.of(new Reporting(Stage.LOCAL, null, 999_999_999))));
    publisher.close(SOON);

    Manifest published = read(kafka, Codecs.MANIFESTS).get(0);
    assertThat(published.reporting()).extracting(Reporting::every).containsExactly(4, 12);
    assertThat(published.reporting().get(1).ranks()).containsExactly(0);
    assertThat(published.manifestId()).isEqualTo(published.contentId());
    assertThat(read(kafka, Codecs.SHARDS))
        .extracting(Shard::manifestId)
        .containsOnly(published.manifestId());
    // The last manifest's steps can be no number of its schema: said and counted, not thrown.
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(3, 1, 0, 0));
  }

  @Test
  void switchedOffItDoesNothing() {
    AtomicInteger made = new AtomicInteger();
    PublisherOptions off = PublisherOptions.of("unused:9092", "nowhere", 0, 3).off();
    GradientPublisher publisher =
        new GradientPublisher(
            off,
            () -> {
              made.incrementAndGet();
              return new Kafka(true, true);
            },
            NOON);
    assertThat(Thread.getAllStackTraces().keySet())
        .extracting(Thread::getName)
        .noneMatch(name -> name.contains("nowhere"));
    publisher.announce(null);
    publisher.refer((Manifest) null);
    publisher.event(null, null);
    StepReport report = publisher.step(0);
    assertThat(report.isDue()).isFalse();
    assertThat(report.wants(SignalGroup.MOMENTS)).isFalse();
    report.local(new float[][] {null}).reduced(columns(2)).weights(null).publish();
    publisher.close();
    assertThat(made).hasValue(0);
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 0, 0, 0));
    try (GradientPublisher started = GradientPublisher.start(off)) {
      started.step(1).local(columns(1)).publish();
      assertThat(started.stats()).isEqualTo(new PublisherStats(0, 0, 0, 0));
    }
  }

  @Test
  void aRecordThatKafkaDoesNotTakeIsCountedAndTheManifestSentAgain() {
    Kafka kafka = new Kafka(false, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.announce(manifest(1));
    publisher.step(0).local(columns(1)).publish();
    await().atMost(SOON).until(() -> kafka.history().size() == 2);
    kafka.completeNext();
    kafka.errorNext(new TimeoutException("expired"));
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(1, 0, 1, 0));
    publisher.step(1).local(columns(1)).publish();
    await().atMost(SOON).until(() -> kafka.history().size() == 4);
    assertThat(kafka.history().get(2).topic()).isEqualTo("gradient-manifests");
    assertThat(read(kafka, Codecs.SHARDS).get(1).dropped()).isEqualTo(1);
  }

  @Test
  void aLostEventIsSentAgainUnlessALaterOneArrived() {
    Kafka kafka = new Kafka(false, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.event(RunEvent.Type.STARTED, Map.of());
    await().atMost(SOON).until(() -> kafka.history().size() == 1);
    kafka.errorNext(new TimeoutException("expired"));
    publisher.event(RunEvent.Type.PAUSED, Map.of());
    await().atMost(SOON).until(() -> kafka.history().size() == 3);
    assertThat(read(kafka, Codecs.RUNS))
        .extracting(RunEvent::type)
        .containsExactly(RunEvent.Type.STARTED, RunEvent.Type.STARTED, RunEvent.Type.PAUSED);
    kafka.errorNext(new TimeoutException("expired"));
    kafka.completeNext();
    publisher.event(RunEvent.Type.RESUMED, Map.of());
    await().atMost(SOON).until(() -> kafka.history().size() == 4);
    kafka.completeNext();
    assertThat(read(kafka, Codecs.RUNS).get(3).type()).isEqualTo(RunEvent.Type.RESUMED);
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(2, 0, 1, 0));
  }

  @Test
  void aBrokenProducerIsReplaced() {
    Kafka broken = new Kafka(true, true);
    broken.sendException = new KafkaException("fenced");
    Kafka next = new Kafka(true, true);
    AtomicInteger made = new AtomicInteger();
    GradientPublisher publisher =
        new GradientPublisher(options, () -> made.getAndIncrement() == 0 ? broken : next, NOON);
    publisher.announce(manifest(1));
    publisher.step(0).local(columns(1)).publish();
    publisher.close(SOON);
    assertThat(broken.closed()).isTrue();
    assertThat(next.history())
        .extracting(ProducerRecord::topic)
        .containsExactly("gradient-manifests", "gradient-shards");
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(2, 0, 0, 0));
  }

  @Test
  void aProducerThatCannotBeMadeYetIsTriedAgain() {
    Kafka kafka = new Kafka(true, true);
    AtomicInteger tries = new AtomicInteger();
    GradientPublisher publisher =
        new GradientPublisher(
            options,
            () -> {
              if (tries.getAndIncrement() == 0) {
                throw new KafkaException("No resolvable bootstrap urls");
              }
              return kafka;
            },
            NOON);
    publisher.step(0).local(columns(1)).publish();
    await().atMost(SOON).until(() -> publisher.stats().sent() == 1);
    publisher.close(SOON);
  }

  @Test
  void closingEndsInTimeWithADeadBrokerAndCountsWhatIsLeft() {
    GradientPublisher publisher = publisher(new Kafka(true, false));
    for (int step = 0; step < 10; step++) {
      publisher.step(step).local(columns(1)).publish();
    }
    long start = System.nanoTime();
    publisher.close(Duration.ofMillis(300));
    assertThat(Duration.ofNanos(System.nanoTime() - start)).isLessThan(Duration.ofSeconds(2));
    await().atMost(SOON).until(() -> publisher.stats().pending() == 0);
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 10, 0, 0));
  }

  @Test
  void whatIsHandedOverAfterClosingIsDropped() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.close(SOON);
    publisher.close(SOON);
    publisher.step(0).local(columns(1)).publish();
    publisher.event(RunEvent.Type.FINISHED, Map.of());
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 2, 0, 0));
    assertThat(kafka.history()).isEmpty();
  }

  @Test
  void nothingTheTrainerHandsOverThrows() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.announce(null);
    publisher.event(null, null);
    publisher.step(0).local(new float[][] {null}).publish();
    publisher.step(1).reduced((LayerColumns) null).publish();
    publisher.step(2).rawLocal(new float[][] {null}).publish();
    publisher.step(3).rawReduced(Dtype.BFLOAT16, new byte[][] {{1, 2, 3}}).publish();
    publisher.refer((Manifest) null);
    publisher
        .step(4)
        .slicesAt((long[]) null)
        .gradients(null, new float[][] {null})
        .weights(null)
        .weightNorms(null)
        .updates(new float[][] {null})
        .updateNorms(null)
        .activations(null, null)
        .publish();
    publisher.step(5).reduced(columns(2)).weightNorms(new float[1]).publish();
    publisher.close(SOON);
    PublisherStats stats = publisher.stats();
    // The last one goes without its weights.
    assertThat(stats.sent()).isEqualTo(1);
    assertThat(stats.pending()).isZero();
    assertThat(stats.dropped() + stats.failed()).isEqualTo(8);
  }

  @Test
  void aShardTooLargeForARecordIsOneHandedOverAndSeveralRecords() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.step(0).reduced(columns(300_000)).publish();
    publisher.close(SOON);
    List<Shard> shards = read(kafka, Codecs.SHARDS);
    assertThat(shards).hasSizeGreaterThan(1);
    assertThat(shards).extracting(Shard::parts).containsOnly(shards.size());
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(1, 0, 0, 0));
  }

  @Test
  void rawValuesAreCutIntoBlocksThatSayWhatAShardSays() {
    Kafka kafka = new Kafka(true, true);
    GradientPublisher publisher = publisher(kafka);
    publisher.refer(77);
    int perBlock = RawValues.SLICE_BYTES / Float.BYTES;
    float[][] gradients = {{3, 4}, {}, new float[2 * perBlock + 1]};
    gradients[2][2 * perBlock] = -5;
    StepReport report =
        publisher.step(10).rawReduced(gradients).weight(32).loss(0.5).learningRates(0.1);
    gradients[0][0] = Float.NaN;
    report.skipped().lossScale(1024).clip(new Clip("norm", 1.0, 0.5)).globalNorm(13).publish();
    byte[][] halves = {{0, 0x3c, 1, 0}, {}, {0, (byte) 0xfc}};
    publisher.step(11).rawLocal(Dtype.FLOAT16, halves).publish();
    publisher.close(SOON);

    List<Block> blocks = read(kafka, Codecs.BLOCKS);
    assertThat(kafka.history())
        .allSatisfy(
            record -> {
              assertThat(record.key()).asString().isEqualTo("gpt|3");
              assertThat(record.value()).hasSizeLessThanOrEqualTo(Topic.MAX_VALUE_BYTES);
            });
    assertThat(blocks).extracting(Block::layer).containsExactly(0, 1, 2, 2, 2, 0, 1, 2);
    assertThat(blocks)
        .extracting(Block::count)
        .containsExactly(2L, 0L, (long) perBlock, (long) perBlock, 1L, 2L, 0L, 1L);
    assertThat(blocks)
        .extracting(Block::offset)
        .containsExactly(0L, 0L, 0L, (long) perBlock, 2L * perBlock, 0L, 0L, 0L);
    assertThat(blocks).extracting(b -> b.header().part()).containsExactly(0, 1, 2, 3, 4, 0, 1, 2);
    assertThat(blocks).extracting(b -> b.header().parts()).containsExactly(5, 5, 5, 5, 5, 3, 3, 3);
    assertThat(blocks.subList(0, 5))
        .allSatisfy(
            block -> {
              Shard header = block.header();
              assertThat(header.id().step()).isEqualTo(10);
              assertThat(header.stage()).isEqualTo(Stage.REDUCED);
              assertThat(header.manifestId()).isEqualTo(77);
              assertThat(header.weight()).isEqualTo(32);
              assertThat(header.loss()).isEqualTo(0.5);
              assertThat(header.learningRates()).containsExactly(0.1);
              assertThat(header.stepSkipped()).isTrue();
              assertThat(header.lossScale()).isEqualTo(1024);
              assertThat(header.clip()).isEqualTo(new Clip("norm", 1.0, 0.5));
              assertThat(header.reportedGlobalNorm()).isEqualTo(13);
            });
    assertThat(blocks.get(5).header().previousStep()).isEqualTo(10);
    assertThat(blocks)
        .extracting(block -> block.measured().columns().norm()[0])
        .containsExactly(5f, 0f, 0f, 0f, 5f, 1f, 0f, 0f);
    assertThat(blocks.get(7).measured().columns().nonFinite().negInfs()).containsExactly(1);
    // Each stage is one handed over, however many records it takes.
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(2, 0, 0, 0));
  }

  @Test
  void ofAGradientThatHasLostABlockNothingMoreIsSent() {
    Kafka broken = new Kafka(true, true);
    broken.sendException = new KafkaException("fenced");
    Kafka next = new Kafka(true, true);
    AtomicInteger made = new AtomicInteger();
    GradientPublisher publisher =
        new GradientPublisher(options, () -> made.getAndIncrement() == 0 ? broken : next, NOON);
    publisher.step(0).rawReduced(new float[3][1]).publish();
    publisher.step(1).rawReduced(new float[3][1]).publish();
    publisher.close(SOON);
    assertThat(read(next, Codecs.BLOCKS))
        .extracting(block -> block.header().id().step())
        .containsExactly(1L, 1L, 1L);
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(1, 0, 1, 0));
  }

  @Test
  void rawValuesFillTheQueueByTheirBytes() {
    Kafka kafka = new Kafka(true, false);
    int capacity = 4;
    GradientPublisher publisher =
        new GradientPublisher(
            new PublisherOptions(
                "unused:9092", "gpt", 0, "main", 3, new int[] {3}, null, null, capacity, Map.of()),
            () -> kafka,
            NOON);
    int perBlock = RawValues.SLICE_BYTES / Float.BYTES;
    publisher.step(0).local(columns(1)).publish();
    publisher.step(1).rawReduced(new float[][] {{1}, new float[2 * perBlock]}).publish();
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 0, 0, 2));
    publisher.step(2).local(columns(1)).publish();
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 1, 0, 2));
    publisher.step(3).rawReduced(new float[][] {new float[capacity * perBlock]}).publish();
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(0, 3, 0, 1));
    kafka.open.countDown();
    publisher.close(SOON);
    List<Block> sent = read(kafka, Codecs.BLOCKS);
    assertThat(sent).hasSize(capacity);
    assertThat(sent).allSatisfy(block -> assertThat(block.header().id().step()).isEqualTo(3));
    assertThat(publisher.stats()).isEqualTo(new PublisherStats(1, 3, 0, 0));
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
                "GRADFLOW_EVERY", "20",
                "GRADFLOW_SIGNALS", "moments, sketch:50",
                "GRADFLOW_KAFKA_SECURITY_PROTOCOL", "SSL",
                "HOSTNAME", "node-7"));
    assertThat(fromEnvironment)
        .usingRecursiveComparison()
        .isEqualTo(
            new PublisherOptions(
                "broker:9092",
                "gpt",
                1_700_000_000_000L,
                "main",
                5,
                null,
                new int[] {1, 2},
                "node-7",
                null,
                8,
                20,
                new SignalPolicy(Map.of(SignalGroup.MOMENTS, 1, SignalGroup.SKETCH, 50)),
                true,
                Map.of("security.protocol", "SSL")));
  }

  @Test
  void aLauncherSaysRankAndWorldSizeUnlessTheyAreSet() {
    Map<String, String> launchers =
        Map.of(
            "RANK",
            "3",
            "WORLD_SIZE",
            "8",
            "SLURM_PROCID",
            "1",
            "SLURM_NTASKS",
            "2",
            "GRADFLOW_BOOTSTRAP_SERVERS",
            "broker:9092",
            "GRADFLOW_RUN",
            "gpt",
            "GRADFLOW_ATTEMPT",
            "1");
    PublisherOptions torchrun = PublisherOptions.fromEnvironment(launchers);
    assertThat(torchrun.rank()).isEqualTo(3);
    assertThat(torchrun.worldSize()).isEqualTo(8);
    assertThat(torchrun.coords()).containsExactly(3);

    Map<String, String> slurm = new HashMap<>(launchers);
    slurm.keySet().removeAll(List.of("RANK", "WORLD_SIZE"));
    assertThat(PublisherOptions.fromEnvironment(slurm).rank()).isEqualTo(1);
    assertThat(PublisherOptions.fromEnvironment(slurm).worldSize()).isEqualTo(2);

    // A launcher that started another program's ranks says nothing of these.
    Map<String, String> own = new HashMap<>(launchers);
    own.put("GRADFLOW_RANK", "9");
    assertThat(PublisherOptions.fromEnvironment(own).rank()).isEqualTo(9);
    assertThat(PublisherOptions.fromEnvironment(own).worldSize()).isNull();
    own.put("GRADFLOW_WORLD_SIZE", "10");
    assertThat(PublisherOptions.fromEnvironment(own).worldSize()).isEqualTo(10);

    Map<String, String> impossible = new HashMap<>(launchers);
    impossible.put("WORLD_SIZE", "3");
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(impossible))
        .hasMessage("WORLD_SIZE: expected a number of 4 to 2147483647, got 3");
  }

  @Test
  void anEnvironmentThatSwitchesItOffNeedsNothingElse() {
    for (String no : List.of("0", "false", " False ")) {
      PublisherOptions off = PublisherOptions.fromEnvironment(Map.of("GRADFLOW_ENABLED", no));
      assertThat(off.enabled()).isFalse();
      assertThat(off.rank()).isZero();
      assertThat(off.isDue(0)).isFalse();
    }
    PublisherOptions known =
        PublisherOptions.fromEnvironment(
            Map.of("GRADFLOW_ENABLED", "0", "RANK", "2", "GRADFLOW_RUN", "gpt"));
    assertThat(known.rank()).isEqualTo(2);
    assertThat(known.runId()).isEqualTo("gpt");
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(Map.of("GRADFLOW_ENABLED", "1")))
        .hasMessage("GRADFLOW_RANK: expected a value, got null");
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(Map.of("GRADFLOW_ENABLED", "maybe")))
        .hasMessage("GRADFLOW_ENABLED: expected 1, true, 0 or false, got \"maybe\"");
  }

  @Test
  void aMissingOrImpossibleOptionIsNamed() {
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(Map.of("GRADFLOW_RANK", "0")))
        .hasMessage("GRADFLOW_BOOTSTRAP_SERVERS: expected a value, got null");
    assertThatThrownBy(() -> PublisherOptions.fromEnvironment(Map.of("GRADFLOW_RANK", "zero")))
        .hasMessage("GRADFLOW_RANK: expected a number of 0 to 2147483647, got \"zero\"");
    assertThatThrownBy(() -> PublisherOptions.of("broker:9092", "", 0, 0))
        .hasMessage("runId: expected 1 to 500 characters, got ");
    assertThatThrownBy(() -> PublisherOptions.of("broker:9092", "gpt", 0, -1))
        .hasMessage("rank: expected 0 or more, got -1");
    assertThatThrownBy(() -> options.withEvery(0))
        .hasMessage("every: expected 1 to 1000000, got 0");
    assertThatThrownBy(
            () ->
                PublisherOptions.fromEnvironment(
                    Map.of(
                        "GRADFLOW_BOOTSTRAP_SERVERS",
                        "broker:9092",
                        "GRADFLOW_RUN",
                        "gpt",
                        "GRADFLOW_ATTEMPT",
                        "0",
                        "GRADFLOW_RANK",
                        "0",
                        "GRADFLOW_EVERY",
                        "0")))
        .hasMessage("GRADFLOW_EVERY: expected a number of 1 to 1000000, got 0");
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
        List.of(new Reporting(Stage.LOCAL, null, 1)),
        "mean",
        null,
        null,
        null,
        null,
        null,
        list);
  }
}
