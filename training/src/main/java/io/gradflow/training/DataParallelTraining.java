package io.gradflow.training;

import io.gradflow.core.shard.Measurement;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A training over several ranks, each a thread with its own samples and its own copy of the
 * weights. In every step each rank computes loss and gradient of its batch, all reduce the
 * gradients to their mean, the observer sees both, and each rank updates its weights with the mean.
 *
 * <p>Plain gradient descent. Non-finite gradients are applied like any others: nothing hides a
 * fault, and a training with a NaN is ruined from then on.
 *
 * <p>An instance runs once.
 */
public final class DataParallelTraining {

  private static final int SAMPLES_PER_RANK = 2048;

  private final TrainingPolicy policy;
  private final List<Layer> layers;
  private final TeacherTask task;
  private final AllReduce allReduce;
  private final double[] losses;
  private final AtomicReference<Throwable> failure = new AtomicReference<>();
  private volatile boolean stopRequested;

  // What was asked for last, under this object's lock.
  private Optional<Fault> wanted;

  // Written while all ranks wait at the all-reduce, read by all of them after it.
  private Optional<Fault> fault;
  private int stepsDone;
  private boolean lastStep;
  private long nextStepNanos;

  /**
   * A training in which that fault strikes, or none, unless somebody {@link #strike}s.
   *
   * @throws IllegalArgumentException when the training has no such step, layer or rank
   */
  public DataParallelTraining(TrainingPolicy policy, Optional<Fault> fault) {
    this.policy = policy;
    this.fault = fault;
    this.wanted = fault;
    this.layers = ResidualNetwork.layers(policy);
    fault.ifPresent(f -> f.requireWithin(policy));
    this.task = new TeacherTask(policy.seed());
    this.allReduce = new AllReduce(layers, policy.ranks(), this::endReduction);
    this.losses = new double[policy.steps()];
  }

  /** The parameter tensors, in forward order. */
  public List<Layer> layers() {
    return layers;
  }

  /**
   * Puts another fault, or none, in the place of the one that acts or is still to come; callable
   * from any thread, at any time. What the old one has done to the weights stays.
   *
   * @param struck its step does not count
   * @return the step from which it acts on all ranks: the one that follows the next all-reduce
   * @throws IllegalArgumentException when the training has no such layer or rank
   * @throws IllegalStateException when the training has no such step any more
   */
  public synchronized long strike(Optional<Fault> struck) {
    long step = stepsDone + 1L;
    if (lastStep || step >= policy.steps()) {
      throw new IllegalStateException(
          "training: expected one that still has a step to strike, got one that ends after %d"
              .formatted(lastStep ? stepsDone : policy.steps()));
    }
    Optional<Fault> atStep = struck.map(f -> f.atStep(step));
    atStep.ifPresent(f -> f.requireWithin(policy));
    wanted = atStep;
    return step;
  }

  /** The fault that acts, is still to come, or was the last one; empty when there is none. */
  public synchronized Optional<Fault> fault() {
    return wanted;
  }

  /** Ends the training after the step under way; callable from any thread, at any time. */
  public void stop() {
    stopRequested = true;
  }

  /**
   * Trains to the last step, or to {@link #stop}. When it returns or throws, the threads of all
   * ranks have ended.
   *
   * @param observer sees every step of every rank
   * @throws InterruptedException when the calling thread was interrupted; the training ends within
   *     a step, provided that the observer heeds interruption
   * @throws IllegalStateException when the observer failed, with its exception as the cause, or
   *     interrupted a rank's thread
   */
  public TrainingResult run(StepObserver observer) throws InterruptedException {
    if (stepsDone > 0) {
      throw new IllegalStateException("training: expected to be run once, got a second run");
    }
    Thread[] ranks = new Thread[policy.ranks()];
    for (int r = 0; r < ranks.length; r++) {
      int rank = r;
      ranks[r] = new Thread(() -> runRank(rank, observer, ranks), "training-rank-" + r);
      ranks[r].setDaemon(true);
    }
    nextStepNanos = System.nanoTime();
    for (Thread rank : ranks) {
      rank.start();
    }
    joinAll(ranks);
    if (failure.get() != null) {
      throw new IllegalStateException(
          "training: a rank failed at step " + (stepsDone - 1), failure.get());
    }
    if (!lastStep) {
      throw new IllegalStateException(
          "training: expected %d steps, got %d: a rank's thread was interrupted"
              .formatted(policy.steps(), stepsDone));
    }
    return new TrainingResult(Arrays.copyOf(losses, stepsDone));
  }

  private void runRank(int rank, StepObserver observer, Thread[] ranks) {
    try {
      if (failure.get() == null) {
        train(rank, observer);
      }
    } catch (InterruptedException | BrokenBarrierException e) {
      // Another rank failed and has said why, or somebody wants all to end: run knows.
    } catch (RuntimeException | Error e) {
      failure.compareAndSet(null, e);
      for (Thread other : ranks) {
        other.interrupt();
      }
    }
  }

  private void train(int rank, StepObserver observer)
      throws InterruptedException, BrokenBarrierException {
    var network = new ResidualNetwork(policy);
    var samples = task.samplesOf(rank, SAMPLES_PER_RANK);
    var acting = fault;
    var effect = new FaultEffect(acting, rank, layers);
    float[] updateNorms = null;
    for (long step = 0; ; step++) {
      if (!acting.equals(fault)) {
        acting = fault;
        effect = new FaultEffect(acting, rank, layers);
      }
      samples.copyBatch(step * policy.rankBatch(), network.inputs(), network.targets());
      scaleWeights(network, effect, step);
      double loss = network.forward(effect.maskedBlock(step));
      network.backward(effect.brokenBlock(step));
      allReduce.reduce(rank, network.gradient(), loss);
      boolean last = lastStep;
      if (effect.reports(step)) {
        observer.observe(
            new RankStep(
                rank,
                step,
                network.gradient(),
                allReduce.mean(),
                network.weights(),
                updateNorms,
                network.activations(),
                network.saturated(),
                loss,
                policy.learningRate(),
                policy.rankBatch()));
      }
      updateNorms = update(network, effect, step);
      if (last) {
        return;
      }
    }
  }

  private void endReduction() {
    endStep();
    pace();
  }

  private synchronized void endStep() {
    losses[stepsDone++] = allReduce.meanLoss();
    lastStep = stopRequested || stepsDone == policy.steps();
    fault = wanted;
  }

  private void pace() {
    if (policy.stepsPerSecond() == Double.POSITIVE_INFINITY) {
      return;
    }
    nextStepNanos += (long) (1e9 / policy.stepsPerSecond());
    long now = System.nanoTime();
    if (nextStepNanos < now) {
      nextStepNanos = now; // A slow step is not made up for by faster ones.
    }
    while (!stopRequested
        && !Thread.currentThread().isInterrupted()
        && System.nanoTime() < nextStepNanos) {
      LockSupport.parkNanos(Math.min(nextStepNanos - System.nanoTime(), 50_000_000));
    }
  }

  private void scaleWeights(ResidualNetwork network, FaultEffect effect, long step) {
    for (int i = 0; i < layers.size(); i++) {
      float factor = effect.weightFactor(step, i);
      if (factor != 1) {
        float[] weights = network.weights()[i];
        for (int e = 0; e < weights.length; e++) {
          weights[e] *= factor;
        }
      }
    }
  }

  /** Updates the weights, and returns the norms of what it took from them. */
  private float[] update(ResidualNetwork network, FaultEffect effect, long step) {
    float[] norms = Measurement.norms(allReduce.mean());
    for (int i = 0; i < layers.size(); i++) {
      float rate = (float) policy.learningRate() * effect.rateFactor(step, i);
      float[] weights = network.weights()[i];
      float[] gradient = allReduce.mean()[i];
      for (int e = 0; e < weights.length; e++) {
        weights[e] -= rate * gradient[e];
      }
      norms[i] = Measurement.held((double) rate * norms[i]);
    }
    return norms;
  }

  private static void joinAll(Thread[] ranks) throws InterruptedException {
    InterruptedException interruption = null;
    for (Thread rank : ranks) {
      boolean ended = false;
      while (!ended) {
        try {
          rank.join();
          ended = true;
        } catch (InterruptedException e) {
          interruption = e;
          for (Thread other : ranks) {
            other.interrupt();
          }
        }
      }
    }
    if (interruption != null) {
      throw interruption;
    }
  }
}
