package io.gradflow.training.zoo;

import java.util.Locale;
import java.util.function.Function;

/** Trainings of one kind, drawn from seeds: networks, sizes, onset, place and strength differ. */
public enum Family {
  SIGMOID_DEPTH(false, FaultyFamilies::sigmoidDepth),
  TANH_SMALL_GAIN(false, FaultyFamilies::tanhSmallGain),
  RNN_LARGE_GAIN(false, FaultyFamilies::rnnLargeGain),
  RELU_LARGE_GAIN(false, FaultyFamilies::reluLargeGain),
  WEIGHTS_SCALED(false, FaultyFamilies::weightsScaled),
  RATE_JUMP(false, FaultyFamilies::rateJump),
  WEIGHTS_GROWING(false, FaultyFamilies::weightsGrowing),
  RATE_BURST(false, FaultyFamilies::rateBurst),
  DEAD_LAYER(false, FaultyFamilies::deadLayer),
  HALF_OVERFLOW(false, FaultyFamilies::halfOverflow),
  HALF_UNDERFLOW(false, FaultyFamilies::halfUnderflow),
  BIT_FLIPS(false, FaultyFamilies::bitFlips),
  SIGN_FLIPPED(false, FaultyFamilies::signFlipped),
  INPUTS_SCALED(false, FaultyFamilies::inputsScaled),
  LABELS_PERMUTED(false, FaultyFamilies::labelsPermuted),
  NAN_LAYER(false, FaultyFamilies::nanLayer),
  FROZEN_LAYER(false, FaultyFamilies::frozenLayer),
  BATCH_SCALED(false, FaultyFamilies::batchScaled),
  TINY_CLIP(false, FaultyFamilies::tinyClip),
  ZERO_RANK(false, FaultyFamilies::zeroRank),
  SMALL_BETA2(false, FaultyFamilies::smallBeta2),
  ROUTER_COLLAPSE(false, FaultyFamilies::routerCollapse),
  SUMMED_RANKS(false, FaultyFamilies::summedRanks),
  CLIP_SKIPPED(false, FaultyFamilies::clipSkipped),
  DOUBLE_FAULT(false, FaultyFamilies::doubleFault),
  EARLY_FAULT(false, FaultyFamilies::earlyFault),
  SLOW_DRIFT(false, FaultyFamilies::slowDrift),
  SMALL_CORRUPTION(false, FaultyFamilies::smallCorruption),
  MISSING_RANK(false, FaultyFamilies::missingRank),
  RANK_AWAY(false, FaultyFamilies::rankAway),
  WARMUP_COSINE(true, HealthyFamilies::warmupCosine),
  HE_DESCENT(true, HealthyFamilies::heDescent),
  BATCH_OF_TWO(true, HealthyFamilies::batchOfTwo),
  TRANSFORMER_WARMUP(true, HealthyFamilies::transformerWarmup),
  MEMORISATION(true, HealthyFamilies::memorisation),
  LARGER_BATCH(true, HealthyFamilies::largerBatch),
  RATE_STEP(true, HealthyFamilies::rateStep),
  LAYER_NORM_DEPTH(true, HealthyFamilies::layerNormDepth),
  RNN_CLIPPED(true, HealthyFamilies::rnnClipped),
  CONSTANT_ADAM(true, HealthyFamilies::constantAdam),
  LABEL_NOISE(true, HealthyFamilies::labelNoise),
  SOAK(true, HealthyFamilies::soak),
  SPARSE_EMBEDDINGS(true, HealthyFamilies::sparseEmbeddings),
  MIXTURE_OF_EXPERTS(true, HealthyFamilies::mixtureOfExperts),
  LOW_RANK_ADAPTERS(true, HealthyFamilies::lowRankAdapters),
  UNFREEZING(true, HealthyFamilies::unfreezing),
  UNEQUAL_SAMPLES(true, HealthyFamilies::unequalSamples),
  TWO_RANKS(true, HealthyFamilies::twoRanks),
  WARMUP_STABLE_DECAY(true, HealthyFamilies::warmupStableDecay),
  BENIGN_SPIKES(true, HealthyFamilies::benignSpikes),
  SAMPLED_STEPS(true, HealthyFamilies::sampledSteps),
  ADVERSARIAL(true, HealthyFamilies::adversarial),
  CONVOLUTIONAL(true, HealthyFamilies::convolutional),
  EVALUATION_PAUSES(true, HealthyFamilies::evaluationPauses),
  FINISHED_EARLY(true, HealthyFamilies::finishedEarly),
  CHECKPOINT_RESTART(true, HealthyFamilies::checkpointRestart),
  LOSS_SCALER(true, HealthyFamilies::lossScaler);

  private final boolean healthy;

  // Methods without state, which the type cannot say.
  @SuppressWarnings("ImmutableEnumChecker")
  private final Function<Draw, Trial> drawn;

  Family(boolean healthy, Function<Draw, Trial> drawn) {
    this.healthy = healthy;
    this.drawn = drawn;
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
    return drawn.apply(new Draw(this, seed));
  }
}
