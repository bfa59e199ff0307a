package io.gradflow.core.detect;

/**
 * How many published steps in a row a condition has held.
 *
 * @param run the steps
 * @param onset the first of them, -1 before the first
 * @param hold quiet steps until the episode is over
 */
public record InARow(int run, long onset, int hold) {
  static final InARow NONE = new InARow(0, -1, 0);

  /**
   * After one more step.
   *
   * @param needed steps in a row after which it is a finding
   */
  InARow next(boolean over, boolean overHalf, int needed, Reading reading, Verdicts out) {
    int steps = over ? run + 1 : 0;
    return new InARow(
        steps,
        steps == 1 ? reading.stepNumber() : onset,
        out.hold(hold, steps >= needed, overHalf));
  }

  /** After steps that do not count. */
  InARow interrupted() {
    return new InARow(0, -1, hold);
  }
}
