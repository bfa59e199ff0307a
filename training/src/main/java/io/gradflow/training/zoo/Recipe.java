package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;
import io.gradflow.training.zoo.Mlp.Activation;
import java.util.Arrays;
import java.util.List;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;

/**
 * A network and how it is trained well.
 *
 * @param workload makes the network; every call makes an equal one
 * @param parameters of the network
 * @param peak its learning rate
 */
record Recipe(
    Supplier<Workload> workload, List<Parameter> parameters, ZooOptions options, double peak) {

  private static final double HE = Math.sqrt(2);

  /** Kinds of networks. */
  enum Net {
    MLP,
    RECURRENT,
    CONVOLUTIONAL,
    TRANSFORMER,
    MIXTURE,
    ADAPTERS,
    GAN
  }

  /** Networks that cannot learn as they are built. */
  enum Misbuilt {
    SIGMOID,
    TANH_SMALL_GAIN,
    RNN_LARGE_GAIN,
    RELU_LARGE_GAIN
  }

  /** Makes the schedule of a training of that many steps. */
  interface Scheduling {
    Schedule of(double peak, int steps);
  }

  /** One of those networks, with the optimiser it is usually trained with. */
  static Recipe of(Draw draw, Net... nets) {
    Net net = draw.pick(nets);
    return switch (net) {
      case MLP, CONVOLUTIONAL -> draw.chance(.5) ? adam(draw, net) : descent(draw, net);
      case RECURRENT -> adam(draw, net).with(o -> o.withClip(1));
      case TRANSFORMER ->
          adam(draw, net)
              .with(o -> o.withClip(1))
              .scheduled((peak, steps) -> Schedule.cosine(peak, 40, steps));
      case MIXTURE, ADAPTERS, GAN -> adam(draw, net);
    };
  }

  /** Any network at all. */
  static Recipe any(Draw draw) {
    return of(draw, Net.values());
  }

  /** One of those networks with Adam at a constant rate. */
  static Recipe adam(Draw draw, Net... nets) {
    Net net = draw.pick(nets);
    double peak =
        switch (net) {
          case MLP, MIXTURE -> draw.octaves(.002, .004);
          case ADAPTERS, CONVOLUTIONAL, TRANSFORMER -> draw.octaves(.003, .006);
          case RECURRENT -> draw.octaves(.002, .004);
          case GAN -> draw.octaves(.0005, .001);
        };
    Optimiser optimiser =
        net == Net.TRANSFORMER
            ? Optimiser.adamW()
            : net == Net.GAN ? new Optimiser(.5, .99, 1e-8, 0) : Optimiser.adam();
    return trained(draw, network(draw, net), samples(draw, net), optimiser, peak);
  }

  /** One of those networks with gradient descent at a constant rate, with momentum or without. */
  static Recipe descent(Draw draw, Net... nets) {
    Net net = draw.pick(nets);
    boolean momentum = draw.chance(.5);
    double peak = draw.octaves(.03, .06) * (momentum ? .1 : 1);
    return trained(
        draw,
        network(draw, net),
        samples(draw, net),
        momentum ? Optimiser.withMomentum() : Optimiser.sgd(),
        peak);
  }

  /**
   * As {@link #descent}, of few ranks, long, and at a rate so low that it learns from the first
   * step to the last: what one rank does wrong matters for long.
   */
  static Recipe slow(Draw draw, Net... nets) {
    Recipe recipe = descent(draw, nets);
    double peak = recipe.peak / 5;
    int steps = draw.between(600, 900);
    return new Recipe(recipe.workload, recipe.parameters, recipe.options, peak)
        .scheduled((rate, all) -> Schedule.constant(rate))
        .withRanks(draw.pick(2, 3, 4))
        .withSteps(steps);
  }

  /** As {@link #descent}, at a rate not far from the highest that it stands. */
  static Recipe fast(Draw draw, Net... nets) {
    Recipe recipe = Draw.plain(() -> descent(draw, nets));
    return new Recipe(recipe.workload, recipe.parameters, recipe.options, recipe.peak * 3)
        .scheduled((rate, all) -> Schedule.constant(rate));
  }

  /** A network of very few layers, so that many steps take little time. */
  static Recipe tiny(Draw draw, int steps) {
    long task = draw.seed();
    var shape = new Mlp.Shape(1, 8, Activation.TANH, false, false, 1, draw.between(.2, .4));
    Recipe recipe =
        trained(draw, () -> new Mlp(shape, task), 4, Optimiser.sgd(), draw.octaves(.01, .03));
    return recipe.withRanks(draw.pick(2, 4)).withSteps(steps);
  }

  /** Ranks with two samples each. */
  static Recipe noisy(Draw draw) {
    Recipe recipe = descent(draw, Net.MLP, Net.CONVOLUTIONAL);
    int[] samples = new int[recipe.options.ranks()];
    Arrays.fill(samples, 2);
    return recipe.with(o -> o.withSamples(samples));
  }

  /** A few samples over and over, until the loss is next to nothing. */
  static Recipe memorising(Draw draw) {
    Recipe recipe = adam(draw, Net.MLP, Net.CONVOLUTIONAL);
    int pool = draw.between(16, 48);
    long seed = draw.seed();
    return recipe.over(() -> Redrawn.memorised(recipe.workload.get(), pool, seed));
  }

  /** A part of the samples has wrong targets. */
  static Recipe mislabelled(Draw draw) {
    Recipe recipe = of(draw, Net.MLP, Net.CONVOLUTIONAL, Net.TRANSFORMER);
    double share = draw.between(.1, .4);
    return recipe.over(() -> Redrawn.mislabelled(recipe.workload.get(), share));
  }

  /** A deep network that layer normalisation makes trainable. */
  static Recipe normalised(Draw draw) {
    long task = draw.seed();
    var shape = new Mlp.Shape(16, 16, Activation.RELU, true, false, HE, .3);
    return trained(draw, () -> new Mlp(shape, task), 8, Optimiser.adam(), draw.octaves(.001, .002));
  }

  /** A transformer that sees few of its tokens in a step. */
  static Recipe sparse(Draw draw) {
    long task = draw.seed();
    int sequence = draw.between(4, 6);
    Recipe recipe =
        trained(
            draw,
            () -> new Transformer(1, 16, sequence, task),
            draw.between(1, 2),
            Optimiser.adam(),
            draw.octaves(.002, .004));
    return recipe.withRanks(draw.pick(2, 4));
  }

  /** Several ranks hold slices of a network, whose gradients a limit keeps in bounds. */
  static Recipe clipped(Draw draw) {
    Recipe recipe = Draw.plain(() -> descent(draw, Net.MLP, Net.CONVOLUTIONAL, Net.RECURRENT));
    int slices = draw.pick(2, 4);
    return new Recipe(recipe.workload, recipe.parameters, recipe.options, recipe.peak * 12)
        .scheduled((rate, steps) -> Schedule.constant(rate))
        .withRanks(draw.chance(.5) ? slices : 2 * slices)
        .with(o -> o.withTensorParallel(slices).withClip(draw.between(.1, .16)));
  }

  /** A network that cannot learn, and its twin, which differs in what is wrong alone. */
  static Trial misbuiltDepth(Draw draw, Misbuilt what) {
    long task = draw.seed();
    int samples = draw.between(5, 10);
    double noise = draw.between(.1, .3);
    int width = draw.between(12, 16);
    return switch (what) {
      case SIGMOID -> {
        int depth = draw.between(14, 18);
        var wrong = new Mlp.Shape(depth, width, Activation.SIGMOID, false, false, 1, noise);
        var right = new Mlp.Shape(depth, width, Activation.RELU, true, false, HE, noise);
        yield misbuilt(draw, wrong, right, samples, task, draw.octaves(.03, .06));
      }
      case TANH_SMALL_GAIN -> {
        int depth = draw.between(17, 22);
        double gain = draw.between(.3, .6);
        var wrong = new Mlp.Shape(depth, width, Activation.TANH, false, false, gain, noise);
        var right = new Mlp.Shape(depth, width, Activation.TANH, false, false, 1.1, noise);
        yield misbuilt(draw, wrong, right, samples, task, draw.octaves(.01, .02));
      }
      case RELU_LARGE_GAIN -> {
        int depth = draw.between(10, 14);
        double gain = draw.between(2.4, 3);
        var wrong = new Mlp.Shape(depth, width, Activation.RELU, false, false, gain, noise);
        var right = new Mlp.Shape(depth, width, Activation.RELU, false, false, HE, noise);
        yield misbuilt(draw, wrong, right, samples, task, draw.octaves(.01, .02));
      }
      case RNN_LARGE_GAIN -> {
        int sequence = draw.between(12, 16);
        double gain = draw.between(2, 2.5);
        Recipe recipe =
            trained(
                draw,
                () -> new Recurrent(sequence, width, 1, true, task),
                samples,
                Optimiser.sgd(),
                draw.octaves(.01, .02));
        yield draw.misbuilt(recipe, () -> new Recurrent(sequence, width, gain, true, task));
      }
    };
  }

  private static Trial misbuilt(
      Draw draw, Mlp.Shape wrong, Mlp.Shape right, int samples, long task, double rate) {
    Recipe recipe = trained(draw, () -> new Mlp(right, task), samples, Optimiser.sgd(), rate);
    return draw.misbuilt(recipe, () -> new Mlp(wrong, task));
  }

  private static Supplier<Workload> network(Draw draw, Net net) {
    long task = draw.seed();
    return switch (net) {
      case MLP -> {
        int depth = draw.between(3, 7);
        boolean residual = draw.chance(.5);
        boolean normalised = !residual && draw.chance(.5);
        var activation = draw.pick(Activation.RELU, Activation.RELU, Activation.TANH);
        double gain = residual ? .4 : activation == Activation.RELU ? HE : 1;
        var shape =
            new Mlp.Shape(
                depth,
                draw.between(16, 24),
                activation,
                normalised,
                residual,
                gain,
                draw.between(.1, .4));
        yield () -> new Mlp(shape, task);
      }
      case RECURRENT -> {
        int sequence = draw.between(6, 10);
        int width = draw.between(12, 16);
        yield () -> new Recurrent(sequence, width, 1, false, task);
      }
      case CONVOLUTIONAL -> {
        int depth = draw.between(2, 4);
        int channels = draw.between(6, 8);
        boolean normalised = draw.chance(.3);
        yield () -> new Convolutional(depth, channels, normalised, task);
      }
      case TRANSFORMER -> {
        int blocks = draw.between(1, 2);
        int width = draw.pick(12, 16);
        yield () -> new Transformer(blocks, width, 8, task);
      }
      case MIXTURE -> {
        int blocks = draw.between(1, 2);
        int experts = draw.between(3, 4);
        yield () -> new MixtureOfExperts(blocks, experts, 16, .01, task);
      }
      case ADAPTERS -> {
        int depth = draw.between(2, 5);
        yield () -> new Adapters(depth, 16, task);
      }
      case GAN -> {
        int depth = draw.between(2, 3);
        int width = draw.between(16, 20);
        yield () -> new Gan(depth, width, task);
      }
    };
  }

  /** Samples of a rank in a step. */
  private static int samples(Draw draw, Net net) {
    return switch (net) {
      case MLP, ADAPTERS, GAN, MIXTURE -> draw.between(8, 16);
      case RECURRENT -> draw.between(6, 10);
      case CONVOLUTIONAL, TRANSFORMER -> draw.between(4, 6);
    };
  }

  private static Recipe trained(
      Draw draw, Supplier<Workload> workload, int samples, Optimiser optimiser, double peak) {
    int ranks = draw.pick(2, 4, 8);
    int steps = draw.between(300, 600);
    var options =
        ZooOptions.of(draw.seed(), ranks, samples, steps, optimiser, Schedule.constant(peak));
    return new Recipe(workload, workload.get().parameters(), options, peak);
  }

  Recipe with(UnaryOperator<ZooOptions> change) {
    return new Recipe(workload, parameters, change.apply(options), peak);
  }

  Recipe over(Supplier<Workload> other) {
    return new Recipe(other, parameters, options, peak);
  }

  Recipe scheduled(Scheduling scheduling) {
    return with(o -> o.withSchedule(scheduling.of(peak, o.steps())));
  }

  Recipe withSteps(int steps) {
    return with(o -> o.withSteps(steps));
  }

  /** Other ranks, each with the samples of the first. */
  Recipe withRanks(int ranks) {
    int[] samples = new int[ranks];
    Arrays.fill(samples, options.samples()[0]);
    return with(o -> o.withRanks(ranks, samples));
  }

  /** Whether nothing in the network makes up for the size of inputs and weights. */
  boolean plain() {
    return parameters.stream().noneMatch(p -> p.kind() == LayerKind.NORM);
  }

  /** Whether it is the bias of a layer that activations follow. */
  static boolean isHiddenBias(Recipe recipe, Parameter parameter) {
    int last = recipe.parameters.stream().mapToInt(Parameter::depth).max().orElseThrow();
    return parameter.kind() == LayerKind.BIAS && parameter.depth() < last;
  }
}
