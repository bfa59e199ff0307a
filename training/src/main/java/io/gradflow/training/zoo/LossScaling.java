package io.gradflow.training.zoo;

/**
 * A backward pass in half precision with a scaled loss.
 *
 * @param initial factor of the loss, a power of two
 * @param interval after so many steps without overflow the factor doubles; a step that overflows is
 *     skipped and halves it. 0: the factor stays, and no step is skipped
 */
public record LossScaling(float initial, int interval) {}
