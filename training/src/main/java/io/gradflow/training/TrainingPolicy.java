package io.gradflow.training;

/**
 * Settings of a training.
 *
 * @param seed decides initial weights, samples and faults; equal settings give equal losses, bit
 *     for bit
 * @param steps optimiser steps
 * @param ranks data-parallel threads, each with its own samples and copy of the weights
 * @param depth hidden layers
 * @param width units of a hidden layer
 * @param batch samples of all ranks together in one step, see {@link #rankBatch}
 * @param learningRate of every layer
 * @param stepsPerSecond the training goes no faster than this; {@link Double#POSITIVE_INFINITY} is
 *     as fast as it can
 */
public record TrainingPolicy(
    long seed,
    int steps,
    int ranks,
    int depth,
    int width,
    int batch,
    double learningRate,
    double stepsPerSecond) {

  /** Checks every range. */
  public TrainingPolicy {
    requireWithin("steps", steps, 1, 10_000_000);
    requireWithin("ranks", ranks, 1, 64);
    requireWithin("depth", depth, 1, 256);
    requireWithin("width", width, 2, 4096);
    requireWithin("batch", batch, 1, 65_536);
    if (!(learningRate > 0 && learningRate <= 10)) {
      throw new IllegalArgumentException(
          "training: expected learningRate above 0 and at most 10, got " + learningRate);
    }
    if (!(stepsPerSecond > 0)) {
      throw new IllegalArgumentException(
          "training: expected stepsPerSecond above 0, got " + stepsPerSecond);
    }
  }

  /** 300 steps of 4 ranks, 12 hidden layers of 64 units. */
  public static TrainingPolicy ofSeed(long seed) {
    return new TrainingPolicy(seed, 300, 4, 12, 64, 64, 0.1, Double.POSITIVE_INFINITY);
  }

  /** Samples of one rank in one step: an equal share of the batch, rounded up. */
  public int rankBatch() {
    return (batch + ranks - 1) / ranks;
  }

  /** Another training of the same network. */
  public TrainingPolicy withSeed(long seed) {
    return new TrainingPolicy(
        seed, steps, ranks, depth, width, batch, learningRate, stepsPerSecond);
  }

  /** The same training, longer or shorter. */
  public TrainingPolicy withSteps(int steps) {
    return new TrainingPolicy(
        seed, steps, ranks, depth, width, batch, learningRate, stepsPerSecond);
  }

  /** The same training over more or fewer ranks. */
  public TrainingPolicy withRanks(int ranks) {
    return new TrainingPolicy(
        seed, steps, ranks, depth, width, batch, learningRate, stepsPerSecond);
  }

  /** The same training of another network. */
  public TrainingPolicy withNetwork(int depth, int width) {
    return new TrainingPolicy(
        seed, steps, ranks, depth, width, batch, learningRate, stepsPerSecond);
  }

  /** The same training at a bounded pace. */
  public TrainingPolicy withStepsPerSecond(double stepsPerSecond) {
    return new TrainingPolicy(
        seed, steps, ranks, depth, width, batch, learningRate, stepsPerSecond);
  }

  private static void requireWithin(String name, int got, int least, int most) {
    if (got < least || got > most) {
      throw new IllegalArgumentException(
          "training: expected %s from %d to %d, got %d".formatted(name, least, most, got));
    }
  }
}
