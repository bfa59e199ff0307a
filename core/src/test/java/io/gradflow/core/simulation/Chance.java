package io.gradflow.core.simulation;

import java.util.List;
import java.util.SplittableRandom;

/** Everything a simulation leaves to chance, from one seed. */
final class Chance {
  private final SplittableRandom random;

  Chance(long seed) {
    // Neighbouring seeds must not begin alike.
    random = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + 0x632BE59BD9B4E019L);
  }

  /** True once in so many times. */
  boolean oneIn(int times) {
    return random.nextInt(times) == 0;
  }

  boolean with(double probability) {
    return random.nextDouble() < probability;
  }

  int below(int bound) {
    return random.nextInt(bound);
  }

  long below(long bound) {
    return random.nextLong(bound);
  }

  /** A whole number from one bound to the other, both included. */
  int between(int low, int high) {
    return random.nextInt(low, high + 1);
  }

  double share() {
    return random.nextDouble();
  }

  <T> T of(List<T> choices) {
    return choices.get(below(choices.size()));
  }

  @SafeVarargs
  final <T> T of(T... choices) {
    return choices[below(choices.length)];
  }

  <T> void shuffle(List<T> list) {
    for (int i = list.size() - 1; i > 0; i--) {
      T moved = list.get(i);
      int other = below(i + 1);
      list.set(i, list.get(other));
      list.set(other, moved);
    }
  }
}
