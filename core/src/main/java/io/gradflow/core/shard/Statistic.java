package io.gradflow.core.shard;

/**
 * A statistic that slices of a layer merge to one number, beside those every shard has. The row of
 * each is part of the state of running jobs: constants are added, none changes its row.
 */
public enum Statistic {
  /** Sum of the elements. */
  SUM(0, Merge.ADD, 1),
  /** Count of subnormal elements of the declared dtype; of values as the trainer holds them. */
  SUBNORMALS(1, Merge.ADD, 0),
  /** Smallest magnitude above zero; 0 where every element is zero. */
  MIN_NONZERO_ABS(2, Merge.MIN_NONZERO, 1),
  /** Sum of squared weights. */
  WEIGHT_SQUARES(3, Merge.ADD, 0),
  /** Sum of squared elements of the last update. */
  UPDATE_SQUARES(4, Merge.ADD, 0),
  /** Dot product with the gradient of the step published before. */
  DOT_PREVIOUS(5, Merge.ADD, 2),
  /** Activations the layer had in the step. */
  ACTIVATIONS(6, Merge.ADD, 0),
  /** Those of them that were saturated: zero after a ReLU, near the limits of a sigmoid. */
  SATURATED(7, Merge.ADD, 0);

  private enum Merge {
    ADD,
    MIN_NONZERO
  }

  private final int row;
  private final Merge merge;
  private final int scalePower;

  Statistic(int row, Merge merge, int scalePower) {
    this.row = row;
    this.merge = merge;
    this.scalePower = scalePower;
  }

  /** Its place among all, from 0. */
  public int row() {
    return row;
  }

  /** The statistic of both slices together; NaN if it is not known of one. */
  public double merge(double a, double b) {
    if (merge == Merge.ADD || Double.isNaN(a) || Double.isNaN(b)) {
      return a + b;
    }
    return a == 0 ? b : b == 0 ? a : Math.min(a, b);
  }

  /** The statistic of the gradient itself, given that of the gradient times {@code scale}. */
  public double unscaled(double value, double scale) {
    double once = scalePower > 0 ? value / scale : value;
    return scalePower > 1 ? once / scale : once;
  }
}
