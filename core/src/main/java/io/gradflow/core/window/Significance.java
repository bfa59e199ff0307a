package io.gradflow.core.window;

/**
 * Which correlation is more than chance, being the strongest of many.
 *
 * <p>Correlations of n pairs of unrelated white noise have {@code r^2 ~ Beta(1/2, (n - 2) / 2)},
 * hence {@code P(|r| > c) <= (1 - c^2)^((n - 2) / 2)}. Steps of noise around a level are not white:
 * neighbours correlate by -1/2, and r varies 1 + 2 * (1/2)^2 = 1.5 times as much (Bartlett 1946),
 * as that of n / 1.5 pairs does. That the strongest of m exceeds c is at most m times as likely as
 * that one does (Bonferroni), whatever they have to do with each other:
 *
 * <pre>c^2 = 1 - (LEVEL / m)^(2 / (n / 1.5 - 2))</pre>
 *
 * With 99 pairs that is .44 for one partner and 17 lags, .60 for 1,136.
 */
final class Significance {
  /** How likely the strongest of all candidates of unrelated noise exceeds the limit, at most. */
  static final double LEVEL = 0.01;

  private static final double VARIANCE_OF_STEPS = 1.5;

  private Significance() {}

  /**
   * The limit on the magnitude of the strongest correlation.
   *
   * @param pairs that it is computed from
   * @param candidates it is the strongest of: partners times lags
   */
  static double limit(int pairs, long candidates) {
    double freedom = pairs / VARIANCE_OF_STEPS - 2;
    return freedom > 0 ? Math.sqrt(1 - Math.pow(LEVEL / candidates, 2 / freedom)) : 1;
  }
}
