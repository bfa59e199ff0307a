package io.gradflow.cli;

import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.Fault;
import io.gradflow.training.Layer;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingResult;
import java.io.PrintWriter;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.common.TopicPartition;

/** One run of the demo: a training whose ranks publish, and what the jobs say of it. */
final class DemoTraining implements AutoCloseable {
  private static final Duration SETTLING = Duration.ofSeconds(60);

  private final DemoPlan plan;
  private final String brokers;
  private final String run;
  private final DataParallelTraining training;
  private final RunFollower follower;
  private final PublishedRanks published;
  private final NavigableMap<Long, Long> trainedAt = new ConcurrentSkipListMap<>();
  private final Instant began = Instant.now();
  private volatile Instant ended;

  private DemoTraining(DemoPlan plan, String brokers) {
    long attempt = System.currentTimeMillis();
    this.plan = plan;
    this.brokers = brokers;
    this.run = "demo-%s-%d-%d".formatted(plan.scenario().label(), plan.policy().seed(), attempt);
    this.training = new DataParallelTraining(plan.policy(), plan.fault());
    this.follower = RunFollower.start(brokers, run);
    this.published =
        new PublishedRanks(brokers, run, attempt, plan.policy().ranks(), training.layers());
  }

  /** Announces the run, which begins to step with {@link #train}. */
  static DemoTraining begin(DemoPlan plan, String brokers) {
    return new DemoTraining(plan, brokers);
  }

  String run() {
    return run;
  }

  DemoPlan plan() {
    return plan;
  }

  /** What the jobs say of it. */
  RunFollower follower() {
    return follower;
  }

  /** Records that the ranks' publishers dropped so far. */
  long dropped() {
    return published.dropped();
  }

  /** Number of the newest step that any rank has computed; -1 before the first. */
  long step() {
    Map.Entry<Long, Long> last = trainedAt.lastEntry();
    return last == null ? -1 : last.getKey();
  }

  boolean running() {
    return ended == null;
  }

  /** How long it has trained. */
  Duration elapsed() {
    return Duration.between(began, running() ? Instant.now() : ended);
  }

  /** Trains to the last step or to {@link #stop}, then says that the run is finished. */
  TrainingResult train() throws InterruptedException {
    TrainingResult result =
        training.run(
            step -> {
              trainedAt.putIfAbsent(step.step(), System.currentTimeMillis());
              published.observe(step);
            });
    published.finish();
    ended = Instant.now();
    return result;
  }

  /** Ends the training after the step under way; callable from any thread. */
  void stop() {
    training.stop();
  }

  /** Names of the hidden layers' weights, which faults act on. */
  List<String> hiddenWeights() {
    return training.layers().stream()
        .filter(layer -> layer.kind() == Layer.Kind.WEIGHT)
        .filter(layer -> layer.depth() >= 1 && layer.depth() <= plan.policy().depth())
        .map(Layer::name)
        .toList();
  }

  /** The fault that acts, is still to come, or was the last one. */
  Optional<Fault> fault() {
    return training.fault();
  }

  /**
   * Puts the scenario's fault in the place of the one there is; {@link Scenario#HEALTHY} takes it
   * back. What was not said, or is not the scenario's, is as the seed has it.
   *
   * @return the step from which it acts
   * @throws IllegalArgumentException when the training has no such layer or rank, or cannot have
   *     the scenario
   * @throws IllegalStateException when the training has ended
   */
  long strike(Scenario scenario, Optional<String> layer, Optional<Integer> rank) {
    if (layer.isPresent() && !hiddenWeights().contains(layer.get())) {
      throw new IllegalArgumentException(
          "layer: expected the weight of a hidden layer, one of %s, got %s"
              .formatted(String.join(", ", hiddenWeights()), layer.get()));
    }
    return training.strike(
        scenario
            .fault(plan.policy())
            .map(drawn -> layer.map(drawn::onLayer).orElse(drawn))
            .map(drawn -> rank.map(drawn::onRank).orElse(drawn)));
  }

  /**
   * Returns when everything that was published has been judged and read back, as far as that
   * happens in time: a step whose rank is missing waits for its timeout.
   *
   * @param errors where it is said that the time was over before that
   */
  void settle(LocalJobs jobs, TrainingResult result, PrintWriter errors)
      throws InterruptedException {
    long deadline = System.nanoTime() + SETTLING.toNanos();
    while (follower.lastStep() < result.steps() - 1L && System.nanoTime() < deadline) {
      TimeUnit.MILLISECONDS.sleep(50);
    }
    if (follower.lastStep() < result.steps() - 1L) {
      errors.printf(
          Locale.ROOT,
          "the last step assembled is %d of %d after %d s (%d records dropped by publishers)%n",
          follower.lastStep(),
          result.steps() - 1,
          SETTLING.toSeconds(),
          published.dropped());
    }
    try (TopicReader reader = new TopicReader(brokers, WriterSchemas.known())) {
      Map<TopicPartition, Long> ends = reader.with(Codecs.STEPS, step -> {}).ends();
      if (!jobs.awaitAlertsOf(ends, SETTLING)) {
        errors.printf(
            "AlertJob has not read all steps within %d s: incidents may be missing%n",
            SETTLING.toSeconds());
      }
    }
    follower.catchUp();
  }

  /** How long after its step was computed the first incident was detected; empty without one. */
  Optional<Duration> detection() {
    Alert first = follower.firstAlert();
    return first == null || first.transition() != 0
        ? Optional.empty()
        : Optional.of(Duration.ofMillis(first.detectedAt() - trainedAt.get(first.openedStep())));
  }

  /**
   * What is known now.
   *
   * @param flink Flink's page
   * @param page the run's own page, if there is one
   */
  RunSnapshot snapshot(URI flink, Optional<URI> page) {
    Step newest = follower.newest();
    Double loss = newest == null ? null : newest.scalars().loss();
    return new RunSnapshot(
        run,
        plan.scenario().label() + (running() ? "" : "  finished, Ctrl-C ends the demo"),
        follower.lastStep(),
        OptionalLong.of(plan.policy().steps()),
        follower.stepsPerSecond(),
        loss == null ? Double.NaN : loss,
        newest == null ? Double.NaN : globalNorm(newest),
        newest == null ? 1 : newest.completeness(),
        published.dropped(),
        follower.traces(),
        follower.shownIncidents(),
        page,
        flink,
        elapsed());
  }

  private static double globalNorm(Step step) {
    return step.norms().nonFinite() != null ? Double.POSITIVE_INFINITY : step.globalNorm();
  }

  @Override
  public void close() {
    published.close();
    follower.close();
  }
}
