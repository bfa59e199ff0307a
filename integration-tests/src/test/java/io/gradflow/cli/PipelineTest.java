package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;
import static org.awaitility.Awaitility.await;

import io.gradflow.core.detect.FindingKind;
import io.gradflow.core.detect.Severity;
import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RunSignals;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Manifest;
import io.gradflow.core.window.LayerWindow;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.Topic;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.trainer.AlertFollower;
import io.gradflow.trainer.GradientPublisher;
import io.gradflow.trainer.PublisherOptions;
import io.gradflow.trainer.StepReport;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.RankStep;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * What a user of the topics can rely on, with a real broker and both jobs running between real
 * topics.
 */
class PipelineTest {
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  @TempDir static Path folder;

  private static LocalStack stack;
  private static LocalJobs jobs;

  @BeforeAll
  static void start() {
    stack =
        LocalStack.start(
            new LocalStack.Settings(
                new Workspace(folder), OptionalInt.of(0), OptionalInt.of(0), 2, 4),
            new Progress(new PrintWriter(new StringWriter())));
    jobs = LocalJobs.start(stack);
  }

  @AfterAll
  static void stop() {
    stack.close();
  }

  @Test
  void theNormsInTheTopicAreThoseOfTheGradients() throws Exception {
    TrainingPolicy policy = TrainingPolicy.ofSeed(4201).withSteps(120).withStepsPerSecond(100);
    Map<Long, double[][]> reference = new ConcurrentHashMap<>();
    DataParallelTraining training =
        new DataParallelTraining(policy, Scenario.HEALTHY.fault(policy));
    try (PublishedRanks published = publishing("norms", 1, training)) {
      training.run(
          step -> {
            published.observe(step);
            if (step.rank() == 0) {
              reference.put(step.step(), norms(step.reduced()));
            }
          });
      published.finish();
    }

    Map<Long, Step> steps = stepsOf("norms", 120);

    assertThat(steps).hasSize(120);
    steps.forEach(
        (number, step) -> {
          assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
          assertThat(step.completeness()).isEqualTo(1);
          double[][] expected = reference.get(number);
          for (int layer = 0; layer < expected.length; layer++) {
            assertThat(step.norms().l1()[layer])
                .isCloseTo(expected[layer][0], relative(expected[layer][0]));
            assertThat(step.norms().l2()[layer])
                .isCloseTo(expected[layer][1], relative(expected[layer][1]));
            assertThat(step.norms().linf()[layer])
                .isCloseTo(expected[layer][2], relative(expected[layer][2]));
          }
        });
    List<LayerWindow> windows = new ArrayList<>();
    await()
        .atMost(PATIENCE)
        .untilAsserted(
            () -> {
              windows.clear();
              try (TopicReader reader = reader()) {
                reader
                    .with(Codecs.WINDOWS, window -> addIfOf("norms", window, windows))
                    .readToEnd();
              }
              assertThat(windows.stream().filter(window -> !window.open()))
                  .as("two windows of each layer")
                  .hasSize(2 * training.layers().size());
            });
    assertThat(windows)
        .allSatisfy(window -> assertThat(window.firstStep() % window.length()).isZero());
  }

  @Test
  void rawValuesGiveTheStepsThatMeasuredOnesGive() throws Exception {
    int count = 25;
    TrainingPolicy policy = TrainingPolicy.ofSeed(4206).withSteps(count).withStepsPerSecond(100);
    DataParallelTraining training =
        new DataParallelTraining(policy, Scenario.HEALTHY.fault(policy));
    Map<Long, double[][]> reference = new ConcurrentHashMap<>();
    try (PublishedRanks measured = publishing("measured", 1, training);
        RawRanks raw = new RawRanks("raw", training, 0, 1, 2, 3);
        RawRanks mixed = new RawRanks("mixed", training, 0, 3)) {
      training.run(
          step -> {
            measured.observe(step);
            raw.observe(step);
            mixed.observe(step);
            if (step.rank() == 0) {
              reference.put(step.step(), norms(step.reduced()));
            }
          });
      measured.finish();
    }

    Map<Long, Step> byShards = stepsOf("measured", count);
    Map<Long, Step> byBlocks = stepsOf("raw", count);
    Map<Long, Step> byBoth = stepsOf("mixed", count);

    assertThat(byBlocks).hasSize(count);
    byBlocks.forEach(
        (number, step) -> {
          assertThat(step.closedBy()).isEqualTo(ClosedBy.COMPLETE);
          double[][] expected = reference.get(number);
          for (int layer = 0; layer < expected.length; layer++) {
            double[] norms = expected[layer];
            assertThat(step.norms().l1()[layer]).isCloseTo(norms[0], within(1e-12 * norms[0]));
            assertThat(step.norms().l2()[layer]).isCloseTo(norms[1], within(1e-12 * norms[1]));
            assertThat(step.norms().linf()[layer]).isEqualTo(norms[2]);
          }
          assertSameToFloats(step, byShards.get(number));
          assertSameToFloats(byBoth.get(number), byShards.get(number));
        });
  }

  /** All that is known of a step by shards is known by blocks, too. */
  private static void assertSameToFloats(Step actual, Step expected) {
    assertThat(actual.completeness()).isEqualTo(expected.completeness());
    assertThat(actual.scalars().loss())
        .isCloseTo(expected.scalars().loss(), relative(expected.scalars().loss()));
    assertThat(actual.scalars().learningRates()).isEqualTo(expected.scalars().learningRates());
    assertThat(actual.globalNorm())
        .isCloseTo(expected.globalNorm(), relative(expected.globalNorm()));
    for (int layer = 0; layer < expected.norms().size(); layer++) {
      double l2 = expected.norms().l2()[layer];
      assertThat(actual.norms().l2()[layer]).isCloseTo(l2, relative(l2));
      double local = expected.evidence().localSquares()[layer];
      assertThat(actual.evidence().localSquares()[layer]).isCloseTo(local, relative(local));
    }
    assertThat(actual.norms().zeros()).isEqualTo(expected.norms().zeros());
    assertThat(actual.evidence().localRanks()).isEqualTo(expected.evidence().localRanks());
    for (int rank = 0; rank < 4; rank++) {
      double local = expected.evidence().localNorm()[rank];
      assertThat(actual.evidence().localNorm()[rank]).isCloseTo(local, relative(local));
    }
  }

  /** The ranks of a training, some of which publish values instead of statistics. */
  private static final class RawRanks implements AutoCloseable {
    private final List<GradientPublisher> publishers = new ArrayList<>();
    private final Set<Integer> raw;

    RawRanks(String run, DataParallelTraining training, Integer... raw) {
      this.raw = Set.of(raw);
      Manifest manifest = PublishedRanks.manifest(run, 1, 4, training.layers());
      for (int rank = 0; rank < 4; rank++) {
        String brokers = stack.kafka().bootstrapServers();
        publishers.add(GradientPublisher.start(PublisherOptions.of(brokers, run, 1, rank)));
        publishers.get(rank).refer(manifest.manifestId());
      }
      publishers.get(0).announce(manifest);
    }

    void observe(RankStep step) {
      StepReport report = publishers.get(step.rank()).step(step.step());
      if (raw.contains(step.rank())) {
        report.rawLocal(step.local()).rawReduced(step.reduced());
      } else {
        report.local(step.local()).reduced(step.reduced());
      }
      report.loss(step.loss()).learningRates(step.learningRate()).weight(step.samples()).publish();
    }

    @Override
    public void close() {
      publishers.forEach(publisher -> publisher.close(Duration.ofSeconds(10)));
      assertThat(publishers)
          .extracting(publisher -> publisher.stats().dropped() + publisher.stats().failed())
          .containsOnly(0L);
    }
  }

  @Test
  void whatCannotBeReadIsKeptByteForByteAndDisturbsNothing() throws Exception {
    byte[] poison = "this is no gradient".getBytes(StandardCharsets.UTF_8);
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            Map.of("bootstrap.servers", stack.kafka().bootstrapServers()),
            new ByteArraySerializer(),
            new ByteArraySerializer())) {
      producer
          .send(
              new ProducerRecord<>(
                  Topic.SHARDS.topicName(), "poison".getBytes(StandardCharsets.UTF_8), poison))
          .get(10, TimeUnit.SECONDS);
    }
    run("after-poison", 1, 4202, 30);

    assertThat(stepsOf("after-poison", 30)).hasSize(30);
    List<ConsumerRecord<byte[], byte[]>> letters = new ArrayList<>();
    await()
        .atMost(PATIENCE)
        .untilAsserted(
            () -> {
              letters.clear();
              try (TopicReader reader = reader()) {
                reader.withRaw(Topic.DEAD_LETTERS, letters::add).readToEnd();
              }
              assertThat(letters).hasSize(1);
            });
    assertThat(letters.get(0).value()).isEqualTo(poison);
    assertThat(letters.get(0).key()).asString(StandardCharsets.UTF_8).isEqualTo("poison");
    assertThat(header(letters.get(0), "reason")).isEqualTo("unknown-framing");
    assertThat(header(letters.get(0), "topic")).isEqualTo(Topic.SHARDS.topicName());
    assertThat(header(letters.get(0), "job")).isEqualTo("NormJob");
    jobs.throwIfFailed();
  }

  @Test
  void aHigherAttemptTakesOverAndItsStepsCountAnew() throws Exception {
    run("restarted", 1, 4203, 40);
    assertThat(stepsOf("restarted", 40)).hasSize(40);

    run("restarted", 2, 4204, 20);

    await()
        .atMost(PATIENCE)
        .untilAsserted(
            () -> {
              List<Step> second = new ArrayList<>();
              try (TopicReader reader = reader()) {
                reader
                    .with(
                        Codecs.STEPS,
                        step -> {
                          if (step.id().runId().equals("restarted") && step.id().attempt() == 2) {
                            second.add(step);
                          }
                        })
                    .readToEnd();
              }
              assertThat(second.stream().map(step -> step.id().step()).distinct()).hasSize(20);
            });
    assertThat(incidentsOf("restarted")).isEmpty();
  }

  @Test
  void alertsAreShownByTheCommandAndFollowedByTheTraining() throws Exception {
    TrainingPolicy policy = TrainingPolicy.ofSeed(4205).withSteps(40).withStepsPerSecond(100);
    DataParallelTraining training = new DataParallelTraining(policy, Scenario.NAN.fault(policy));
    PublisherOptions own = PublisherOptions.of(stack.kafka().bootstrapServers(), "to-alert", 1, 0);
    List<Alert> followed = new ArrayList<>();
    try (AlertFollower alerts = AlertFollower.follow(own)) {
      try (PublishedRanks published = publishing("to-alert", 1, training)) {
        training.run(published);
        published.finish();
      }
      await()
          .atMost(PATIENCE)
          .until(
              () -> {
                followed.addAll(alerts.pending());
                return followed.stream().anyMatch(alert -> alert.severity() == Severity.CRITICAL);
              });
    }
    assertThat(followed).extracting(Alert::kind).containsOnly(FindingKind.NON_FINITE);
    assertThat(followed)
        .extracting(Alert::transition)
        .containsExactlyElementsOf(IntStream.range(0, followed.size()).boxed().toList());
    await().atMost(PATIENCE).until(() -> !incidentsOf("to-alert").isEmpty());

    assertThat(incidentsOf("to-alert"))
        .singleElement()
        .asString()
        .contains("NON_FINITE", "CRITICAL", "computed NaN in");
  }

  private static List<String> incidentsOf(String run) {
    StringWriter out = new StringWriter();
    int exit =
        Gradflow.run(
            new PrintWriter(out, true),
            new PrintWriter(new StringWriter()),
            "alerts",
            "--run",
            run,
            "--bootstrap-server",
            stack.kafka().bootstrapServers());
    assertThat(exit).isZero();
    return out.toString().lines().toList();
  }

  private static void run(String name, long attempt, long seed, int steps)
      throws InterruptedException {
    TrainingPolicy policy = TrainingPolicy.ofSeed(seed).withSteps(steps).withStepsPerSecond(100);
    DataParallelTraining training =
        new DataParallelTraining(policy, Scenario.HEALTHY.fault(policy));
    try (PublishedRanks published = publishing(name, attempt, training)) {
      training.run(published);
      published.finish();
    }
  }

  private static PublishedRanks publishing(
      String run, long attempt, DataParallelTraining training) {
    return new PublishedRanks(stack.kafka().bootstrapServers(), run, attempt, 4, training.layers());
  }

  private static TopicReader reader() {
    return new TopicReader(stack.kafka().bootstrapServers(), WriterSchemas.known());
  }

  /** The steps of a run by number, each in its highest revision, once so many are there. */
  private static Map<Long, Step> stepsOf(String run, int count) {
    Map<Long, Step> steps = new TreeMap<>();
    await()
        .atMost(PATIENCE)
        .until(
            () -> {
              steps.clear();
              try (TopicReader reader = reader()) {
                reader
                    .with(
                        Codecs.STEPS,
                        step -> {
                          if (step.id().runId().equals(run)) {
                            steps.merge(
                                step.id().step(),
                                step,
                                (a, b) -> a.revision() > b.revision() ? a : b);
                          }
                        })
                    .readToEnd();
              }
              return steps.size() >= count;
            });
    return steps;
  }

  private static void addIfOf(String run, LayerWindow window, List<LayerWindow> windows) {
    if (window.runId().equals(run)) {
      windows.add(window);
    }
  }

  /** L1, L2, Linf of each layer. */
  @Test
  void theSignalsInTheTopicAreThoseOfTheGradients() throws Exception {
    int steps = 40;
    TrainingPolicy policy = TrainingPolicy.ofSeed(4203).withSteps(steps).withStepsPerSecond(100);
    float[][][] reduced = new float[steps][][];
    float[][][][] local = new float[steps][policy.ranks()][][];
    double[][] weightNorms = new double[steps][];
    DataParallelTraining training =
        new DataParallelTraining(policy, Scenario.HEALTHY.fault(policy));
    try (PublishedRanks published = publishing("signals", 1, training)) {
      training.run(
          step -> {
            published.observe(step);
            int number = (int) step.step();
            local[number][step.rank()] = copy(step.local());
            if (step.rank() == 0) {
              reduced[number] = copy(step.reduced());
              weightNorms[number] =
                  Arrays.stream(step.weights()).mapToDouble(w -> Math.sqrt(dot(w, w))).toArray();
            }
          });
      published.finish();
    }

    Map<Long, Step> published = stepsOf("signals", steps);

    for (int number = 1; number < steps; number++) {
      Step step = published.get((long) number);
      StepSignals signals = step.signals();
      double gradientSquare = 0;
      for (int layer = 0; layer < reduced[number].length; layer++) {
        float[] now = reduced[number][layer];
        double square = dot(now, now);
        double sum = 0;
        for (float value : now) {
          sum += value;
        }
        double rms = Math.sqrt(square / now.length);
        assertThat(signals.mean()[layer]).isCloseTo(sum / now.length, within(1e-6 * rms));
        assertThat(signals.weightNorm()[layer])
            .isCloseTo(weightNorms[number][layer], relative(weightNorms[number][layer]));
        float[] before = reduced[number - 1][layer];
        assertThat((double) signals.cosine()[layer])
            .isCloseTo(dot(now, before) / Math.sqrt(square * dot(before, before)), within(1e-5));
        // The mean dot product of two ranks, by its definition.
        double pairs = 0;
        for (int a = 0; a < policy.ranks(); a++) {
          for (int b = 0; b < a; b++) {
            pairs += dot(local[number][a][layer], local[number][b][layer]);
          }
        }
        double ofPair = pairs / (policy.ranks() * (policy.ranks() - 1) / 2.0);
        gradientSquare += ofPair;
        double scale = dot(local[number][0][layer], local[number][0][layer]);
        assertThat(signals.gradientSquare()[layer]).isCloseTo(ofPair, within(1e-5 * scale));
        if (number % 10 == 0) {
          assertThat(signals.histograms().layer(layer).total())
              .isEqualTo(now.length - step.norms().zeros()[layer]);
        }
      }
      assertThat(signals.run().gradientSquare())
          .isCloseTo(gradientSquare, within(1e-5 * step.globalNorm() * step.globalNorm() * 40));
      RankComparison ranks = step.evidence().comparison();
      for (int rank = 0; rank < policy.ranks(); rank++) {
        assertThat((double) ranks.coherence()[rank])
            .as("rank %d of step %d", rank, number)
            .isCloseTo(coherence(local[number], rank), within(1e-4));
      }
      if (number % 10 == 0) {
        assertThat(ranks.effectiveRanks()).isBetween(1.0, (double) policy.ranks());
      }
    }
    assertThat(signalsMissing(published.get((long) steps - 1))).isEmpty();
  }

  /** Of the signals that such a training can have in every step. */
  private static List<String> signalsMissing(Step step) {
    List<String> missing = new ArrayList<>();
    RunSignals run = step.signals().run();
    Map.of(
            "cosine", run.cosine(),
            "noiseTrace", run.noiseTrace(),
            "headroom", run.headroom(),
            "underflow", run.underflow(),
            "autoClip", run.autoClip(),
            "zClip", run.zClip(),
            "depthSlope", run.depthSlope())
        .forEach(
            (name, value) -> {
              if (Double.isNaN(value)) {
                missing.add(name);
              }
            });
    return missing;
  }

  private static double coherence(float[][][] local, int rank) {
    double dot = 0;
    double square = 0;
    double others = 0;
    for (int layer = 0; layer < local[rank].length; layer++) {
      float[] own = local[rank][layer];
      for (int i = 0; i < own.length; i++) {
        double other = 0;
        for (int r = 0; r < local.length; r++) {
          other += r == rank ? 0 : local[r][layer][i];
        }
        dot += own[i] * other;
        square += (double) own[i] * own[i];
        others += other * other;
      }
    }
    return dot / Math.sqrt(square * others);
  }

  private static double dot(float[] a, float[] b) {
    double dot = 0;
    for (int i = 0; i < a.length; i++) {
      dot += (double) a[i] * b[i];
    }
    return dot;
  }

  private static float[][] copy(float[][] layers) {
    return Arrays.stream(layers).map(float[]::clone).toArray(float[][]::new);
  }

  private static double[][] norms(float[][] gradients) {
    double[][] norms = new double[gradients.length][3];
    for (int layer = 0; layer < gradients.length; layer++) {
      double squares = 0;
      for (float value : gradients[layer]) {
        norms[layer][0] += Math.abs((double) value);
        squares += (double) value * value;
        norms[layer][2] = Math.max(norms[layer][2], Math.abs((double) value));
      }
      norms[layer][1] = Math.sqrt(squares);
    }
    return norms;
  }

  private static org.assertj.core.data.Offset<Double> relative(double expected) {
    return within(1e-6 * Math.abs(expected) + 1e-30);
  }

  private static String header(ConsumerRecord<byte[], byte[]> record, String name) {
    return new String(record.headers().lastHeader(name).value(), StandardCharsets.UTF_8);
  }
}
