package io.gradflow.core.shard;

/**
 * What the trainer did to its gradient after it was measured.
 *
 * @param mode {@code norm} (global), {@code value} or another framework word
 * @param norm the declared limit; null if unknown
 * @param coef what the gradient was multiplied by, 1 when unclipped; null if unknown
 */
public record Clip(String mode, Double norm, Double coef) {}
