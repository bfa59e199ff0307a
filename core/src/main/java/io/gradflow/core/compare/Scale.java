package io.gradflow.core.compare;

/** The scale on which values of a measure are averaged and compared. */
public enum Scale {
  /**
   * Binary logarithm: a difference of 1 is a factor of 2. Values that are not above 0 have none.
   */
  OCTAVES,

  /** As it is: fractions, losses, slopes. */
  PLAIN;

  private static final double LN2 = Math.log(2);

  /** The value on this scale, NaN where it has none or is not finite. */
  double of(double value) {
    double scaled = this == PLAIN ? value : value > 0 ? Math.log(value) / LN2 : Double.NaN;
    return Double.isFinite(scaled) ? scaled : Double.NaN;
  }
}
