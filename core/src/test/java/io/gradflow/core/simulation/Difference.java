package io.gradflow.core.simulation;

/** The machines did something else than the oracle expected. */
final class Difference extends RuntimeException {
  private static final long serialVersionUID = 1;

  Difference(String message) {
    super(message);
  }

  /** Fails unless the condition holds. */
  @SuppressWarnings("AnnotateFormatMethod") // the annotation would be a dependency
  static void unless(boolean condition, String format, Object... args) {
    if (!condition) {
      throw new Difference(format.formatted(args));
    }
  }
}
