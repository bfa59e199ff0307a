package io.gradflow.core.shard;

/**
 * How the trainer clips its gradient.
 *
 * @param mode {@code norm} (global), {@code value} or another framework word
 * @param norm the declared limit; null if unknown
 * @param coef what the gradient was multiplied by, 1 when unclipped; null if unknown
 * @param applied the published gradient is the clipped one; else it is clipped after this
 */
public record Clip(String mode, Double norm, Double coef, boolean applied) {
  /** Clipping of all layers together, by one coefficient. */
  public static final String GLOBAL_NORM = "norm";

  /** Clipping that comes after what is published. */
  public Clip(String mode, Double norm, Double coef) {
    this(mode, norm, coef, false);
  }

  /** Whether the gradient from before clipping can be had back from the published one. */
  public boolean isInvertible() {
    return GLOBAL_NORM.equals(mode) && coef != null && coef > 0 && coef <= 1;
  }

  /** Whether the published gradient is clipped beyond recovery: explosions cannot be seen in it. */
  public boolean hides() {
    return applied && !isInvertible();
  }
}
