package io.gradflow.core.detect;

import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * In which layers of a step ranks stand out from all others: a step names the ranks that are
 * farthest from the median of each layer, and how many ranks are where.
 *
 * <p>Where a dimension of the mesh splits layers, ranks hold slices that differ by nature. A rank
 * then stands out only if fewer than half of its peers do beside it.
 */
public final class LayerOutliers {
  private static final double BINS_PER_OCTAVE = 16;
  private static final double GAIN = 0.02;

  /** A scatter below this is not resolved by bins of a sixteenth of an octave. */
  private static final double LEAST_SCATTER = 0.1;

  /**
   * What is usual in single layers. Columns are changed in place.
   *
   * @param steps in which the layer was compared
   * @param scatter of log2 RMS over ranks, octaves
   */
  public record Usual(int[] steps, float[] scatter) {
    static Usual of(int layers) {
      return new Usual(new int[layers], new float[layers]);
    }
  }

  private final int[] standing;
  private final int[] farthest;
  private final double[] y;
  private int compared;

  private LayerOutliers(int ranks) {
    standing = new int[ranks];
    farthest = new int[ranks];
    y = new double[ranks];
    Arrays.fill(farthest, -1);
  }

  /** Reads a step, and lets it teach what is usual. */
  static LayerOutliers of(
      LayerTable table,
      Step step,
      int[] ranks,
      Usual usual,
      RankDivergenceDetector.Settings settings) {
    var outliers = new LayerOutliers(ranks.length);
    RankEvidence evidence = step.evidence();
    if (evidence.outliersPerLayer() == 0 || evidence.histogramOffsets() == null) {
      return outliers;
    }
    Peers peers = table.mesh().size() == 1 ? null : Peers.of(table, ranks);
    for (int layer = 0; layer < table.size(); layer++) {
      if (evidence.localRanks()[layer] >= RankDivergenceDetector.MIN_PEERS) {
        outliers.read(step, layer, ranks, peers, usual, settings);
      }
    }
    return outliers;
  }

  /**
   * Which ranks are peers.
   *
   * @param group by row: a number that peers share
   * @param size by row: how many these are
   */
  private record Peers(int[] group, int[] size) {
    /** Null where all ranks are peers. */
    static Peers of(LayerTable table, int[] ranks) {
      int[] group = Arrays.stream(ranks).map(table::peersOf).toArray();
      Map<Integer, Integer> sizes = new HashMap<>();
      for (int each : group) {
        sizes.merge(each, 1, Integer::sum);
      }
      return sizes.size() == 1
          ? null
          : new Peers(group, Arrays.stream(group).map(sizes::get).toArray());
    }
  }

  /** The layer in which the rank is far out, and farthest; -1 if in none. */
  int farthest(int row) {
    return farthest[row];
  }

  /** By how many octaves. */
  double y(int row) {
    return y[row];
  }

  /** Whether the rank stands out in a quarter of its layers at most. */
  boolean areFew(int row) {
    return standing[row] <= Math.max(1, compared / 4);
  }

  private void read(
      Step step,
      int layer,
      int[] ranks,
      Peers peers,
      Usual usual,
      RankDivergenceDetector.Settings settings) {
    RankEvidence evidence = step.evidence();
    int from = layer * evidence.outliersPerLayer();
    int to = from + evidence.outliersPerLayer();
    double median = median(evidence, layer);
    if (!Double.isFinite(median)) {
      return;
    }
    compared++;
    double scatter = scatter(evidence, layer, median);
    int steps = ++usual.steps()[layer];
    double gain = Math.max(GAIN, 1.0 / steps);
    usual.scatter()[layer] += (float) (gain * (scatter - usual.scatter()[layer]));
    double s = Math.max(LEAST_SCATTER, usual.scatter()[layer]);
    for (int i = from; i < to && evidence.outlierRanks()[i] >= 0; i++) {
      double above = evidence.outlierLog2Rms()[i] - median;
      int rank = evidence.outlierRanks()[i];
      int row = Arrays.binarySearch(ranks, rank);
      boolean stands = above > settings.rise() / 2 && above > settings.z() / 2 * s;
      if (!stands
          || row < 0
          || Arrays.binarySearch(step.missingRanks(), rank) >= 0
          || (peers != null && isShared(evidence, ranks, peers, from, to, row, median, above))) {
        continue;
      }
      standing[row]++;
      if (above > settings.rise() && above > settings.z() * s && above > y[row]) {
        y[row] = above;
        farthest[row] = layer;
      }
    }
  }

  /** Whether half of the rank's peers, or of all that a step names, stand out with it. */
  private static boolean isShared(
      RankEvidence evidence,
      int[] ranks,
      Peers peers,
      int from,
      int to,
      int row,
      double median,
      double above) {
    int beside = 0;
    for (int i = from; i < to && evidence.outlierRanks()[i] >= 0; i++) {
      int other = Arrays.binarySearch(ranks, evidence.outlierRanks()[i]);
      if (other >= 0
          && peers.group()[other] == peers.group()[row]
          && evidence.outlierLog2Rms()[i] - median > above / 2) {
        beside++;
      }
    }
    return 2 * beside >= Math.min(peers.size()[row], to - from);
  }

  /** Exact if the step names all ranks, else to a sixteenth of an octave. */
  private static double median(RankEvidence evidence, int layer) {
    return isNamed(evidence, layer)
        ? Robust.median(named(evidence, layer))
        : middle(evidence, layer, 0, false);
  }

  private static double scatter(RankEvidence evidence, int layer, double median) {
    int ranks = evidence.localRanks()[layer];
    if (isNamed(evidence, layer)) {
      double[] apart =
          Arrays.stream(named(evidence, layer)).map(value -> Math.abs(value - median)).toArray();
      return Robust.corrected(Math.min(Robust.median(apart), 100), ranks);
    }
    return Robust.corrected(Math.min(middle(evidence, layer, median, true), 100), ranks);
  }

  private static boolean isNamed(RankEvidence evidence, int layer) {
    return evidence.localRanks()[layer] <= evidence.outliersPerLayer();
  }

  private static double[] named(RankEvidence evidence, int layer) {
    int from = layer * evidence.outliersPerLayer();
    double[] values = new double[evidence.localRanks()[layer]];
    for (int i = 0; i < values.length; i++) {
      values[i] = evidence.outlierLog2Rms()[from + i];
    }
    return values;
  }

  /** The median of the histogram's bins, or of their distances from a centre. */
  private static double middle(RankEvidence evidence, int layer, double centre, boolean distances) {
    int from = evidence.histogramOffsets()[layer];
    int to = evidence.histogramOffsets()[layer + 1];
    double[] values = new double[to - from];
    Integer[] order = new Integer[to - from];
    long all = 0;
    for (int i = from; i < to; i++) {
      int bin = evidence.histogramBins()[i];
      double value =
          bin == Integer.MIN_VALUE ? Double.NEGATIVE_INFINITY : (bin + 0.5) / BINS_PER_OCTAVE;
      values[i - from] = distances ? Math.abs(value - centre) : value;
      order[i - from] = i - from;
      all += evidence.histogramCounts()[i];
    }
    Arrays.sort(order, (a, b) -> Double.compare(values[a], values[b]));
    long seen = 0;
    for (int at : order) {
      seen += evidence.histogramCounts()[from + at];
      if (2 * seen >= all) {
        return values[at];
      }
    }
    return Double.NaN;
  }
}
