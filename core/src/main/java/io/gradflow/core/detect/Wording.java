package io.gradflow.core.detect;

import java.util.Locale;

/** How quantities read in a sentence. */
final class Wording {
  private Wording() {}

  /** A number to two or three digits. */
  static String number(double value) {
    double size = Math.abs(value);
    return String.format(Locale.ROOT, size >= 100 ? "%.0f" : size >= 1 ? "%.1f" : "%.2g", value);
  }

  /** A ratio given in octaves, as a plain factor. */
  static String factor(double octaves) {
    return number(Math.pow(2, octaves));
  }
}
