package io.gradflow.training.zoo;

import java.util.Locale;

/** Trainings of one kind, drawn from seeds: networks, sizes, onset, place and strength differ. */
public enum Family {
  SIGMOID_DEPTH(false),
  TANH_SMALL_GAIN(false),
  RNN_LARGE_GAIN(false),
  RELU_LARGE_GAIN(false),
  WEIGHTS_SCALED(false),
  RATE_JUMP(false),
  WEIGHTS_GROWING(false),
  RATE_BURST(false),
  DEAD_LAYER(false),
  HALF_OVERFLOW(false),
  HALF_UNDERFLOW(false),
  BIT_FLIPS(false),
  SIGN_FLIPPED(false),
  INPUTS_SCALED(false),
  LABELS_PERMUTED(false),
  NAN_LAYER(false),
  FROZEN_LAYER(false),
  BATCH_SCALED(false),
  TINY_CLIP(false),
  ZERO_RANK(false),
  SMALL_BETA2(false),
  ROUTER_COLLAPSE(false),
  SUMMED_RANKS(false),
  CLIP_SKIPPED(false),
  DOUBLE_FAULT(false),
  EARLY_FAULT(false),
  SLOW_DRIFT(false),
  SMALL_CORRUPTION(false),
  MISSING_RANK(false),
  RANK_AWAY(false),
  WARMUP_COSINE(true),
  HE_DESCENT(true),
  BATCH_OF_TWO(true),
  TRANSFORMER_WARMUP(true),
  MEMORISATION(true),
  LARGER_BATCH(true),
  RATE_STEP(true),
  LAYER_NORM_DEPTH(true),
  RNN_CLIPPED(true),
  CONSTANT_ADAM(true),
  LABEL_NOISE(true),
  SOAK(true),
  SPARSE_EMBEDDINGS(true),
  MIXTURE_OF_EXPERTS(true),
  LOW_RANK_ADAPTERS(true),
  UNFREEZING(true),
  UNEQUAL_SAMPLES(true),
  TWO_RANKS(true),
  WARMUP_STABLE_DECAY(true),
  BENIGN_SPIKES(true),
  SAMPLED_STEPS(true),
  ADVERSARIAL(true),
  CONVOLUTIONAL(true),
  EVALUATION_PAUSES(true),
  FINISHED_EARLY(true),
  CHECKPOINT_RESTART(true),
  LOSS_SCALER(true);

  private final boolean healthy;

  Family(boolean healthy) {
    this.healthy = healthy;
  }

  /** Whether nothing is wrong in any of its trainings. */
  public boolean healthy() {
    return healthy;
  }

  /** Its name, as reports have it: {@code weights-scaled}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  /** The training of that seed; the same seed draws the same one. */
  public Trial draw(long seed) {
    throw new UnsupportedOperationException(label() + " is not there yet, seed " + seed);
  }
}
