package io.gradflow.training.zoo;

import io.gradflow.training.Seeds;
import java.util.List;
import java.util.Random;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** What one trial is made of, drawn in the order of the calls. */
final class Draw {

  private final Family family;
  private final long seed;
  private final Random random;

  Draw(Family family, long seed) {
    this.family = family;
    this.seed = seed;
    random = Seeds.random(seed, "zoo-family-" + family.label(), 0);
  }

  boolean even() {
    return seed % 2 == 0;
  }

  long seed() {
    return random.nextLong();
  }

  /** From and to included. */
  int between(int from, int to) {
    return from + random.nextInt(to - from + 1);
  }

  double between(double from, double to) {
    return from + (to - from) * random.nextDouble();
  }

  /** Every octave is as likely as any other. */
  double octaves(double from, double to) {
    return from * Math.pow(to / from, random.nextDouble());
  }

  boolean chance(double probability) {
    return random.nextDouble() < probability;
  }

  @SafeVarargs
  final <T> T pick(T... of) {
    return of[random.nextInt(of.length)];
  }

  /** The first of the recipes drawn that has no normalisation. */
  static Recipe plain(Supplier<Recipe> recipes) {
    return Stream.generate(recipes).filter(Recipe::plain).findFirst().orElseThrow();
  }

  /** Index of one of the recipe's trainable parameters of that kind. */
  int parameter(Recipe recipe, Predicate<Parameter> suits) {
    List<Parameter> all = recipe.parameters();
    int[] suitable =
        IntStream.range(0, all.size())
            .filter(p -> all.get(p).trainable() && suits.test(all.get(p)))
            .toArray();
    if (suitable.length == 0) {
      throw new IllegalStateException(
          family.label() + ": expected a parameter that suits the fault, got none of " + all);
    }
    return suitable[random.nextInt(suitable.length)];
  }

  /** A step with enough of the training before and after it. */
  int onset(Recipe recipe) {
    int steps = recipe.options().steps();
    return between(61, Math.max(62, steps - 140));
  }

  Trial healthy(Recipe recipe) {
    return new Trial(
        family,
        seed,
        recipe.options(),
        List.of(),
        new Truth(List.of(), null, false),
        recipe.workload(),
        null);
  }

  Trial faulty(Recipe recipe, ZooFault fault, Truth.Episode episode) {
    return faulty(recipe, List.of(fault), List.of(episode), false);
  }

  Trial faulty(
      Recipe recipe, List<ZooFault> faults, List<Truth.Episode> episodes, boolean expectedMiss) {
    return new Trial(
        family,
        seed,
        recipe.options(),
        faults,
        new Truth(episodes, null, expectedMiss),
        recipe.workload(),
        recipe.workload());
  }

  /** One whose network is the fault: there from the first step on. */
  Trial misbuilt(Recipe recipe, Supplier<Workload> misbuilt) {
    var episode = new Truth.Episode(0, Long.MAX_VALUE, true, Truth.Cause.OPTIMISER, List.of(), -1);
    return new Trial(
        family,
        seed,
        recipe.options(),
        List.of(),
        new Truth(List.of(episode), null, false),
        misbuilt,
        recipe.workload());
  }
}
