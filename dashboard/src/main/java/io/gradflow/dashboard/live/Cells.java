package io.gradflow.dashboard.live;

import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.Refusal;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.NonFinite;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/**
 * The norm of one layer at one step in 16 bits: {@code round(128 log2(l2 / sqrt(completeness)))},
 * or a word for a layer without one. A step of a norm is 0.54 %, of 2^-250 to 2^250.
 */
public final class Cells {
  /** Nothing was received of the layer. */
  public static final short NOT_RECEIVED = -32768;

  /** The norm is exactly zero. */
  public static final short ZERO = -32767;

  /** No norm follows from the placement. */
  public static final short NO_NORM = -32766;

  /** A NaN in the gradient, with or without Inf. */
  public static final short NAN = 32767;

  /** An Inf in the gradient, no NaN. */
  public static final short INFINITE = 32766;

  private static final int LARGEST = 32_000;
  private static final double PER_OCTAVE = 128;
  private static final double LOG_2 = Math.log(2);

  private Cells() {}

  /** The cells of the layers of a step, or of a part of one, in index order. */
  public static short[] of(Step step) {
    NormColumns norms = step.norms();
    short[] cells = new short[norms.size()];
    double[] completeness = new double[cells.length];
    Arrays.fill(completeness, 1);
    int first = step.firstLayer();
    if (step.incompleteLayers() != null) {
      for (int i = 0; i < step.incompleteLayers().length; i++) {
        int at = step.incompleteLayers()[i] - first;
        if (at >= 0 && at < cells.length) {
          completeness[at] = step.incompleteCompleteness()[i];
        }
      }
    }
    for (int i = 0; i < cells.length; i++) {
      cells[i] = code(norms.l2()[i], completeness[i]);
    }
    if (norms.refusals() != null) {
      for (int i = 0; i < norms.refusals().layers().length; i++) {
        int at = norms.refusals().layers()[i] - first;
        if (at >= 0 && at < cells.length && norms.refusals().reasons().get(i) == Refusal.PARTIAL) {
          cells[at] = NO_NORM;
        }
      }
    }
    NonFinite bad = norms.nonFinite();
    if (bad != null) {
      for (int i = 0; i < bad.layers().length; i++) {
        int at = bad.layers()[i] - first;
        if (at >= 0 && at < cells.length) {
          cells[at] = bad.nans()[i] > 0 ? NAN : INFINITE;
        }
      }
    }
    return cells;
  }

  /**
   * The cell of a norm.
   *
   * @param l2 NaN where nothing was received
   * @param completeness 0 to 1
   */
  static short code(double l2, double completeness) {
    if (Double.isNaN(l2)) {
      return NOT_RECEIVED;
    }
    if (l2 == 0) {
      return ZERO;
    }
    double octaves = Math.log(l2) / LOG_2;
    if (completeness > 0 && completeness < 1) {
      octaves -= Math.log(completeness) / LOG_2 / 2;
    }
    return (short) Math.max(-LARGEST, Math.min(LARGEST, Math.round(PER_OCTAVE * octaves)));
  }

  /** Little-endian, as they are sent. */
  public static byte[] bytes(short[] cells) {
    ByteBuffer bytes = ByteBuffer.allocate(Short.BYTES * cells.length);
    bytes.order(ByteOrder.LITTLE_ENDIAN).asShortBuffer().put(cells);
    return bytes.array();
  }
}
