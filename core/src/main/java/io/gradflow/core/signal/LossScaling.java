package io.gradflow.core.signal;

/**
 * Whether the gradient fits the number format it is computed in, under the loss scale in force.
 *
 * <p>Maxima and histograms are those of the unscaled gradient; the format saw them times the scale.
 * What the format flushed to zero looks like any other zero: see {@link Saturation}.
 */
public final class LossScaling {
  /** Octaves that an advised scale leaves below the format's largest number. */
  private static final int HEADROOM = 2;

  private LossScaling() {}

  /** The ranges of the formats whose names are known. */
  private enum Format {
    FLOAT16(65_504, -14),
    BFLOAT16(0x1.FEp127, Float.MIN_EXPONENT),
    FLOAT32(Float.MAX_VALUE, Float.MIN_EXPONENT);

    private final double max;
    private final int leastNormal;

    /**
     * @param leastNormal exponent of the least number of full precision
     */
    Format(double max, int leastNormal) {
      this.max = max;
      this.leastNormal = leastNormal;
    }

    /** The format of that name, null if it is not known. */
    private static Format of(String dtype) {
      return switch (dtype) {
        case "float16" -> FLOAT16;
        case "bfloat16" -> BFLOAT16;
        case "float32" -> FLOAT32;
        default -> null;
      };
    }
  }

  /**
   * Octaves from the largest scaled value to the format's largest number; negative beyond it.
   *
   * @param dtype e.g. {@code float16}
   * @param lossScale 1 without one
   * @param maxAbs largest absolute value of the unscaled gradient
   * @return NaN for a format of an unknown name, and when {@code maxAbs} is 0 or not finite
   */
  public static double headroom(String dtype, double lossScale, double maxAbs) {
    Format format = Format.of(dtype);
    return format != null && isPositive(maxAbs) && isPositive(lossScale)
        ? (Math.log(format.max) - Math.log(lossScale) - Math.log(maxAbs)) / Math.log(2)
        : Double.NaN;
  }

  /**
   * The fraction of the values other than zero that the format holds with fewer digits, because
   * they are below its least normal number: exact.
   *
   * @param dtype e.g. {@code float16}
   * @param lossScale 1 without one
   * @param octaves histogram of the unscaled gradient
   * @return NaN for a format of an unknown name, an empty histogram, and a scale that is no power
   *     of two
   */
  public static double underflow(String dtype, double lossScale, Octaves octaves) {
    Format format = Format.of(dtype);
    var raised = Octaves.octavesOf(lossScale);
    long values = octaves.total();
    return format != null && raised.isPresent() && values > 0
        ? octaves.below(format.leastNormal - raised.getAsInt()) / (double) values
        : Double.NaN;
  }

  /**
   * The largest power of two that leaves {@value #HEADROOM} octaves of headroom. It serves formats
   * with a narrow range of exponents, float16 above all: bfloat16 and float32 need none.
   *
   * @param dtype e.g. {@code float16}
   * @param maxAbs largest absolute value of the unscaled gradient, over as many steps as matter
   * @return NaN where {@link #headroom} is
   */
  public static double advisedScale(String dtype, double maxAbs) {
    Format format = Format.of(dtype);
    return format != null && isPositive(maxAbs)
        ? Math.scalb(1.0, Math.getExponent(format.max / maxAbs) - HEADROOM)
        : Double.NaN;
  }

  private static boolean isPositive(double value) {
    return value > 0 && Double.isFinite(value);
  }
}
