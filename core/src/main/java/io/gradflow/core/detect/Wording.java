package io.gradflow.core.detect;

import java.math.BigDecimal;
import java.math.MathContext;
import java.util.Locale;

/** How quantities and names read in a sentence. */
public final class Wording {
  private static final int MOST_CHARACTERS = 120;

  private Wording() {}

  /** A number to two or three digits. */
  public static String number(double value) {
    double size = Math.abs(value);
    return String.format(Locale.ROOT, size >= 100 ? "%.0f" : size >= 1 ? "%.1f" : "%.2g", value);
  }

  /** A value that somebody set, to four digits. */
  public static String setting(double value) {
    return Double.isFinite(value)
        ? new BigDecimal(value).round(new MathContext(4)).stripTrailingZeros().toPlainString()
        : Double.toString(value);
  }

  /** An estimate that is worth two digits. */
  public static String rough(double value) {
    return new BigDecimal(value).round(new MathContext(2)).stripTrailingZeros().toPlainString();
  }

  /** A ratio given in octaves, as a plain factor. */
  public static String factor(double octaves) {
    return number(Math.pow(2, octaves));
  }

  /** A name of the run's own choosing: of bounded length, without control characters. */
  public static String plain(String name) {
    String plain = name.replaceAll("\\p{Cntrl}", "?");
    return plain.length() <= MOST_CHARACTERS
        ? plain
        : plain.substring(0, MOST_CHARACTERS - 1) + "…";
  }
}
