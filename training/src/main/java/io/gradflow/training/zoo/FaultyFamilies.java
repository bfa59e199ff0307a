package io.gradflow.training.zoo;

import static io.gradflow.training.zoo.Recipe.Net.ADAPTERS;
import static io.gradflow.training.zoo.Recipe.Net.CONVOLUTIONAL;
import static io.gradflow.training.zoo.Recipe.Net.GAN;
import static io.gradflow.training.zoo.Recipe.Net.MIXTURE;
import static io.gradflow.training.zoo.Recipe.Net.MLP;
import static io.gradflow.training.zoo.Recipe.Net.RECURRENT;
import static io.gradflow.training.zoo.Recipe.Net.TRANSFORMER;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.zoo.Truth.Cause;
import io.gradflow.training.zoo.Truth.Episode;
import java.util.List;

/**
 * The families in which something goes wrong. Strengths are ranges in which the fault does harm in
 * most seeds, by the {@link Oracle}; those where it does not are excluded by it.
 */
final class FaultyFamilies {

  private static final long FOREVER = Long.MAX_VALUE;

  private FaultyFamilies() {}

  static Trial sigmoidDepth(Draw draw) {
    return Recipe.misbuiltDepth(draw, Recipe.Misbuilt.SIGMOID);
  }

  static Trial tanhSmallGain(Draw draw) {
    return Recipe.misbuiltDepth(draw, Recipe.Misbuilt.TANH_SMALL_GAIN);
  }

  static Trial rnnLargeGain(Draw draw) {
    return Recipe.misbuiltDepth(draw, Recipe.Misbuilt.RNN_LARGE_GAIN);
  }

  static Trial reluLargeGain(Draw draw) {
    return Recipe.misbuiltDepth(draw, Recipe.Misbuilt.RELU_LARGE_GAIN);
  }

  static Trial weightsScaled(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER, MIXTURE, GAN);
    int parameter = draw.parameter(recipe, FaultyFamilies::isWeight);
    // A layer that was initialised so, or one that a bad write struck.
    long onset = draw.chance(.3) ? 0 : draw.onset(recipe);
    var fault =
        new ZooFault(
            ZooFault.Kind.WEIGHTS_ONCE, onset, FOREVER, -1, parameter, draw.between(30, 90));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial rateJump(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER, GAN, ADAPTERS);
    long onset = draw.onset(recipe);
    double rate = draw.between(1.0, 3);
    var fault =
        new ZooFault(
            ZooFault.Kind.RATE,
            onset,
            FOREVER,
            -1,
            -1,
            rate / recipe.options().schedule().rate(onset));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial weightsGrowing(Draw draw) {
    Recipe recipe = Draw.plain(() -> Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL));
    int parameter = draw.parameter(recipe, FaultyFamilies::isWeight);
    var fault =
        new ZooFault(
            ZooFault.Kind.WEIGHTS_GROW,
            draw.between(61, recipe.options().steps() / 2),
            FOREVER,
            -1,
            parameter,
            draw.between(1.006, 1.012));
    return draw.faulty(recipe, fault, episode(recipe, fault, false, Cause.OPTIMISER));
  }

  static Trial rateBurst(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER, MIXTURE, GAN);
    long onset = draw.onset(recipe);
    var fault =
        new ZooFault(
            ZooFault.Kind.RATE, onset, onset + draw.between(3, 6), -1, -1, draw.between(40, 90));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial deadLayer(Draw draw) {
    Recipe recipe = Draw.plain(() -> Recipe.of(draw, MLP, CONVOLUTIONAL));
    int parameter = draw.parameter(recipe, p -> Recipe.isHiddenBias(recipe, p));
    var fault =
        new ZooFault(
            ZooFault.Kind.BIAS, draw.onset(recipe), FOREVER, -1, parameter, -draw.between(20, 40));
    return draw.faulty(
        recipe,
        fault,
        new Episode(fault.onset(), FOREVER, true, Cause.OPTIMISER, block(recipe, parameter), -1));
  }

  static Trial halfOverflow(Draw draw) {
    Recipe recipe =
        Recipe.of(draw, MLP, CONVOLUTIONAL, TRANSFORMER)
            .with(o -> o.withScaling(new LossScaling(1024, 0)));
    var fault =
        new ZooFault(
            ZooFault.Kind.LOSS_SCALE,
            draw.onset(recipe),
            FOREVER,
            -1,
            -1,
            Math.scalb(1.0, draw.between(21, 26)));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.NUMERIC));
  }

  static Trial halfUnderflow(Draw draw) {
    Recipe recipe =
        Recipe.slow(draw, MLP, CONVOLUTIONAL, RECURRENT)
            .with(o -> o.withScaling(new LossScaling(1024, 0)));
    var fault =
        new ZooFault(
            ZooFault.Kind.LOSS_SCALE,
            draw.chance(.3) ? 0 : draw.between(61, 110),
            FOREVER,
            -1,
            -1,
            Math.scalb(1.0, -draw.between(18, 22)));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.NUMERIC));
  }

  static Trial bitFlips(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER, GAN);
    // A layer's, or whatever the machine computes.
    int parameter = draw.chance(.5) ? -1 : draw.parameter(recipe, FaultyFamilies::isWeight);
    long onset = draw.between(61, 90);
    var fault =
        new ZooFault(
            ZooFault.Kind.BIT_FLIPS,
            onset,
            onset + draw.between(60, 240),
            draw.between(0, recipe.options().ranks() - 1),
            parameter,
            draw.octaves(.01, .1));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.HARDWARE));
  }

  static Trial signFlipped(Draw draw) {
    Recipe recipe = Recipe.slow(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER);
    return ofRank(draw, recipe, ZooFault.Kind.GRADIENT, -1, Cause.HARDWARE);
  }

  static Trial inputsScaled(Draw draw) {
    Recipe recipe = Recipe.fast(draw, MLP, CONVOLUTIONAL).withRanks(draw.pick(2, 4));
    return ofRank(draw, recipe, ZooFault.Kind.INPUTS, draw.between(6, 12), Cause.DATA);
  }

  static Trial labelsPermuted(Draw draw) {
    Recipe recipe =
        Recipe.slow(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER).withRanks(draw.pick(2, 3, 3));
    return ofRank(draw, recipe, ZooFault.Kind.LABELS, 1, Cause.DATA);
  }

  static Trial nanLayer(Draw draw) {
    Recipe recipe =
        Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER, MIXTURE, ADAPTERS, GAN);
    int parameter = draw.parameter(recipe, p -> true);
    long onset = draw.onset(recipe);
    var fault =
        new ZooFault(
            ZooFault.Kind.NAN,
            onset,
            onset + 1,
            draw.between(0, recipe.options().ranks() - 1),
            parameter,
            Double.NaN);
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.NUMERIC));
  }

  static Trial frozenLayer(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER, ADAPTERS);
    int parameter = draw.parameter(recipe, p -> isWeight(p) || p.kind() == LayerKind.ADAPTER);
    var fault =
        new ZooFault(
            ZooFault.Kind.FROZEN,
            draw.chance(.3) ? 0 : draw.between(61, 120),
            FOREVER,
            -1,
            parameter,
            Double.NaN);
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial batchScaled(Draw draw) {
    Recipe recipe = Draw.plain(() -> Recipe.descent(draw, MLP, CONVOLUTIONAL));
    long onset = draw.onset(recipe);
    var fault = new ZooFault(ZooFault.Kind.INPUTS, onset, onset + 1, -1, -1, draw.between(20, 30));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.DATA));
  }

  static Trial tinyClip(Draw draw) {
    Recipe recipe = Recipe.slow(draw, MLP, RECURRENT, CONVOLUTIONAL).with(o -> o.withClip(1));
    var fault =
        new ZooFault(
            ZooFault.Kind.CLIP,
            draw.chance(.3) ? 0 : draw.between(61, 120),
            FOREVER,
            -1,
            -1,
            draw.octaves(.001, .01));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial zeroRank(Draw draw) {
    Recipe recipe = Recipe.slow(draw, MLP, RECURRENT, CONVOLUTIONAL).withRanks(draw.pick(2, 3));
    return ofRank(draw, recipe, ZooFault.Kind.GRADIENT, 0, Cause.HARDWARE);
  }

  static Trial smallBeta2(Draw draw) {
    Recipe recipe = Recipe.adam(draw, MLP, CONVOLUTIONAL, TRANSFORMER, RECURRENT);
    var fault =
        new ZooFault(
            ZooFault.Kind.BETA2,
            draw.chance(.3) ? 0 : draw.between(61, 160),
            FOREVER,
            -1,
            -1,
            draw.octaves(.001, .05));
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial routerCollapse(Draw draw) {
    Recipe recipe = Recipe.of(draw, MIXTURE);
    int parameter = draw.parameter(recipe, p -> p.kind() == LayerKind.ROUTER && p.rows() == 1);
    var fault =
        new ZooFault(
            ZooFault.Kind.ROUTER,
            draw.between(61, recipe.options().steps() / 2),
            FOREVER,
            -1,
            parameter,
            draw.between(.02, .1));
    return draw.faulty(
        recipe,
        fault,
        new Episode(fault.onset(), FOREVER, false, Cause.OPTIMISER, block(recipe, parameter), -1));
  }

  static Trial summedRanks(Draw draw) {
    Recipe recipe =
        Recipe.fast(draw, MLP, MLP, CONVOLUTIONAL)
            .withRanks(draw.pick(4, 8, 8))
            .scheduled((peak, steps) -> Schedule.constant(2.5 * peak));
    var fault =
        new ZooFault(
            ZooFault.Kind.SUM,
            draw.chance(.3) ? 0 : draw.onset(recipe),
            FOREVER,
            -1,
            -1,
            Double.NaN);
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
  }

  static Trial clipSkipped(Draw draw) {
    Recipe recipe = Recipe.clipped(draw);
    int slices = recipe.options().tensorParallel();
    int slice = draw.between(0, slices - 1);
    var fault =
        new ZooFault(
            ZooFault.Kind.CLIP_SKIPPED, draw.onset(recipe), FOREVER, slice, -1, Double.NaN);
    // With several data-parallel groups several ranks hold the slice, and none is the one.
    int rank = recipe.options().ranks() == slices ? slice : -1;
    return draw.faulty(
        recipe, fault, new Episode(fault.onset(), FOREVER, true, Cause.OPTIMISER, List.of(), rank));
  }

  /** One rank's gradient is turned round for a while; later something else strikes. */
  static Trial doubleFault(Draw draw) {
    Recipe recipe =
        Recipe.slow(draw, MLP, CONVOLUTIONAL, RECURRENT)
            .withRanks(draw.pick(2, 3))
            .scheduled((peak, steps) -> Schedule.constant(2 * peak));
    int ranks = recipe.options().ranks();
    long first = draw.between(61, 90);
    var one =
        new ZooFault(
            ZooFault.Kind.GRADIENT,
            first,
            first + draw.between(200, 280),
            draw.between(0, ranks - 1),
            -1,
            -1);
    long second = first + draw.between(300, 400);
    int parameter = draw.parameter(recipe, FaultyFamilies::isWeight);
    boolean nan = draw.chance(.5);
    ZooFault two =
        nan
            ? new ZooFault(
                ZooFault.Kind.NAN,
                second,
                second + 1,
                draw.between(0, ranks - 1),
                parameter,
                Double.NaN)
            : new ZooFault(
                ZooFault.Kind.WEIGHTS_ONCE, second, FOREVER, -1, parameter, draw.between(30, 90));
    return draw.faulty(
        recipe,
        List.of(one, two),
        List.of(
            episode(recipe, one, true, Cause.HARDWARE),
            episode(recipe, two, true, nan ? Cause.NUMERIC : Cause.OPTIMISER)),
        false);
  }

  static Trial earlyFault(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, CONVOLUTIONAL, TRANSFORMER, RECURRENT);
    long onset = draw.between(5, 29);
    int rank = draw.between(0, recipe.options().ranks() - 1);
    int parameter = draw.parameter(recipe, FaultyFamilies::isWeight);
    return switch (draw.between(0, 2)) {
      case 0 -> {
        var fault =
            new ZooFault(
                ZooFault.Kind.WEIGHTS_ONCE, onset, FOREVER, -1, parameter, draw.between(30, 90));
        yield draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
      }
      case 1 -> {
        var fault = new ZooFault(ZooFault.Kind.NAN, onset, onset + 1, rank, parameter, Double.NaN);
        yield draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.NUMERIC));
      }
      default -> {
        var fault =
            new ZooFault(
                ZooFault.Kind.RATE,
                onset,
                onset + draw.between(3, 6),
                -1,
                -1,
                draw.between(40, 90));
        yield draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.OPTIMISER));
      }
    };
  }

  static Trial slowDrift(Draw draw) {
    Recipe recipe = Recipe.tiny(draw, 10_000);
    int parameter = draw.parameter(recipe, FaultyFamilies::isWeight);
    var fault =
        new ZooFault(
            ZooFault.Kind.WEIGHTS_GROW,
            draw.between(500, 4000),
            FOREVER,
            -1,
            parameter,
            draw.between(1.001, 1.002));
    return draw.faulty(recipe, fault, episode(recipe, fault, false, Cause.OPTIMISER));
  }

  static Trial smallCorruption(Draw draw) {
    Recipe recipe = Recipe.of(draw, MLP, RECURRENT, CONVOLUTIONAL, TRANSFORMER);
    long onset = draw.onset(recipe);
    var fault =
        new ZooFault(
            ZooFault.Kind.NOISE,
            onset,
            onset + draw.between(20, 100),
            draw.between(0, recipe.options().ranks() - 1),
            -1,
            draw.between(.02, .05));
    return draw.faulty(
        recipe, List.of(fault), List.of(episode(recipe, fault, true, Cause.HARDWARE)), true);
  }

  static Trial missingRank(Draw draw) {
    Recipe recipe = Recipe.any(draw);
    return silent(draw, recipe, draw.onset(recipe), FOREVER);
  }

  static Trial rankAway(Draw draw) {
    Recipe recipe = Recipe.any(draw);
    long onset = draw.onset(recipe);
    return silent(draw, recipe, onset, onset + draw.between(20, 80));
  }

  private static Trial silent(Draw draw, Recipe recipe, long onset, long end) {
    int rank = draw.between(0, recipe.options().ranks() - 1);
    var fault = new ZooFault(ZooFault.Kind.SILENT, onset, end, rank, -1, Double.NaN);
    return draw.faulty(recipe, fault, episode(recipe, fault, true, Cause.DELIVERY));
  }

  /** Strikes one rank, early or from the start, and long: in a short time it does little harm. */
  private static Trial ofRank(
      Draw draw, Recipe recipe, ZooFault.Kind kind, double strength, Cause cause) {
    int rank = draw.between(0, recipe.options().ranks() - 1);
    var fault =
        new ZooFault(kind, draw.chance(.2) ? 0 : draw.between(61, 90), FOREVER, rank, -1, strength);
    return draw.faulty(recipe, fault, episode(recipe, fault, true, cause));
  }

  private static Episode episode(Recipe recipe, ZooFault fault, boolean abrupt, Cause cause) {
    List<String> layers =
        fault.parameter() < 0
            ? List.of()
            : List.of(recipe.parameters().get(fault.parameter()).name());
    return new Episode(fault.onset(), fault.end(), abrupt, cause, layers, fault.rank());
  }

  private static List<String> block(Recipe recipe, int parameter) {
    String block = recipe.parameters().get(parameter).block();
    return recipe.parameters().stream()
        .filter(p -> p.block().equals(block))
        .map(Parameter::name)
        .toList();
  }

  private static boolean isWeight(Parameter parameter) {
    return parameter.kind() == LayerKind.WEIGHT && !parameter.zeroInit();
  }
}
