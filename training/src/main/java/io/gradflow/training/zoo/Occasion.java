package io.gradflow.training.zoo;

/**
 * Something that belongs to a healthy training and happens once.
 *
 * @param step it happens before this step is computed
 * @param amount a factor, or of a restart how many steps it goes back
 * @param declared the trainer says so
 */
public record Occasion(Kind kind, long step, double amount, boolean declared) {

  /** What happens. */
  public enum Kind {
    /** Every rank's samples are multiplied by the amount from then on. */
    BATCH,
    /** The learning rate is multiplied by the amount from then on. */
    RATE,
    /** The training is evaluated, which takes a while. */
    EVALUATION,
    /** The training stands still for a while. */
    PAUSE,
    /** A checkpoint is written. */
    CHECKPOINT,
    /** The training ends, and goes on from a checkpoint before as another attempt. */
    RESTART,
    /** Most tokens of this step's samples are one that is otherwise rare. */
    RARE_TOKENS
  }
}
