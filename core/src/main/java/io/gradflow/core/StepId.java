package io.gradflow.core;

/**
 * Which step of which training a record speaks of.
 *
 * @param runId chosen by the user; treat as hostile text
 * @param attempt start of this attempt in ms since the epoch, decided once per attempt; a higher
 *     one fences lower ones
 * @param stream one per optimiser or model, {@code main} unless said otherwise
 * @param step optimiser attempts of the stream, skipped ones counted, from 0
 */
public record StepId(String runId, long attempt, String stream, long step) {
  /** The stream of a training with a single optimiser. */
  public static final String MAIN_STREAM = "main";

  /** The same training at another step. */
  public StepId at(long otherStep) {
    return new StepId(runId, attempt, stream, otherStep);
  }

  @Override
  public String toString() {
    return "run " + runId + " attempt " + attempt + " stream " + stream + " step " + step;
  }
}
