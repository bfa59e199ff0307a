package io.gradflow.core.detect;

/**
 * How long the evidence for a piece of advice has stood. It counts the steps over the threshold
 * since it was last under half of it, or about another subject.
 *
 * @param steps counted
 * @param onset the first of them, -1 if none
 * @param hold quiet steps until the advice is over
 * @param subject what it is about, by a number of the advisor's own
 */
public record Sustained(int steps, long onset, int hold, int subject) {
  static final Sustained NONE = new Sustained(0, -1, 0, 0);

  /**
   * After one more step.
   *
   * @param needed steps after which the advice is given
   */
  Sustained next(
      boolean over, boolean overHalf, int newSubject, int needed, Reading reading, Verdicts out) {
    boolean goesOn = steps > 0 && subject == newSubject && (over || overHalf);
    int count = (goesOn ? steps : 0) + (over ? 1 : 0);
    long first = goesOn ? onset : over ? reading.stepNumber() : -1;
    int newHold = out.hold(hold, over && count >= needed, overHalf);
    return new Sustained(count, first, newHold, newSubject);
  }

  /** After steps that do not count as evidence. */
  Sustained interrupted() {
    return new Sustained(0, -1, hold, subject);
  }
}
