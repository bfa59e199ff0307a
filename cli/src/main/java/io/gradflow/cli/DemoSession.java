package io.gradflow.cli;

import io.gradflow.dashboard.web.DemoControl;
import io.gradflow.training.Scenario;
import io.gradflow.training.TrainingPolicy;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Stream;

/**
 * A demo that somebody watches: one training after the other on the same stack, each until its end
 * or until another is asked for.
 */
final class DemoSession implements DemoControl, AutoCloseable {
  private static final Duration RESTARTING = Duration.ofSeconds(30);

  private final String brokers;
  private final BlockingQueue<Restart> restarts = new LinkedBlockingQueue<>();
  private final Thread atExit = new Thread(() -> current().stop(), "stopping the training");
  private volatile DemoTraining current;

  private record Restart(DemoPlan plan, CompletableFuture<String> begun) {}

  private DemoSession(String brokers, DemoTraining first) {
    this.brokers = brokers;
    this.current = first;
    Runtime.getRuntime().addShutdownHook(atExit);
  }

  /** Announces the first run, which begins to step with {@link #train}. */
  static DemoSession begin(DemoPlan first, String brokers) {
    return new DemoSession(brokers, DemoTraining.begin(first, brokers));
  }

  /** The run that trains, or the last one that did. */
  DemoTraining current() {
    return current;
  }

  /** Trains until the thread is interrupted: the first run, then every other that is asked for. */
  void train(LocalJobs jobs) throws InterruptedException {
    while (true) {
      current.train();
      jobs.throwIfFailed();
      Restart next = restarts.take();
      current.close();
      current = DemoTraining.begin(next.plan(), brokers);
      next.begun().complete(current.run());
    }
  }

  @Override
  public State state() {
    DemoTraining training = current;
    DemoPlan plan = training.plan();
    return new State(
        training.run(),
        plan.scenario().label(),
        Stream.of(Scenario.values()).map(Scenario::label).toList(),
        training.hiddenWeights(),
        plan.policy().ranks(),
        training.step(),
        plan.policy().steps(),
        training.running(),
        training
            .fault()
            .map(
                fault -> new Fault(fault.kind().label(), fault.step(), fault.layer(), fault.rank()))
            .orElse(null));
  }

  @Override
  public long strike(String scenario, String layer, Integer rank) {
    return current.strike(
        Scenario.ofLabel(scenario), Optional.ofNullable(layer), Optional.ofNullable(rank));
  }

  @Override
  public synchronized String restart(String label, long seed) {
    Scenario scenario = Scenario.ofLabel(label);
    TrainingPolicy policy = current.plan().policy().withSeed(seed);
    Restart restart =
        new Restart(
            new DemoPlan(scenario, policy, scenario.fault(policy)), new CompletableFuture<>());
    restarts.add(restart);
    current.stop();
    try {
      return restart.begun().get(RESTARTING.toMillis(), TimeUnit.MILLISECONDS);
    } catch (ExecutionException | TimeoutException e) {
      throw new IllegalStateException(
          "demo: expected a new run within %d s, got none; see its terminal"
              .formatted(RESTARTING.toSeconds()),
          e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("demo: interrupted while a new run was awaited", e);
    }
  }

  /** Ends the training, without waiting for it. */
  @Override
  public void close() {
    current.stop();
    current.close();
    try {
      Runtime.getRuntime().removeShutdownHook(atExit);
    } catch (IllegalStateException e) {
      // The process is ending already, and the hook has found nothing left to stop.
    }
  }
}
