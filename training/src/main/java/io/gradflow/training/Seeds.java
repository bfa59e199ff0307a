package io.gradflow.training;

import java.util.Random;

/** Independent random streams out of one seed, so that what one draws moves no other. */
public final class Seeds {

  private Seeds() {}

  /** The random stream of that purpose and rank. */
  public static Random random(long seed, String purpose, int rank) {
    return new Random(mix(mix(seed + purpose.hashCode()) + rank));
  }

  /** The finaliser of SplitMix64 (Steele, Lea and Flood 2014). */
  private static long mix(long z) {
    z += 0x9e3779b97f4a7c15L;
    z = (z ^ (z >>> 30)) * 0xbf58476d1ce4e5b9L;
    z = (z ^ (z >>> 27)) * 0x94d049bb133111ebL;
    return z ^ (z >>> 31);
  }
}
