package io.gradflow.training.zoo;

import io.gradflow.core.shard.LayerKind;

/**
 * One parameter tensor of a workload.
 *
 * @param name unique, {@code block.part}, e.g. {@code block3.weight}
 * @param block the part of the network it belongs to
 * @param depth position of its block in the forward order, 0 at the input
 * @param rows, columns its shape; a vector has one row
 * @param sparse most of its gradient is zero by nature
 * @param zeroInit it, or what it is multiplied with, starts at zero, and so does its gradient
 * @param trainable false of a layer that is frozen from the start
 * @param stream index of the optimiser that updates it, see {@link Workload#streams}
 */
public record Parameter(
    String name,
    String block,
    int depth,
    LayerKind kind,
    int rows,
    int columns,
    boolean sparse,
    boolean zeroInit,
    boolean trainable,
    int stream) {

  /** Length of the tensor. */
  public int elements() {
    return rows * columns;
  }
}
