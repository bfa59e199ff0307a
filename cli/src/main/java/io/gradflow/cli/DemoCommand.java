package io.gradflow.cli;

import io.gradflow.dashboard.Dashboard;
import io.gradflow.dashboard.web.DemoControl;
import io.gradflow.training.Fault;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import io.gradflow.training.TrainingResult;
import java.io.PrintWriter;
import java.net.URI;
import java.util.Iterator;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import java.util.stream.Stream;
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
  private static final int USUAL_STEPS = 400;
  private static final int WATCHED_STEPS = 4000;

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
      description = "Optimiser steps (default: 4000, and 400 with --headless).")
  private Optional<Integer> steps = Optional.empty();

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

  @Option(
      names = Ports.PAGE_OPTION,
      paramLabel = "PORT",
      description =
          "The port of gradflow's page (default: 8080, or any free one; headless: no page).")
  private Optional<Integer> pagePort = Optional.empty();

  @Option(names = "--no-open", description = "Leave the browser alone.")
  private boolean noOpen;

  /** The scenarios' names, for help. */
  static final class ScenarioNames implements Iterable<String> {
    @Override
    public Iterator<String> iterator() {
      return Stream.of(Scenario.values()).map(Scenario::label).iterator();
    }
  }

  @Override
  public Integer call() throws InterruptedException {
    DemoPlan plan = plan();
    LocalStack.Settings settings =
        new LocalStack.Settings(Workspace.current(), port(kafkaPort), port(flinkPort), 2, 4);
    // A port that is taken is found out before anything is started.
    OptionalInt ofPage =
        headless && pagePort.isEmpty()
            ? OptionalInt.empty()
            : OptionalInt.of(Ports.ofPage(port(pagePort)));
    Progress progress = new Progress(spec.commandLine().getErr());
    try (LocalStack stack = LocalStack.start(settings, progress)) {
      LocalJobs jobs =
          progress.start("jobs", () -> LocalJobs.start(stack), running -> "both running");
      if (headless) {
        trainOnce(plan, stack, jobs, ofPage, progress);
      } else {
        trainUntilInterrupted(plan, stack, jobs, ofPage.getAsInt(), progress);
      }
    }
    return 0;
  }

  private DemoPlan plan() {
    try {
      Scenario scenario = Scenario.ofLabel(scenarioName);
      TrainingPolicy policy =
          TrainingPolicy.ofSeed(seed)
              .withSteps(steps.orElse(USUAL_STEPS))
              .withRanks(ranks)
              .withStepsPerSecond(stepsPerSecond.orElse(headless ? 100.0 : 20.0));
      Optional<Fault> drawn = scenario.fault(policy);
      return new DemoPlan(
          scenario,
          // Whoever watches has time to break it again, and need not wait longer for the first
          // time.
          steps.isEmpty() && !headless ? policy.withSteps(WATCHED_STEPS) : policy,
          faultAt.isPresent() ? drawn.map(fault -> fault.atStep(faultAt.get())) : drawn);
    } catch (IllegalArgumentException e) {
      throw new ParameterException(spec.commandLine(), e.getMessage(), e);
    }
  }

  /** Scripts that run side by side must not meet at a port. */
  private OptionalInt port(Optional<Integer> wanted) {
    return wanted.map(OptionalInt::of).orElse(headless ? OptionalInt.of(0) : OptionalInt.empty());
  }

  private void trainUntilInterrupted(
      DemoPlan plan, LocalStack stack, LocalJobs jobs, int pagePort, Progress progress)
      throws InterruptedException {
    Terminal terminal = new Terminal(spec.commandLine().getOut(), System.getenv());
    try (DemoSession session = DemoSession.begin(plan, stack.kafka().bootstrapServers());
        Dashboard page = page(stack, pagePort, Optional.of(session), progress)) {
      if (!noOpen && terminal.isLive()) {
        Browser.open(page.uri());
      }
      try (RunDisplay display =
          display(
              terminal,
              () -> session.current().snapshot(stack.flink().web(), Optional.of(page.uri())))) {
        session.train(jobs);
      }
    }
  }

  private void trainOnce(
      DemoPlan plan, LocalStack stack, LocalJobs jobs, OptionalInt pagePort, Progress progress)
      throws InterruptedException {
    Terminal none = new Terminal(spec.commandLine().getOut(), Map.of());
    try (DemoTraining training = DemoTraining.begin(plan, stack.kafka().bootstrapServers());
        Dashboard page =
            pagePort.isEmpty()
                ? null
                : page(stack, pagePort.getAsInt(), Optional.empty(), progress)) {
      Optional<URI> address = Optional.ofNullable(page).map(Dashboard::uri);
      TrainingResult result;
      try (RunDisplay display =
          display(none, () -> training.snapshot(stack.flink().web(), address))) {
        result = training.train();
        jobs.throwIfFailed();
        training.settle(jobs, result, spec.commandLine().getErr());
      }
      progress.report("training", result.steps() + " steps", training.elapsed());
      training
          .detection()
          .ifPresent(
              after ->
                  progress.report(
                      "detection",
                      training.follower().firstAlert().kind() + " after its step",
                      after));
      PrintWriter out = spec.commandLine().getOut();
      out.println(DemoReport.of(training, result));
      out.flush();
    }
  }

  private static Dashboard page(
      LocalStack stack, int port, Optional<DemoControl> demo, Progress progress) {
    return progress.start(
        "page",
        () -> LocalPage.start(stack.kafka().bootstrapServers(), port, demo),
        started -> started.uri().toString());
  }

  private RunDisplay display(Terminal terminal, Supplier<RunSnapshot> run) {
    return RunDisplay.show(run, terminal, spec.commandLine().getErr());
  }
}
