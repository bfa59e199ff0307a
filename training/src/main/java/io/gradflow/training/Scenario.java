package io.gradflow.training;

import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.stream.Collectors;

/**
 * What is provoked in a training. Faults act on weights, inputs, rates or a rank's computation,
 * never on what is reported of them.
 */
public enum Scenario {
  /** Nothing goes wrong. */
  HEALTHY("healthy"),

  /** The weights of one hidden layer shrink a little every step, as by far too much decay. */
  VANISHING("vanishing"),

  /** The weights of one hidden layer grow a little every step, as by decay of the wrong sign. */
  EXPLODING("exploding"),

  /** The learning rate of one hidden layer is far too high for a few steps. */
  SPIKE("spike"),

  /**
   * One rank computes a NaN in the backward pass of one hidden layer, in one step. In that step the
   * losses and all gradients nearer to the loss are finite; the update with the poisoned mean then
   * ruins the weights of all ranks.
   */
  NAN("nan"),

  /**
   * The input of one hidden layer is masked out, as by a dropout rate of 1: its weight gets a
   * gradient of exact zeros, while the skip connection keeps all other layers alive.
   */
  DEAD_LAYER("dead-layer"),

  /** One rank goes on computing with the others, and is no longer heard of. */
  MISSING_RANK("missing-rank");

  private static final int LEAST_STEP = 8;

  /** A sudden change is one only against a level that was there for a while. */
  private static final int LEAST_SPIKE_STEP = 45;

  private final String label;

  Scenario(String label) {
    this.label = label;
  }

  /** Its name for people, e.g. {@code dead-layer}. */
  public String label() {
    return label;
  }

  /** The scenario of that {@link #label}. */
  public static Scenario ofLabel(String label) {
    return Arrays.stream(values())
        .filter(scenario -> scenario.label.equals(label))
        .findFirst()
        .orElseThrow(
            () ->
                new IllegalArgumentException(
                    "scenario: expected one of %s, got %s".formatted(labels(), label)));
  }

  /**
   * The fault that strikes a training; step, layer and rank are drawn from its seed. The step is
   * about a third into the run, which leaves a slow trend more than half of it.
   *
   * @return empty when {@link #HEALTHY}
   * @throws IllegalArgumentException when the training cannot have it
   */
  public Optional<Fault> fault(TrainingPolicy policy) {
    if (this == HEALTHY) {
      return Optional.empty();
    }
    if (this == MISSING_RANK && policy.ranks() < 2) {
      throw new IllegalArgumentException(
          "missing-rank: expected at least 2 ranks, got " + policy.ranks());
    }
    Random random = Seeds.random(policy.seed(), label, 0);
    int step = drawStep(policy.steps(), random);
    int block = 1 + random.nextInt(policy.depth());
    int rank = random.nextInt(policy.ranks());
    String layer = ResidualNetwork.layers(policy).get(ResidualNetwork.weightAt(block)).name();
    boolean ofRank = this == NAN || this == MISSING_RANK;
    return Optional.of(
        new Fault(this, step, this == MISSING_RANK ? null : layer, ofRank ? rank : null));
  }

  private int drawStep(int steps, Random random) {
    int drawn = steps / 3 + random.nextInt(steps / 12 + 1);
    int least = this == SPIKE ? Math.min(LEAST_SPIKE_STEP, steps * 3 / 4) : 0;
    return Math.min(Math.max(Math.max(drawn, least), LEAST_STEP), steps - 1);
  }

  private static String labels() {
    return Arrays.stream(values()).map(Scenario::label).collect(Collectors.joining(", "));
  }
}
