package io.gradflow.core.norm;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Shard;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/**
 * The reduced gradient of a step as far as it has come: sums per layer and replica. Slices of one
 * replica add up; replicas are never added to each other. Once a replica of a layer has all its
 * elements it is compared with the other complete ones, and only the lowest of them is kept.
 *
 * @param replica per layer: index of the complete replica in {@code whole}, -1 while there is none
 * @param copies per layer: complete replicas seen
 * @param smallest, largest per layer: squared norm of the smallest and largest complete replica
 * @param whole sums of the lowest complete replica of each layer
 * @param partial the incomplete replicas, ascending
 * @param digests three rows, null until a replica with a hash is complete: per layer how many
 *     complete replicas had one, the hash of one of them, and 1 if another's differs. Null in sums
 *     made by release 0.1
 */
public record ReducedSums(
    int[] replica,
    int[] copies,
    double[] smallest,
    double[] largest,
    LayerSums whole,
    List<ReplicaSums> partial,
    long[][] digests) {

  /** Sums of nothing. */
  public static ReducedSums empty(int layers) {
    int[] none = new int[layers];
    Arrays.fill(none, -1);
    return new ReducedSums(
        none,
        new int[layers],
        new double[layers],
        new double[layers],
        LayerSums.empty(layers),
        new ArrayList<>(),
        new long[3][]);
  }

  /** Adds a shard of the reduced gradient, unscaled. */
  void add(Layout layout, Shard shard) {
    Layout.Slices slices = layout.slices(shard.stage(), shard.coords());
    double scale = shard.scale();
    LayerColumns columns = shard.columns();
    NonFinite bad = columns.nonFinite();
    LayerSums single = LayerSums.empty(1);
    ReplicaSums row = null;
    int nextBad = 0;
    for (int i = 0; i < columns.size(); i++) {
      int layer = columns.layer(i);
      int of = slices.replica(layer);
      if (of < 0) {
        continue;
      }
      long count = columns.elements() == null ? slices.elements(layer) : columns.elements()[i];
      long expected = layout.elements()[layer];
      if (count == 0 && expected > 0) {
        continue;
      }
      int piece = slices.piece(layer);
      // A slice that is the whole layer needs no row of its replica to wait in.
      boolean wholeLayer = count >= expected;
      if (wholeLayer && replica[layer] >= 0 && replica[layer] <= of) {
        Long hash = SignalSums.hash(columns, i, piece);
        compare(layer, hash, columns.square(i) / scale / scale);
        continue;
      }
      if (wholeLayer) {
        single.clear(0);
      } else if (row == null || row.replica() != of) {
        row = row(of);
      }
      LayerSums sums = wholeLayer ? single : row.sums();
      int at = wholeLayer ? 0 : layer;
      sums.addSignals(at, columns, i, piece, scale);
      sums.add(
          at,
          count,
          columns.square(i) / scale / scale,
          columns.sumAbs(i) / scale,
          columns.maxAbs()[i] / scale,
          columns.zeros() == null ? -1 : columns.zeros()[i]);
      if (bad != null) {
        while (nextBad < bad.layers().length && bad.layers()[nextBad] < layer) {
          nextBad++;
        }
        if (nextBad < bad.layers().length && bad.layers()[nextBad] == layer) {
          sums.addNonFinite(0, at, bad.nans()[nextBad]);
          sums.addNonFinite(1, at, bad.posInfs()[nextBad]);
          sums.addNonFinite(2, at, bad.negInfs()[nextBad]);
        }
      }
      if (sums.elements()[at] >= expected) {
        complete(layer, of, sums, at);
        sums.clear(at);
      }
    }
    if (shard.part() == shard.parts() - 1) {
      partial.removeIf(waiting -> waiting.sums().isEmpty());
    }
  }

  /** Adds sums of other shards of the same step. */
  void add(Layout layout, ReducedSums other) {
    for (int layer = 0; layer < replica.length; layer++) {
      if (other.replica[layer] >= 0) {
        if (other.digests != null && other.digests[0] != null && other.digests[0][layer] > 0) {
          digest(layer, other.digests[0][layer], other.digests[1][layer], other.digests[2][layer]);
        }
        merge(
            layer,
            other.replica[layer],
            other.whole,
            layer,
            other.copies[layer],
            other.smallest[layer],
            other.largest[layer]);
      }
    }
    for (ReplicaSums row : other.partial) {
      for (int layer = 0; layer < replica.length; layer++) {
        if (row.sums().elements()[layer] > 0) {
          add(layout, layer, row.replica(), row.sums(), layer);
        }
      }
    }
    partial.removeIf(row -> row.sums().isEmpty());
  }

  private void add(Layout layout, int layer, int of, LayerSums from, int position) {
    long expected = layout.elements()[layer];
    if (from.elements()[position] == 0 && expected > 0) {
      return;
    }
    if (from.elements()[position] >= expected) {
      complete(layer, of, from, position);
      return;
    }
    LayerSums row = row(of).sums();
    row.add(layer, from, position);
    if (row.elements()[layer] >= expected) {
      complete(layer, of, row, layer);
      row.clear(layer);
    }
  }

  /** One more complete replica, of which the sums of another are kept. */
  private void compare(int layer, Long hash, double square) {
    if (hash != null) {
      digest(layer, 1, hash, 0);
    }
    spread(layer, 1, square, square);
  }

  private void spread(int layer, int count, double low, double high) {
    smallest[layer] = copies[layer] == 0 ? low : Math.min(smallest[layer], low);
    largest[layer] = copies[layer] == 0 ? high : Math.max(largest[layer], high);
    copies[layer] += count;
  }

  private void complete(int layer, int of, LayerSums from, int position) {
    Long hash = from.signals() == null ? null : from.signals().hash(position);
    if (hash != null) {
      digest(layer, 1, hash, 0);
    }
    double square = from.square(position);
    merge(layer, of, from, position, 1, square, square);
  }

  private void digest(int layer, long count, long hash, long differs) {
    if (digests == null) {
      return;
    }
    if (digests[0] == null) {
      for (int row = 0; row < digests.length; row++) {
        digests[row] = new long[replica.length];
      }
    }
    boolean other = digests[0][layer] > 0 && digests[1][layer] != hash;
    digests[0][layer] += count;
    // The same one whatever the order.
    digests[1][layer] = other ? Math.min(digests[1][layer], hash) : hash;
    digests[2][layer] |= differs | (other ? 1 : 0);
  }

  private void merge(
      int layer, int of, LayerSums from, int position, int count, double low, double high) {
    spread(layer, count, low, high);
    if (replica[layer] < 0 || of < replica[layer]) {
      replica[layer] = of;
      whole.clear(layer);
      whole.add(layer, from, position);
    }
  }

  private ReplicaSums row(int of) {
    for (ReplicaSums row : partial) {
      if (row.replica() == of) {
        return row;
      }
    }
    ReplicaSums row = new ReplicaSums(of, LayerSums.empty(replica.length));
    partial.add(row);
    partial.sort(Comparator.comparingInt(ReplicaSums::replica));
    return row;
  }

  /**
   * The sums that stand for the layer: a complete replica, else the incomplete one with most
   * elements (the lowest of equals), else null.
   */
  LayerSums best(int layer) {
    if (replica[layer] >= 0) {
      return whole;
    }
    LayerSums best = null;
    for (ReplicaSums row : partial) {
      long received = row.sums().elements()[layer];
      if (received > 0 && (best == null || received > best.elements()[layer])) {
        best = row.sums();
      }
    }
    return best;
  }

  /** Layers of which complete replicas have different content, by their hashes; null: none. */
  int[] mismatched() {
    if (digests == null || digests[0] == null) {
      return null;
    }
    int[] layers =
        IntStream.range(0, replica.length).filter(layer -> digests[2][layer] != 0).toArray();
    return layers.length == 0 ? null : layers;
  }

  /** Largest over smallest norm of the complete replicas less 1; null when no layer has two. */
  float[] spread() {
    float[] spread = null;
    for (int layer = 0; layer < replica.length; layer++) {
      if (copies[layer] < 2) {
        continue;
      }
      if (spread == null) {
        spread = new float[replica.length];
        Arrays.fill(spread, Float.NaN);
      }
      spread[layer] =
          largest[layer] == smallest[layer]
              ? 0f
              : (float) (Math.sqrt(largest[layer] / smallest[layer]) - 1);
    }
    return spread;
  }
}
