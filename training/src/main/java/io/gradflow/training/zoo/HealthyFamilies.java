package io.gradflow.training.zoo;

import static io.gradflow.training.zoo.Recipe.Net.ADAPTERS;
import static io.gradflow.training.zoo.Recipe.Net.CONVOLUTIONAL;
import static io.gradflow.training.zoo.Recipe.Net.GAN;
import static io.gradflow.training.zoo.Recipe.Net.MIXTURE;
import static io.gradflow.training.zoo.Recipe.Net.MLP;
import static io.gradflow.training.zoo.Recipe.Net.RECURRENT;
import static io.gradflow.training.zoo.Recipe.Net.TRANSFORMER;

import java.util.ArrayList;
import java.util.List;

/** The families in which nothing goes wrong, though some look like it. */
final class HealthyFamilies {

  private HealthyFamilies() {}

  static Trial warmupCosine(Draw draw) {
    Recipe recipe = Recipe.adam(draw, MLP, CONVOLUTIONAL, MIXTURE);
    return draw.healthy(
        recipe.scheduled((peak, steps) -> Schedule.cosine(peak, draw.between(20, 60), steps)));
  }

  static Trial heDescent(Draw draw) {
    return draw.healthy(Recipe.descent(draw, MLP, CONVOLUTIONAL));
  }

  static Trial batchOfTwo(Draw draw) {
    return draw.healthy(Recipe.noisy(draw));
  }

  static Trial transformerWarmup(Draw draw) {
    return draw.healthy(
        Recipe.of(draw, TRANSFORMER)
            .scheduled((peak, steps) -> Schedule.cosine(peak, draw.between(30, 80), steps)));
  }

  static Trial memorisation(Draw draw) {
    return draw.healthy(Recipe.memorising(draw));
  }

  /** The batch becomes 8 times as large, declared in every other seed. */
  static Trial largerBatch(Draw draw) {
    Recipe recipe = Recipe.noisy(draw);
    long step = draw.between(100, recipe.options().steps() - 100);
    return draw.healthy(
        recipe.with(
            o ->
                o.withOccasions(
                    occasions(new Occasion(Occasion.Kind.BATCH, step, 8, draw.even())))));
  }

  /** The learning rate falls to a tenth, declared in every other seed. */
  static Trial rateStep(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, CONVOLUTIONAL, RECURRENT);
    long step = draw.between(100, recipe.options().steps() - 100);
    return draw.healthy(
        recipe.with(
            o ->
                o.withOccasions(
                    occasions(new Occasion(Occasion.Kind.RATE, step, .1, draw.even())))));
  }

  static Trial layerNormDepth(Draw draw) {
    return draw.healthy(Recipe.normalised(draw));
  }

  static Trial rnnClipped(Draw draw) {
    return draw.healthy(Recipe.of(draw, RECURRENT).with(o -> o.withClip(draw.between(.5, 1.5))));
  }

  static Trial constantAdam(Draw draw) {
    return draw.healthy(Recipe.adam(draw, MLP, CONVOLUTIONAL, TRANSFORMER, RECURRENT));
  }

  static Trial labelNoise(Draw draw) {
    return draw.healthy(Recipe.mislabelled(draw));
  }

  static Trial soak(Draw draw) {
    return draw.healthy(Recipe.tiny(draw, 100_000));
  }

  static Trial sparseEmbeddings(Draw draw) {
    return draw.healthy(Recipe.sparse(draw));
  }

  static Trial mixtureOfExperts(Draw draw) {
    return draw.healthy(Recipe.of(draw, MIXTURE));
  }

  static Trial lowRankAdapters(Draw draw) {
    return draw.healthy(Recipe.of(draw, ADAPTERS));
  }

  /** The lower half of the network is frozen until some step. */
  static Trial unfreezing(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, CONVOLUTIONAL, TRANSFORMER);
    int depth = recipe.parameters().stream().mapToInt(Parameter::depth).max().orElseThrow();
    long thaw = draw.between(100, recipe.options().steps() - 150);
    return draw.healthy(recipe.with(o -> o.withFrozen((depth + 1) / 2, thaw)));
  }

  /** Ranks differ in their samples by up to 4. */
  static Trial unequalSamples(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, TRANSFORMER, MIXTURE, RECURRENT);
    int[] samples = recipe.options().samples().clone();
    for (int r = 0; r < samples.length; r++) {
      samples[r] = Math.max(2, (int) Math.round(samples[r] * draw.octaves(.5, 2)));
    }
    return draw.healthy(recipe.with(o -> o.withSamples(samples)));
  }

  static Trial twoRanks(Draw draw) {
    return draw.healthy(Recipe.any(draw).withRanks(2));
  }

  static Trial warmupStableDecay(Draw draw) {
    return draw.healthy(
        Recipe.adam(draw, MLP, TRANSFORMER, CONVOLUTIONAL)
            .scheduled(
                (peak, steps) ->
                    Schedule.stable(peak, draw.between(20, 60), steps * 3 / 4, steps)));
  }

  /** Some steps have documents full of one rare token. */
  static Trial benignSpikes(Draw draw) {
    Recipe recipe = Recipe.of(draw, TRANSFORMER, MIXTURE);
    List<Occasion> occasions = new ArrayList<>();
    for (int i = draw.between(2, 5); i > 0; i--) {
      long step = draw.between(50, recipe.options().steps() - 20);
      occasions.add(new Occasion(Occasion.Kind.RARE_TOKENS, step, 1, false));
    }
    return draw.healthy(recipe.with(o -> o.withOccasions(occasions)));
  }

  static Trial sampledSteps(Draw draw) {
    Recipe recipe = Recipe.any(draw);
    int every = draw.pick(5, 10, 20);
    return draw.healthy(
        recipe.withSteps(recipe.options().steps() * 3).with(o -> o.withEvery(every)));
  }

  static Trial adversarial(Draw draw) {
    return draw.healthy(Recipe.of(draw, GAN));
  }

  static Trial convolutional(Draw draw) {
    return draw.healthy(Recipe.of(draw, CONVOLUTIONAL));
  }

  static Trial evaluationPauses(Draw draw) {
    Recipe recipe = Recipe.any(draw);
    int every = draw.between(50, 120);
    List<Occasion> occasions = new ArrayList<>();
    for (long step = every; step < recipe.options().steps(); step += every) {
      occasions.add(new Occasion(Occasion.Kind.PAUSE, step, 1, true));
      occasions.add(new Occasion(Occasion.Kind.EVALUATION, step, 1, true));
    }
    return draw.healthy(recipe.with(o -> o.withOccasions(occasions)));
  }

  /** Ends while the loss still falls. */
  static Trial finishedEarly(Draw draw) {
    return draw.healthy(Recipe.any(draw).withSteps(draw.between(80, 200)));
  }

  static Trial checkpointRestart(Draw draw) {
    Recipe recipe = Recipe.any(draw);
    long step = draw.between(150, recipe.options().steps() - 60);
    int back = draw.between(5, 80);
    return draw.healthy(
        recipe.with(
            o ->
                o.withOccasions(
                    occasions(
                        new Occasion(Occasion.Kind.CHECKPOINT, step - back, 1, true),
                        new Occasion(Occasion.Kind.RESTART, step, back, true)))));
  }

  /** Half precision; the scaler finds the limit, and now and then skips a step. */
  static Trial lossScaler(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, CONVOLUTIONAL, TRANSFORMER);
    float initial = Math.scalb(1f, draw.between(12, 18));
    int interval = draw.between(30, 80);
    return draw.healthy(recipe.with(o -> o.withScaling(new LossScaling(initial, interval))));
  }

  private static List<Occasion> occasions(Occasion... occasions) {
    return List.of(occasions);
  }
}
