package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.net.httpserver.HttpServer;
import io.gradflow.core.StepId;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Block;
import io.gradflow.core.shard.Dtype;
import io.gradflow.core.shard.LayerKind;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.shard.Measurement;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.shard.Placement;
import io.gradflow.core.shard.Reporting;
import io.gradflow.core.shard.RunEvent;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.NormJob;
import io.gradflow.schema.Codec;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Encoded;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.RankStep;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * One record in a hundred is poison, of every kind, in every topic the jobs read, while trainings
 * publish and another run repeats, contradicts and delays its shards: both jobs through their
 * mains, between the topics of a real broker and a schema registry.
 */
class PoisonTest {
  private static final int STEPS = 250;
  private static final int RANKS = 4;
  private static final List<Topic> POISONED =
      List.of(Topic.MANIFESTS, Topic.RUNS, Topic.SHARDS, Topic.BLOCKS, Topic.STEPS);
  private static final int EVERY_SO_MANY_STEPS = 4;
  private static final double WEIGHT = 16.25;
  private static final double ADAM_EPS = 1e-8;
  private static final int UNRULY_RANKS = 10;
  private static final int UNRULY_STEPS = 21;

  /**
   * From one poisoned training to the next, in bytes: its large records alone are 100 MB, and their
   * letters 140. Once the heap does grow by more: Flink keeps a buffer for each edge between tasks,
   * as large as the largest record that went over it.
   */
  private static final long HEAP_MAY_GROW = 60L << 20;

  @TempDir private Path folder;

  private LocalKafka kafka;
  private HttpServer registry;
  private JobsUnderTest jobs;
  private KafkaProducer<byte[], byte[]> producer;
  private final List<Letter> expected = new ArrayList<>();

  /** What identifies a dead letter; bytes by their digest. */
  private record Letter(
      String job,
      String reason,
      String topic,
      int partition,
      long offset,
      long timestamp,
      String key,
      String value) {}

  /** Poison with its place. */
  private record Dose(Poison kind, Topic topic, byte[] key, byte[] value) {}

  @BeforeEach
  void start() throws Exception {
    kafka = LocalKafka.start(new Workspace(folder), Ports.anyFree());
    try (Topics topics = Topics.of(kafka.bootstrapServers())) {
      topics.create(OptionalInt.of(4), Optional.empty());
    }
    takeLargeRecords();
    registry = registry();
    producer =
        new KafkaProducer<>(
            Map.of(
                ProducerConfig.BOOTSTRAP_SERVERS_CONFIG,
                kafka.bootstrapServers(),
                ProducerConfig.MAX_REQUEST_SIZE_CONFIG,
                24 << 20,
                ProducerConfig.BUFFER_MEMORY_CONFIG,
                48L << 20),
            new ByteArraySerializer(),
            new ByteArraySerializer());
    Configuration flink = new Configuration();
    flink.set(CoreOptions.TMP_DIRS, folder.resolve("tmp").toString());
    flink.set(
        CheckpointingOptions.CHECKPOINTS_DIRECTORY,
        folder.resolve("checkpoints").toUri().toString());
    flink.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1));
    flink.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    flink.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(64));
    flink.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(64));
    flink.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(64));
    jobs = new JobsUnderTest(flink, 2);
    for (Class<?> job : List.of(NormJob.class, AlertJob.class)) {
      jobs.start(
          job.getName(),
          job.getSimpleName(),
          "--" + GradflowOptions.BOOTSTRAP_SERVERS.key(),
          kafka.bootstrapServers(),
          "--" + GradflowOptions.REGISTRY_URL.key(),
          "http://127.0.0.1:" + registry.getAddress().getPort());
    }
  }

  @AfterEach
  void stop() throws Exception {
    jobs.close();
    producer.close(Duration.ofSeconds(5));
    registry.stop(0);
    kafka.close();
  }

  @Test
  void poisonBecomesDeadLettersAndDisturbsNothing() throws Exception {
    train("clean", new ArrayDeque<>());
    List<Step> reference = stepsOf("clean", STEPS);
    misbehave();

    train("poisoned", doses(1, "poisoned", reference.get(0)));
    List<Step> poisoned = stepsOf("poisoned", STEPS);
    long middle = heap();
    train("poisoned again", doses(2, "poisoned again", reference.get(0)));
    List<Step> poisonedAgain = stepsOf("poisoned again", STEPS);
    long end = heap();

    misbehaveMore();
    awaitAllRead();

    for (String job : List.of(NormJob.NAME, AlertJob.NAME)) {
      assertThat(jobs.status(job)).as(job).isEqualTo(JobStatus.RUNNING);
      assertThat(jobs.gauge(job, "numRestarts")).as("restarts of " + job).isZero();
    }
    assertThat(end - middle).as("growth of the heap").isLessThan(HEAP_MAY_GROW);
    assertSameSteps(poisoned, reference);
    assertSameSteps(poisonedAgain, reference);
    assertThat(alertsOf("clean", "poisoned", "poisoned again")).isEmpty();
    assertCountersAddUp();

    List<ConsumerRecord<byte[], byte[]>> letters = new ArrayList<>();
    try (TopicReader reader = reader()) {
      reader.withRaw(Topic.DEAD_LETTERS, letters::add).readToEnd();
    }
    Predicate<ConsumerRecord<?, ?>> isRejection =
        letter -> letter.headers().lastHeader("run") != null;
    assertThat(letters.stream().filter(isRejection.negate()).map(PoisonTest::letter))
        .containsExactlyInAnyOrderElementsOf(expected);
    assertThat(letters.stream().filter(isRejection).map(letter -> text(letter, "reason")))
        .containsExactlyInAnyOrder("bad-shard", "fenced");
  }

  // --- Poison -----------------------------------------------------------------------------------

  /**
   * Two of each kind for the shards, one in a hundred of them; one of each for the other topics.
   */
  private static Deque<Dose> doses(long seed, String run, Step step) {
    Random random = new Random(seed);
    List<Dose> doses = new ArrayList<>();
    byte[] event =
        value(
            Codecs.RUNS,
            new RunEvent(run, 1, StepId.MAIN_STREAM, -1, RunEvent.Type.EVAL, 0, Map.of()));
    byte[] manifest = value(Codecs.MANIFESTS, unrulyManifest(run));
    for (Poison kind : Poison.values()) {
      for (int i = 0; i < 2; i++) {
        int rank = random.nextInt(RANKS);
        Shard shard = shard(run, 1, random.nextInt(STEPS), rank, 0);
        byte[] key = Codecs.SHARDS.encode(shard).get(0).key();
        doses.add(
            dose(
                kind,
                new Poison.Sample(Topic.SHARDS, value(Codecs.SHARDS, shard), event, WEIGHT),
                key,
                random));
      }
      byte[] key = ("poison " + random.nextInt()).getBytes(StandardCharsets.UTF_8);
      for (Poison.Sample sample :
          List.of(
              new Poison.Sample(
                  Topic.BLOCKS,
                  value(Codecs.BLOCKS, block(run, Block.Purpose.MEASURE)),
                  event,
                  WEIGHT),
              new Poison.Sample(Topic.MANIFESTS, manifest, event, ADAM_EPS),
              new Poison.Sample(Topic.RUNS, event, manifest, null),
              new Poison.Sample(
                  Topic.STEPS, value(Codecs.STEPS, step), event, step.completeness()))) {
        if (kind != Poison.NON_FINITE_HEADER || sample.number() != null) {
          doses.add(dose(kind, sample, key, random));
        }
      }
    }
    Collections.shuffle(doses, random);
    return new ArrayDeque<>(doses);
  }

  private static Dose dose(Poison kind, Poison.Sample sample, byte[] key, Random random) {
    return new Dose(kind, sample.topic(), key, kind.of(sample, random));
  }

  /** Sends poison, and expects it back from every job that reads its topic. */
  private void give(Dose dose) {
    RecordMetadata written = send(dose.topic(), dose.key(), dose.value());
    for (String job : readersOf(dose.topic())) {
      expected.add(
          new Letter(
              job,
              dose.kind().reason(),
              written.topic(),
              written.partition(),
              written.offset(),
              written.timestamp(),
              digest(dose.key()),
              digest(dose.value())));
    }
  }

  private static List<String> readersOf(Topic topic) {
    return switch (topic) {
      case SHARDS, BLOCKS -> List.of(NormJob.NAME);
      case MANIFESTS, RUNS -> List.of(NormJob.NAME, AlertJob.NAME);
      case STEPS, RULES -> List.of(AlertJob.NAME);
      default -> List.of();
    };
  }

  private static Letter letter(ConsumerRecord<byte[], byte[]> record) {
    return new Letter(
        text(record, "job"),
        text(record, "reason"),
        text(record, "topic"),
        Integer.parseInt(text(record, "partition")),
        Long.parseLong(text(record, "offset")),
        Long.parseLong(text(record, "timestamp")),
        digest(record.key()),
        digest(record.value()));
  }

  private static String text(ConsumerRecord<?, ?> record, String header) {
    return new String(record.headers().lastHeader(header).value(), StandardCharsets.UTF_8);
  }

  private static String digest(byte[] bytes) {
    try {
      return bytes.length
          + " bytes "
          + HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every JDK has SHA-256", e);
    }
  }

  // --- The runs ---------------------------------------------------------------------------------

  /** The same training under any name, with poison between its records until there is none. */
  private void train(String run, Deque<Dose> poison) throws InterruptedException {
    TrainingPolicy policy =
        TrainingPolicy.ofSeed(77).withSteps(STEPS).withRanks(RANKS).withStepsPerSecond(100);
    DataParallelTraining training =
        new DataParallelTraining(policy, Scenario.HEALTHY.fault(policy));
    try (PublishedRanks published =
        new PublishedRanks(kafka.bootstrapServers(), run, 1, RANKS, training.layers())) {
      training.run(
          step -> {
            published.observe(step);
            if (isDue(step) && !poison.isEmpty()) {
              give(poison.remove());
            }
          });
      published.finish();
      assertThat(published.dropped()).isZero();
    }
    assertThat(poison).isEmpty();
  }

  private static boolean isDue(RankStep step) {
    return step.rank() == 0 && step.step() % EVERY_SO_MANY_STEPS == 0;
  }

  /** A run in which one shard comes twice, one again with other content, and one not at all. */
  private void misbehave() {
    send(Codecs.MANIFESTS, unrulyManifest("unruly"));
    send(Topic.MANIFESTS, "deleted".getBytes(StandardCharsets.UTF_8), null);
    for (int step = 0; step < UNRULY_STEPS; step++) {
      for (int rank = 0; rank < UNRULY_RANKS; rank++) {
        if (!isWithheld(step, rank)) {
          send(Codecs.SHARDS, shard("unruly", 5, step, rank, 3));
        }
      }
    }
    send(Codecs.BLOCKS, block("unruly", Block.Purpose.CAPTURE));
    send(Codecs.SHARDS, shard("unruly", 5, 7, 3, 3));
    send(Codecs.SHARDS, shard("unruly", 5, 8, 4, 4));
  }

  private static boolean isWithheld(int step, int rank) {
    return step == 5 && rank == UNRULY_RANKS - 1;
  }

  /** What was withheld comes late; what cannot be used, too; then the run ends. */
  private void misbehaveMore() {
    assertThat(stepsOf("unruly", UNRULY_STEPS).get(5).closedBy()).isEqualTo(ClosedBy.QUORUM);
    send(Codecs.SHARDS, shard("unruly", 5, 5, UNRULY_RANKS - 1, 3));
    send(Codecs.SHARDS, shard("unruly", 4, 5, 1, 3));
    send(Codecs.SHARDS, shard("unruly", 5, UNRULY_STEPS, UNRULY_RANKS, 3));
    send(
        Codecs.RUNS,
        new RunEvent(
            "unruly",
            5,
            StepId.MAIN_STREAM,
            UNRULY_STEPS - 1,
            RunEvent.Type.FINISHED,
            0,
            Map.of()));
    assertThat(stepsOf("unruly", UNRULY_STEPS + 1))
        .as("the late shard makes a revision")
        .anySatisfy(
            step -> {
              assertThat(step.id().step()).isEqualTo(5);
              assertThat(step.completeness()).isEqualTo(1);
            });
  }

  private static Manifest unrulyManifest(String run) {
    return new Manifest(
            run,
            5,
            StepId.MAIN_STREAM,
            0,
            0,
            1,
            0,
            1,
            UNRULY_RANKS,
            List.of(new MeshAxis("dp_replicate", UNRULY_RANKS)),
            List.of(new Reporting(Stage.REDUCED, null, 1)),
            "mean",
            "float32",
            "float32",
            "float32",
            "adam",
            ADAM_EPS,
            List.of(
                new io.gradflow.core.shard.Layer(
                    "w",
                    null,
                    0,
                    LayerKind.WEIGHT,
                    2,
                    "float32",
                    true,
                    false,
                    false,
                    null,
                    List.of(Placement.REPLICATE))))
        .identified();
  }

  /** A slice of two values of the only layer. */
  private static Block block(String run, Block.Purpose purpose) {
    return new Block(
        shard(run, 5, 3, 0, 3),
        0,
        0,
        null,
        2,
        Dtype.BFLOAT16,
        new byte[4],
        purpose,
        purpose == Block.Purpose.CAPTURE ? "capture" : null);
  }

  private static Shard shard(String run, long attempt, int step, int rank, float gradient) {
    return new Shard(
        new StepId(run, attempt, StepId.MAIN_STREAM, step),
        rank,
        new int[] {rank},
        0,
        1,
        unrulyManifest(run).manifestId(),
        Stage.REDUCED,
        step - 1,
        0,
        1,
        0,
        0,
        0,
        WEIGHT,
        null,
        false,
        null,
        null,
        0.5,
        null,
        null,
        "host",
        null,
        Measurement.of(new float[] {gradient, 4}),
        null);
  }

  // --- What came of it --------------------------------------------------------------------------

  /** The step records of a run in the order of the topic, once there are so many. */
  private List<Step> stepsOf(String run, int count) {
    List<Step> steps = new ArrayList<>();
    await()
        .atMost(Duration.ofSeconds(60))
        .until(
            () -> {
              steps.clear();
              try (TopicReader reader = reader()) {
                reader
                    .with(
                        Codecs.STEPS,
                        step -> {
                          if (step.id().runId().equals(run)) {
                            steps.add(step);
                          }
                        })
                    .readToEnd();
              }
              return steps.size() >= count;
            });
    return steps;
  }

  private List<String> alertsOf(String... runs) {
    List<String> alerts = new ArrayList<>();
    try (TopicReader reader = reader()) {
      reader
          .with(
              Codecs.ALERTS,
              alert -> {
                if (Arrays.asList(runs).contains(alert.runId())) {
                  alerts.add(alert.message());
                }
              })
          .readToEnd();
    }
    return alerts;
  }

  private static void assertSameSteps(List<Step> steps, List<Step> reference) {
    assertThat(steps).hasSameSizeAs(reference);
    for (int i = 0; i < steps.size(); i++) {
      Step step = steps.get(i);
      Step same = reference.get(i);
      assertThat(step.id().step()).isEqualTo(i);
      assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
      assertThat(step.completeness()).isEqualTo(1);
      assertThat(step.globalNorm()).isEqualTo(same.globalNorm());
      assertThat(step.norms().l1()).containsExactly(same.norms().l1());
      assertThat(step.norms().l2()).containsExactly(same.norms().l2());
      assertThat(step.norms().linf()).containsExactly(same.norms().linf());
    }
  }

  private void awaitAllRead() {
    await()
        .atMost(Duration.ofSeconds(30))
        .untilAsserted(
            () -> {
              for (String job : List.of(NormJob.NAME, AlertJob.NAME)) {
                assertThat(
                        jobs.count(job, "records_decoded")
                            + jobs.count(job, "records_set_aside")
                            + jobs.count(job, "records_deleted")
                            + jobs.count(job, "records_undecodable"))
                    .as("records that %s has read", job)
                    .isEqualTo(recordsFor(job));
                assertThat(jobs.count(job, "records_undecodable"))
                    .isEqualTo(
                        expected.stream().filter(letter -> letter.job().equals(job)).count());
              }
            });
  }

  /** How many records there are in the topics that the job reads. */
  private long recordsFor(String job) {
    return Arrays.stream(Topic.values())
        .filter(topic -> readersOf(topic).contains(job))
        .mapToLong(this::end)
        .sum();
  }

  /** How many records a topic has; none of these is ever deleted. */
  private long end(Topic topic) {
    try (TopicReader reader = reader()) {
      return reader.withRaw(topic, record -> {}).ends().values().stream()
          .mapToLong(end -> end)
          .sum();
    }
  }

  private void assertCountersAddUp() {
    assertThat(jobs.count(NormJob.NAME, "records_set_aside")).isEqualTo(1);
    assertThat(jobs.count(NormJob.NAME, "records_deleted")).isEqualTo(1);
    assertThat(jobs.count(AlertJob.NAME, "records_deleted")).isEqualTo(1);
    long merged = jobs.count(NormJob.NAME, "shards_merged");
    long duplicate = jobs.count(NormJob.NAME, "shards_duplicate");
    long conflict = jobs.count(NormJob.NAME, "shards_conflict");
    long late = jobs.count(NormJob.NAME, "shards_late");
    long rejected = jobs.count(NormJob.NAME, "shards_rejected");
    assertThat(List.of(merged, duplicate, conflict, late, rejected))
        .as("merged, duplicate, conflict, late, rejected")
        .containsExactly(3L * STEPS * RANKS * 2 + UNRULY_STEPS * UNRULY_RANKS - 1, 1L, 1L, 1L, 2L);
    assertThat(jobs.count(NormJob.NAME, "shards_received"))
        .as("received, with nothing held any more")
        .isEqualTo(merged + duplicate + conflict + late + rejected);
  }

  /**
   * Bytes of the heap that are in use, garbage apart, once all poison is through. A reader or
   * writer holds on to its last record: they get small ones to hold.
   */
  private long heap() {
    byte[] small = "small".getBytes(StandardCharsets.UTF_8);
    for (int i = 0; i < 2; i++) {
      for (Topic topic : POISONED) {
        give(new Dose(Poison.WRONG_MAGIC, topic, small, small));
      }
    }
    await().atMost(Duration.ofSeconds(30)).until(() -> end(Topic.DEAD_LETTERS) == expected.size());
    var memory = ManagementFactory.getMemoryMXBean();
    memory.gc();
    return memory.getHeapMemoryUsage().getUsed();
  }

  // --- Around it --------------------------------------------------------------------------------

  private <T> void send(Codec<T> codec, T value) {
    for (Encoded record : codec.encode(value)) {
      send(codec.topic(), record.key(), record.value());
    }
  }

  private RecordMetadata send(Topic topic, byte[] key, byte[] value) {
    try {
      return producer
          .send(new ProducerRecord<>(topic.topicName(), key, value))
          .get(20, TimeUnit.SECONDS);
    } catch (Exception e) {
      throw new AssertionError("the broker did not take a record of " + topic.topicName(), e);
    }
  }

  private static <T> byte[] value(Codec<T> codec, T value) {
    return codec.encode(value).get(0).value();
  }

  private TopicReader reader() {
    return new TopicReader(kafka.bootstrapServers(), WriterSchemas.known());
  }

  private void takeLargeRecords() throws Exception {
    try (Admin admin = Admin.create(Map.of("bootstrap.servers", kafka.bootstrapServers()))) {
      for (Topic topic : POISONED) {
        admin
            .incrementalAlterConfigs(
                Map.of(
                    new ConfigResource(ConfigResource.Type.TOPIC, topic.topicName()),
                    List.of(
                        new AlterConfigOp(
                            new ConfigEntry("max.message.bytes", Integer.toString(24 << 20)),
                            AlterConfigOp.OpType.SET))))
            .all()
            .get(10, TimeUnit.SECONDS);
      }
    }
  }

  /** A registry that knows what {@link Poison} has registered. */
  private static HttpServer registry() throws IOException {
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/schemas/ids/",
        exchange -> {
          String path = exchange.getRequestURI().getPath();
          int id = Integer.parseInt(path.substring(path.lastIndexOf('/') + 1));
          Optional<String> schema = Poison.registered(id);
          byte[] answer = new ObjectMapper().writeValueAsBytes(Map.of("schema", schema.orElse("")));
          exchange.sendResponseHeaders(schema.isPresent() ? 200 : 404, answer.length);
          exchange.getResponseBody().write(answer);
          exchange.close();
        });
    server.start();
    return server;
  }
}
