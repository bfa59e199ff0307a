package io.gradflow.core.norm;

import java.util.Arrays;

/** Ascending step numbers. */
final class Steps {
  private Steps() {}

  static boolean contains(long[] steps, long step) {
    return Arrays.binarySearch(steps, step) >= 0;
  }

  static long[] with(long[] steps, long step) {
    int found = Arrays.binarySearch(steps, step);
    if (found >= 0) {
      return steps;
    }
    int at = -found - 1;
    long[] more = new long[steps.length + 1];
    System.arraycopy(steps, 0, more, 0, at);
    more[at] = step;
    System.arraycopy(steps, at, more, at + 1, steps.length - at);
    return more;
  }

  static long[] without(long[] steps, long step) {
    int at = Arrays.binarySearch(steps, step);
    if (at < 0) {
      return steps;
    }
    long[] fewer = new long[steps.length - 1];
    System.arraycopy(steps, 0, fewer, 0, at);
    System.arraycopy(steps, at + 1, fewer, at, fewer.length - at);
    return fewer;
  }
}
