package io.gradflow.core.norm;

import io.gradflow.core.Hash64;
import io.gradflow.core.shard.Histograms;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Sketches;
import io.gradflow.core.shard.Statistic;
import io.gradflow.core.signal.Octaves;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * What slices of layers say beyond norms, merged; position i is layer i. It is added to in place.
 *
 * <p>A value is known if every slice brought it: what one slice lacks is unknown of the layer. Rows
 * come into being with the first value, so that what nobody publishes takes no room.
 *
 * @param statistics one row per {@link Statistic}: null, or a value per layer, NaN where unknown
 * @param hashes one row: null, or per layer the sum of its slices' hashes, each mixed with its
 *     place
 * @param unhashed one row: null, or per layer how many slices came without a hash
 * @param octaves one row: null, or a histogram per layer; null where unknown
 * @param sketches one table: null, or per layer its sums; null where unknown
 */
public record SignalSums(
    double[][] statistics,
    long[][] hashes,
    long[][] unhashed,
    Octaves[][] octaves,
    double[][][] sketches) {

  private static final Statistic[] STATISTICS = Statistic.values();

  static SignalSums empty() {
    return new SignalSums(
        new double[STATISTICS.length][],
        new long[1][],
        new long[1][],
        new Octaves[1][],
        new double[1][][]);
  }

  /**
   * Adds a slice to layer i.
   *
   * @param isFirst nothing was added to the layer before
   * @param layers of these sums
   * @param columns the slice's, in position {@code at}
   * @param piece which slice of the layer it is
   * @param scale the gradient was multiplied by that
   */
  void add(
      int i, boolean isFirst, int layers, LayerColumns columns, int at, int piece, double scale) {
    SignalColumns signals = columns.signals();
    if (signals == null && isEmpty()) {
      return;
    }
    for (Statistic statistic : STATISTICS) {
      double value = signals == null ? Double.NaN : signals.value(statistic, at);
      merge(statistic, i, isFirst, layers, statistic.unscaled(value, scale));
    }
    Long hash = hash(columns, at, piece);
    mergeHash(i, isFirst, layers, hash == null ? 0 : hash, hash == null ? 1 : 0);
    mergeOctaves(i, isFirst, layers, octaves(signals, at, scale));
    mergeSketch(i, isFirst, layers, sketch(signals, columns.layer(at), scale));
  }

  /**
   * The hash of a slice in its place, as it is added; null without. Parts of a slice that come one
   * by one must still add up to the slice's: hence a product.
   */
  static Long hash(LayerColumns columns, int at, int piece) {
    SignalColumns signals = columns.signals();
    if (signals == null || signals.contentHash() == null) {
      return null;
    }
    long odd = new Hash64().add((long) piece).value() | 1;
    return signals.contentHash()[at] * odd;
  }

  /** Whether nobody has said anything yet: what is unknown then changes nothing. */
  private boolean isEmpty() {
    for (double[] row : statistics) {
      if (row != null) {
        return false;
      }
    }
    return hashes[0] == null && octaves[0] == null && sketches[0] == null;
  }

  /** Adds layer j of other sums to layer i. */
  void add(int i, boolean isFirst, int layers, SignalSums other, int j) {
    if (other.isEmpty() && isEmpty()) {
      return;
    }
    for (Statistic statistic : STATISTICS) {
      merge(statistic, i, isFirst, layers, other.value(statistic, j));
    }
    boolean hashed = other.hashes[0] != null;
    mergeHash(
        i, isFirst, layers, hashed ? other.hashes[0][j] : 0, hashed ? other.unhashed[0][j] : 1);
    mergeOctaves(i, isFirst, layers, other.octaves[0] == null ? null : other.octaves[0][j]);
    mergeSketch(i, isFirst, layers, other.sketch(j));
  }

  private void merge(Statistic statistic, int i, boolean isFirst, int layers, double value) {
    double[] row = statistics[statistic.row()];
    if (row == null) {
      if (Double.isNaN(value)) {
        return;
      }
      row = new double[layers];
      Arrays.fill(row, Double.NaN);
      statistics[statistic.row()] = row;
    }
    row[i] = isFirst ? value : statistic.merge(row[i], value);
  }

  private void mergeHash(int i, boolean isFirst, int layers, long hash, long without) {
    if (hashes[0] == null) {
      if (without > 0) {
        return;
      }
      hashes[0] = new long[layers];
      unhashed[0] = new long[layers];
      Arrays.fill(unhashed[0], 1);
    }
    hashes[0][i] = isFirst ? hash : hashes[0][i] + hash;
    unhashed[0][i] = isFirst ? without : unhashed[0][i] + without;
  }

  private void mergeOctaves(int i, boolean isFirst, int layers, Octaves more) {
    if (octaves[0] == null) {
      if (more == null) {
        return;
      }
      octaves[0] = new Octaves[layers];
    }
    Octaves mine = octaves[0][i];
    octaves[0][i] = more == null || isFirst ? more : mine == null ? null : mine.plus(more);
  }

  private static Octaves octaves(SignalColumns signals, int at, double scale) {
    Histograms histograms = signals == null ? null : signals.histograms();
    OptionalInt shift = Octaves.octavesOf(scale);
    // Bins of a gradient times something other than a power of two are not its own ones, shifted.
    if (histograms == null || !histograms.isKnown(at) || shift.isEmpty()) {
      return null;
    }
    Octaves row =
        Octaves.ofRow(
            histograms.bins(),
            histograms.counts(),
            histograms.offsets()[at],
            histograms.offsets()[at + 1]);
    return shift.getAsInt() == 0 ? row : row.shifted(-shift.getAsInt());
  }

  private void mergeSketch(int i, boolean isFirst, int layers, double[] row) {
    if (sketches[0] == null) {
      if (row == null) {
        return;
      }
      sketches[0] = new double[layers][];
    }
    double[] mine = sketches[0][i];
    if (row == null || isFirst) {
      sketches[0][i] = row == null ? null : row.clone();
    } else if (mine != null && mine.length == row.length) {
      for (int k = 0; k < row.length; k++) {
        mine[k] += row[k];
      }
    } else {
      sketches[0][i] = null;
    }
  }

  private static double[] sketch(SignalColumns signals, int layer, double scale) {
    Sketches sketches = signals == null ? null : signals.sketches();
    int at = sketches == null ? -1 : Arrays.binarySearch(sketches.layers(), layer);
    if (at < 0) {
      return null;
    }
    double[] row = new double[sketches.width()];
    for (int k = 0; k < row.length; k++) {
      row[k] = sketches.values()[at * row.length + k] / scale;
    }
    return row;
  }

  /** Forgets layer i. */
  void clear(int i) {
    if (octaves[0] != null) {
      octaves[0][i] = null;
    }
    if (sketches[0] != null) {
      sketches[0][i] = null;
    }
  }

  /** The statistic of a layer; NaN if it is unknown. */
  double value(Statistic statistic, int i) {
    double[] row = statistics[statistic.row()];
    return row == null ? Double.NaN : row[i];
  }

  /** Whether any layer has the statistic. */
  boolean has(Statistic statistic) {
    return statistics[statistic.row()] != null;
  }

  /** The hash of a layer's content; null if a slice came without. */
  Long hash(int i) {
    return hashes[0] == null || unhashed[0][i] > 0 ? null : Long.valueOf(hashes[0][i]);
  }

  /** A layer's histogram; null if unknown. */
  Octaves octaves(int i) {
    return octaves[0] == null ? null : octaves[0][i];
  }

  /** A layer's direction sketch; null if unknown. */
  double[] sketch(int i) {
    return sketches[0] == null ? null : sketches[0][i];
  }
}
