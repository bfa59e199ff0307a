package io.gradflow.core.compare;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * How a measure differs between two spans.
 *
 * <p>Significance is Welch's t test of the two means with their autocorrelation-aware errors.
 * Family-wise: over all layers of a measure together the chance that anything at all is called
 * significant without having changed is at most {@link #LEVEL} (Holm's bound, which needs no
 * independence between layers). It is noise from step to step that is excluded, not that something
 * else than the cause in mind differs between the spans: two trainings of different seeds differ.
 *
 * @param difference after less before; NaN if either has no mean
 * @param standardError of the difference; NaN if unknown
 * @param p probability of such a difference by noise alone; NaN if unknown
 * @param familyP the same for the most extreme of all layers of the measure; NaN if unknown
 */
public record Change(
    Estimate before,
    Estimate after,
    double difference,
    double standardError,
    double p,
    double familyP) {

  /** Significant is what noise brings about less often than in one of so many comparisons. */
  public static final double LEVEL = 0.01;

  /** In standard errors; a normal distribution goes beyond it once in 15,000. */
  private static final double LARGE = 4;

  /** Whether this is more than noise from step to step. */
  public boolean isSignificant() {
    return familyP < LEVEL;
  }

  /**
   * Whether it is large against its error, and yet not significant: the measure wanders so slowly,
   * or the spans are so short, that there is little to know the error from. Longer spans tell.
   */
  public boolean isUnsettled() {
    return !isSignificant() && Math.abs(difference) > LARGE * standardError;
  }

  /** A change that is alone in its family. */
  static Change between(Estimate before, Estimate after) {
    double difference = after.mean() - before.mean();
    double one = before.standardError() * before.standardError();
    double other = after.standardError() * after.standardError();
    double square = one + other;
    double p;
    if (Double.isNaN(square) || Double.isNaN(difference)) {
      p = Double.NaN;
    } else if (square == 0) {
      double rounding = BatchMeans.ROUNDING * Math.max(1, Math.abs(before.mean()));
      p = Math.abs(difference) <= rounding ? 1 : 0;
    } else {
      double freedom =
          square
              * square
              / (one * one / before.degreesOfFreedom() + other * other / after.degreesOfFreedom());
      p = StudentT.twoSided(difference / Math.sqrt(square), freedom);
    }
    return new Change(before, after, difference, Math.sqrt(square), p, p);
  }

  /** The changes as members of one family, in the same order: Holm's step-down. */
  static <K> Map<K, Change> family(Map<K, Change> changes) {
    Map<K, Change> family = new LinkedHashMap<>(changes);
    List<Map.Entry<K, Change>> byP =
        family.entrySet().stream()
            .filter(change -> !Double.isNaN(change.getValue().p()))
            .sorted(Comparator.comparingDouble(change -> change.getValue().p()))
            .toList();
    double largest = 0;
    for (int rank = 0; rank < byP.size(); rank++) {
      double bounded = Math.min(1, (byP.size() - rank) * byP.get(rank).getValue().p());
      largest = Math.max(largest, bounded);
      byP.get(rank).setValue(byP.get(rank).getValue().withFamilyP(largest));
    }
    return family;
  }

  private Change withFamilyP(double value) {
    return new Change(before, after, difference, standardError, p, value);
  }
}
