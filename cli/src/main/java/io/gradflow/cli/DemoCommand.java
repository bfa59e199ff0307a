package io.gradflow.cli;

import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.schema.Codecs;
import io.gradflow.schema.WriterSchemas;
import io.gradflow.training.DataParallelTraining;
import io.gradflow.training.Fault;
import io.gradflow.training.PublishedRanks;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import io.gradflow.training.TrainingResult;
import java.io.PrintWriter;
import java.time.Duration;
import java.time.Instant;
import java.util.Iterator;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.kafka.common.TopicPartition;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/**
 * {@code gradflow demo}: the whole path on this machine, from a training that goes wrong to the
 * incident that says so.
 */
@Command(
    name = "demo",
    description = {
      "Breaks a real training on this machine, and names what broke it.",
      "Starts a Kafka broker, Flink with its page, both jobs and a data-parallel training, and shows"
          + " gradients and incidents until Ctrl-C.",
      "With --headless it ends with the training and prints one JSON object."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class DemoCommand implements Callable<Integer> {
  private static final Duration SETTLING = Duration.ofSeconds(60);

  @Spec private CommandSpec spec;

  @Option(
      names = "--scenario",
      paramLabel = "NAME",
      defaultValue = "exploding",
      completionCandidates = ScenarioNames.class,
      description = "What goes wrong: ${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}).")
  private String scenarioName;

  @Option(
      names = "--fault-at",
      paramLabel = "STEP",
      description = "The fault's first step (default: drawn from the seed).")
  private Optional<Long> faultAt = Optional.empty();

  @Option(
      names = "--ranks",
      paramLabel = "N",
      defaultValue = "4",
      description = "Data-parallel ranks (default: ${DEFAULT-VALUE}).")
  private int ranks;

  @Option(
      names = "--steps",
      paramLabel = "N",
      defaultValue = "400",
      description = "Optimiser steps (default: ${DEFAULT-VALUE}).")
  private int steps;

  @Option(
      names = "--seed",
      paramLabel = "N",
      defaultValue = "1",
      description = "Decides weights, samples and fault (default: ${DEFAULT-VALUE}).")
  private long seed;

  @Option(
      names = "--steps-per-second",
      paramLabel = "X",
      description = "The training goes no faster (default: 20, and 100 with --headless).")
  private Optional<Double> stepsPerSecond = Optional.empty();

  @Option(
      names = "--headless",
      description = "End with the training; standard output is one JSON line.")
  private boolean headless;

  @Option(
      names = Ports.KAFKA_OPTION,
      paramLabel = "PORT",
      description = "The broker's port (default: 9092, or any free one; headless: any free one).")
  private Optional<Integer> kafkaPort = Optional.empty();

  @Option(
      names = Ports.FLINK_OPTION,
      paramLabel = "PORT",
      description =
          "The port of Flink's page (default: 8081, or any free one; headless: any free one).")
  private Optional<Integer> flinkPort = Optional.empty();

  private volatile Instant ended;

  /** The scenarios' names, for help. */
  static final class ScenarioNames implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return Stream.of(Scenario.values()).map(Scenario::label).iterator();
    }
  }

  @Override
  public Integer call() throws InterruptedException {
    Scenario scenario;
    TrainingPolicy policy;
    Optional<Fault> fault;
    DataParallelTraining training;
    try {
      scenario = Scenario.ofLabel(scenarioName);
      policy =
          TrainingPolicy.ofSeed(seed)
              .withSteps(steps)
              .withRanks(ranks)
              .withStepsPerSecond(stepsPerSecond.orElse(headless ? 100.0 : 20.0));
      fault = scenario.fault(policy);
      if (faultAt.isPresent()) {
        fault = fault.map(drawn -> drawn.atStep(faultAt.get()));
      }
      training = new DataParallelTraining(policy, fault);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
    LocalStack.Settings settings =
        new LocalStack.Settings(Workspace.current(), port(kafkaPort), port(flinkPort), 2, 4);
    Progress progress = new Progress(spec.commandLine().getErr());
    try (LocalStack stack = LocalStack.start(settings, progress)) {
      return run(stack, scenario, policy, fault, training, progress);
    }
  }

  /** Scripts that run side by side must not meet at a port. */
  private OptionalInt port(Optional<Integer> wanted) {
    return wanted.map(OptionalInt::of).orElse(headless ? OptionalInt.of(0) : OptionalInt.empty());
  }

  private int run(
      LocalStack stack,
      Scenario scenario,
      TrainingPolicy policy,
      Optional<Fault> fault,
      DataParallelTraining training,
      Progress progress)
      throws InterruptedException {
    String brokers = stack.kafka().bootstrapServers();
    LocalJobs jobs =
        progress.start("jobs", () -> LocalJobs.start(stack), running -> "both running");
    long attempt = System.currentTimeMillis();
    String run = "demo-" + scenario.label() + "-" + policy.seed() + "-" + attempt;
    Thread stopTraining = new Thread(training::stop, "stopping the training");
    Runtime.getRuntime().addShutdownHook(stopTraining);
    Map<Long, Long> trainedAt = new ConcurrentHashMap<>();
    Instant began = Instant.now();
    try (RunFollower follower = RunFollower.start(brokers, run);
        PublishedRanks published =
            new PublishedRanks(brokers, run, attempt, policy.ranks(), training.layers())) {
      TrainingResult result;
      try (RunDisplay display =
          RunDisplay.show(
              () -> snapshot(stack, run, scenario, policy, follower, published, began),
              new Terminal(spec.commandLine().getOut(), headless ? Map.of() : System.getenv()),
              spec.commandLine().getErr())) {
        result =
            training.run(
                step -> {
                  trainedAt.putIfAbsent(step.step(), System.currentTimeMillis());
                  published.observe(step);
                });
        published.finish();
        jobs.throwIfFailed();
        ended = Instant.now();
        settle(jobs, brokers, follower, published, result);
        if (!headless) {
          untilInterrupted();
        }
      }
      if (headless) {
        progress.report("training", result.steps() + " steps", Duration.between(began, ended));
        Alert first = follower.firstAlert();
        if (first != null && first.transition() == 0) {
          long latency = first.detectedAt() - trainedAt.get(first.openedStep());
          progress.report(
              "detection", first.kind() + " after its step", Duration.ofMillis(latency));
        }
        PrintWriter out = spec.commandLine().getOut();
        out.println(
            DemoReport.of(
                run, scenario, policy.ranks(), result, fault, follower, published.dropped()));
        out.flush();
      }
    }
    return 0;
  }

  /**
   * Returns when everything that was published has been judged and read back, as far as that
   * happens in time: a step whose rank is missing waits for its timeout.
   */
  private void settle(
      LocalJobs jobs,
      String brokers,
      RunFollower follower,
      PublishedRanks published,
      TrainingResult result)
      throws InterruptedException {
    long deadline = System.nanoTime() + SETTLING.toNanos();
    while (follower.lastStep() < result.steps() - 1L && System.nanoTime() < deadline) {
      TimeUnit.MILLISECONDS.sleep(50);
    }
    if (follower.lastStep() < result.steps() - 1L) {
      spec.commandLine()
          .getErr()
          .printf(
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
        spec.commandLine()
            .getErr()
            .printf(
                "AlertJob has not read all steps within %d s: incidents may be missing%n",
                SETTLING.toSeconds());
      }
    }
    follower.catchUp();
  }

  private static void untilInterrupted() throws InterruptedException {
    new CountDownLatch(1).await();
  }

  private RunSnapshot snapshot(
      LocalStack stack,
      String run,
      Scenario scenario,
      TrainingPolicy policy,
      RunFollower follower,
      PublishedRanks published,
      Instant began) {
    Step newest = follower.newest();
    Duration elapsed = Duration.between(began, ended == null ? Instant.now() : ended);
    Double loss = newest == null ? null : newest.scalars().loss();
    return new RunSnapshot(
        run,
        scenario.label() + (ended == null ? "" : "  finished, Ctrl-C ends the demo"),
        follower.lastStep(),
        OptionalLong.of(policy.steps()),
        follower.stepsPerSecond(),
        loss == null ? Double.NaN : loss,
        newest == null ? Double.NaN : globalNorm(newest),
        newest == null ? 1 : newest.completeness(),
        published.dropped(),
        follower.traces(),
        follower.shownIncidents(),
        stack.flink().web(),
        elapsed);
  }

  private static double globalNorm(Step step) {
    return step.norms().nonFinite() != null ? Double.POSITIVE_INFINITY : step.globalNorm();
  }
}
