package io.gradflow.core.signal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

/** Estimates of one quantity over many simulated trials, to be held against theory. */
final class Sample {
  private int size;
  private double mean;
  private double squares;

  void add(double value) {
    assertThat(value).as("an estimate").isFinite();
    double surprise = value - mean;
    mean += surprise / ++size;
    squares += surprise * (value - mean);
  }

  double deviation() {
    return Math.sqrt(squares / (size - 1));
  }

  /** Four standard errors of the mean. */
  double margin() {
    return 4 * deviation() / Math.sqrt(size);
  }

  void hasMean(String what, double truth) {
    assertThat(mean)
        .as("mean of the %s over %d trials", what, size)
        .isCloseTo(truth, within(margin()));
  }

  /**
   * @param kurtosis of the estimate's distribution, 3 for a normal one: it decides how far the
   *     deviation of so many trials may lie off
   */
  void hasDeviation(String what, double theory, double kurtosis) {
    double relative = 4 * Math.sqrt((kurtosis - 1) / size) / 2;
    assertThat(deviation())
        .as("deviation of the %s over %d trials", what, size)
        .isCloseTo(theory, within(relative * theory));
  }
}
