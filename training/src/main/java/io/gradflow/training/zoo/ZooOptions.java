package io.gradflow.training.zoo;

import java.util.List;

/**
 * How a workload is trained.
 *
 * @param seed of initial weights, samples and whatever else is drawn
 * @param ranks all of them
 * @param samples of a rank in a step, by rank
 * @param steps of each stream
 * @param clipNorm limit of the global norm; NaN: none
 * @param scaling null: the backward pass is in single precision
 * @param every steps that are a multiple of it are published
 * @param tensorParallel rank r holds slice {@code r % tensorParallel} of every parameter and shares
 *     its samples with the other ranks of {@code r / tensorParallel}; 1: no slices
 * @param frozenDepth parameters of less depth are frozen until {@code thaw}
 * @param thaw the first step in which they are trained
 * @param occasions what happens once
 */
public record ZooOptions(
    long seed,
    int ranks,
    int[] samples,
    int steps,
    Optimiser optimiser,
    Schedule schedule,
    double clipNorm,
    LossScaling scaling,
    int every,
    int tensorParallel,
    int frozenDepth,
    long thaw,
    List<Occasion> occasions) {

  public ZooOptions {
    if (ranks < 1 || steps < 1 || every < 1) {
      throw new IllegalArgumentException(
          "options of a training: expected at least one rank, one step, and every >= 1, got "
              + "%d, %d and %d".formatted(ranks, steps, every));
    }
    if (samples.length != ranks) {
      throw new IllegalArgumentException(
          "options of a training: expected samples of %d ranks, got %d"
              .formatted(ranks, samples.length));
    }
    if (tensorParallel < 1 || ranks % tensorParallel != 0) {
      throw new IllegalArgumentException(
          "options of a training: expected ranks that are a multiple of tensorParallel, got %d of %d"
              .formatted(ranks, tensorParallel));
    }
    occasions = List.copyOf(occasions);
  }

  /** Of equal ranks, without clipping, scaling and occasions. */
  public static ZooOptions of(
      long seed, int ranks, int samples, int steps, Optimiser optimiser, Schedule schedule) {
    int[] each = new int[ranks];
    java.util.Arrays.fill(each, samples);
    return new ZooOptions(
        seed, ranks, each, steps, optimiser, schedule, Double.NaN, null, 1, 1, 0, 0, List.of());
  }

  public ZooOptions withRanks(int ranks, int[] samples) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withSteps(int steps) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withSchedule(Schedule schedule) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withSamples(int... samples) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withClip(double clipNorm) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withScaling(LossScaling scaling) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withEvery(int every) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withTensorParallel(int tensorParallel) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withFrozen(int frozenDepth, long thaw) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }

  public ZooOptions withOccasions(List<Occasion> occasions) {
    return new ZooOptions(
        seed,
        ranks,
        samples,
        steps,
        optimiser,
        schedule,
        clipNorm,
        scaling,
        every,
        tensorParallel,
        frozenDepth,
        thaw,
        occasions);
  }
}
