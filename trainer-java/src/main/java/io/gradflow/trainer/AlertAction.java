package io.gradflow.trainer;

import java.util.Locale;

/** What a training can do about an incident. */
public enum AlertAction {
  /** Ends the training, or holds it until somebody has looked. */
  STOP,
  /** Leaves out the optimiser's next step. */
  SKIP_STEP,
  /** Goes on with a lower learning rate. */
  LOWER_RATE,
  /** Saves a checkpoint now. */
  SAVE_CHECKPOINT;

  /** E.g. {@code skip step}. */
  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT).replace('_', ' ');
  }
}
