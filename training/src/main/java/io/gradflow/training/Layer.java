package io.gradflow.training;

/**
 * One parameter tensor of the network.
 *
 * @param name unique, {@code block.kind}, e.g. {@code block3.weight}
 * @param block the part of the network it belongs to, the name without its kind
 * @param depth position of its block in the forward order, 0 at the input
 * @param elements length of the tensor
 * @param zeroInit the tensor starts at zero
 */
public record Layer(
    String name, String block, int depth, Kind kind, int elements, boolean zeroInit) {

  /** What a tensor does in its block. */
  public enum Kind {
    /** Multiplied with activations. */
    WEIGHT,
    /** Added to activations. */
    BIAS
  }
}
