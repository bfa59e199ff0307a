package io.gradflow.training;

import static io.gradflow.training.ResidualNetwork.NO_BLOCK;

import java.util.List;
import java.util.Optional;

/** What a fault does to one rank, step by step. Without a fault: nothing, at any step. */
final class FaultEffect {

  private static final int NO_LAYER = -1;

  /** A step's factor of vanishing weights: 0.09 octaves down. */
  private static final float SHRINK = 0.94f;

  /** A step's factor of exploding weights: 0.08 octaves up, or three in 36 steps. */
  private static final float GROWTH = 1.06f;

  /**
   * Of the learning rate. The hidden layers of this network learn slowly: it takes so much to throw
   * one off its place in one or two steps, at any time of the training.
   */
  private static final float RATE_FACTOR = 2500;

  private static final int RATE_STEPS = 2;

  private final Fault fault;
  private final int rank;
  private final int layer;
  private final int block;

  FaultEffect(Optional<Fault> fault, int rank, List<Layer> layers) {
    this.fault = fault.orElse(null);
    this.rank = rank;
    String name = fault.map(Fault::layer).orElse(null);
    int at = NO_LAYER;
    for (int i = 0; i < layers.size(); i++) {
      if (layers.get(i).name().equals(name)) {
        at = i;
      }
    }
    this.layer = at;
    this.block = at == NO_LAYER ? NO_BLOCK : layers.get(at).depth();
  }

  /** What the weights of a layer are multiplied by before the step. */
  float weightFactor(long step, int ofLayer) {
    if (ofLayer != layer) {
      return 1;
    }
    if (age(Scenario.VANISHING, step) >= 0) {
      return SHRINK;
    }
    return age(Scenario.EXPLODING, step) >= 0 ? GROWTH : 1;
  }

  /** What the learning rate of a layer is multiplied by in the update of the step. */
  float rateFactor(long step, int ofLayer) {
    long age = age(Scenario.SPIKE, step);
    return ofLayer == layer && age >= 0 && age < RATE_STEPS ? RATE_FACTOR : 1;
  }

  /** The hidden layer that does not see its input, or {@link ResidualNetwork#NO_BLOCK}. */
  int maskedBlock(long step) {
    return age(Scenario.DEAD_LAYER, step) >= 0 ? block : NO_BLOCK;
  }

  /** The hidden layer whose backward pass is broken, or {@link ResidualNetwork#NO_BLOCK}. */
  int brokenBlock(long step) {
    return age(Scenario.NAN, step) == 0 ? block : NO_BLOCK;
  }

  /** Whether the step of this rank is reported. */
  boolean reports(long step) {
    return age(Scenario.MISSING_RANK, step) < 0;
  }

  /** Steps since a fault of that kind struck this rank; negative when none has. */
  private long age(Scenario kind, long step) {
    boolean strikesHere =
        fault != null && fault.kind() == kind && (fault.rank() == null || fault.rank() == rank);
    return strikesHere ? step - fault.step() : -1;
  }
}
