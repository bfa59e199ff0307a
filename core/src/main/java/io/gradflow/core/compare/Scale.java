package io.gradflow.core.compare;

import io.gradflow.core.signal.Octaves;

/** The scale on which values of a measure are averaged and compared. */
public enum Scale {
  /**
   * Binary logarithm: a difference of 1 is a factor of 2. Values that are not above 0 have none.
   */
  OCTAVES,

  /** As it is: fractions, losses, slopes. */
  PLAIN;

  /** The value on this scale, NaN where it has none or is not finite. */
  double of(double value) {
    double scaled = this == PLAIN ? value : value > 0 ? Octaves.log2(value) : Double.NaN;
    return Double.isFinite(scaled) ? scaled : Double.NaN;
  }
}
