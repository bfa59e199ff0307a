package io.gradflow.core.detect;

import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * The ranks of one step, each against its peers. Columns are aligned with the ranks that detectors
 * remember; NaN is unknown, of ranks that did not report everything too.
 *
 * @param groups rows of peers that can be compared: three at least, whose median is not zero
 * @param pairs rows of two that have no other peers and both reported
 * @param x log2 of the LOCAL norm
 * @param y octaves above the median of the peers, of a pair above the other, beyond what unequal
 *     weights explain; minus infinity for a gradient of exactly zero
 * @param noise how much noisier the rank is than most, by its weight
 * @param coherence with the mean of the others
 * @param behind what that is below the median's, beyond what unequal weights explain
 * @param scatter of y over peers, mean over the groups
 * @param coherenceScatter likewise; NaN without
 */
record PeerNorms(
    Collection<int[]> groups,
    List<int[]> pairs,
    double[] x,
    double[] y,
    double[] noise,
    double[] coherence,
    double[] behind,
    double scatter,
    double coherenceScatter) {

  static PeerNorms of(LayerTable table, Step step, int[] ranks) {
    var read = new Read(table, step, ranks);
    return read.compare();
  }

  boolean anyCompared() {
    return !groups.isEmpty();
  }

  /** What the evidence says, by row. */
  private static final class Read {
    private final LayerTable table;
    private final int[] ranks;
    private final Map<Integer, List<Integer>> members = new TreeMap<>();
    private final double[] x;
    private final double[] weight;
    private final double[] coherence;

    Read(LayerTable table, Step step, int[] ranks) {
      this.table = table;
      this.ranks = ranks;
      x = unknown(ranks.length);
      weight = unknown(ranks.length);
      coherence = unknown(ranks.length);
      RankEvidence evidence = step.evidence();
      RankComparison comparison = evidence == null ? null : evidence.comparison();
      for (int i = 0; evidence != null && i < evidence.ranks().length; i++) {
        int rank = evidence.ranks()[i];
        if (Arrays.binarySearch(step.missingRanks(), rank) >= 0
            || !Double.isFinite(evidence.localNorm()[i])) {
          continue;
        }
        int row = Arrays.binarySearch(ranks, rank);
        x[row] = RankDivergenceDetector.octaves(evidence.localNorm()[i]);
        weight[row] = comparison == null ? Double.NaN : value(comparison.weight(), i);
        coherence[row] = comparison == null ? Double.NaN : cosine(comparison, i);
        members.computeIfAbsent(table.peersOf(rank), key -> new ArrayList<>()).add(row);
      }
    }

    private static double[] unknown(int size) {
      double[] column = new double[size];
      Arrays.fill(column, Double.NaN);
      return column;
    }

    private static double value(double[] column, int i) {
      return column == null ? Double.NaN : column[i];
    }

    private static double cosine(RankComparison comparison, int i) {
      float[] exact = comparison.coherence();
      float[] estimated = comparison.sketchCoherence();
      return exact != null ? exact[i] : estimated != null ? estimated[i] : Double.NaN;
    }

    PeerNorms compare() {
      double[] y = unknown(x.length);
      double[] noise = new double[x.length];
      double[] behind = unknown(x.length);
      Map<Integer, int[]> groups = new TreeMap<>();
      List<int[]> pairs = new ArrayList<>();
      double scatters = 0;
      double coherenceScatters = 0;
      int directed = 0;
      for (var group : members.entrySet()) {
        int[] rows = group.getValue().stream().mapToInt(Integer::intValue).toArray();
        if (rows.length == 2 && sizeOf(group.getKey()) == 2) {
          y[rows[0]] = distance(rows[0], rows[1]);
          y[rows[1]] = distance(rows[1], rows[0]);
          pairs.add(rows);
          continue;
        }
        double median = Robust.median(at(x, rows));
        if (rows.length < RankDivergenceDetector.MIN_PEERS || !Double.isFinite(median)) {
          continue;
        }
        groups.put(group.getKey(), rows);
        double medianWeight = Robust.median(known(weight, rows));
        double medianCoherence = Robust.median(known(coherence, rows));
        for (int row : rows) {
          // NaN where either is unknown.
          double share = weight[row] / medianWeight;
          double octaves = share > 0 ? RankDivergenceDetector.octaves(share) : 0;
          y[row] = unexplained(x[row] - median, octaves);
          noise[row] = Math.max(1, Math.pow(2, -octaves / 2));
          behind[row] = expected(medianCoherence, noise[row]) - coherence[row];
        }
        double[] finite = Arrays.stream(at(y, rows)).filter(Double::isFinite).toArray();
        scatters += finite.length < 2 ? 0 : Robust.scatter(finite);
        double[] cosines = known(coherence, rows);
        if (cosines.length >= RankDivergenceDetector.MIN_PEERS) {
          coherenceScatters += Robust.scatter(cosines);
          directed++;
        }
      }
      return new PeerNorms(
          groups.values(),
          pairs,
          x,
          y,
          noise,
          coherence,
          behind,
          groups.isEmpty() ? 0 : scatters / groups.size(),
          directed == 0 ? Double.NaN : coherenceScatters / directed);
    }

    /** How many ranks that ever reported are of the group. */
    private long sizeOf(int group) {
      return Arrays.stream(ranks).filter(rank -> table.peersOf(rank) == group).limit(3).count();
    }

    private double distance(int row, int other) {
      double share = weight[row] / weight[other];
      return unexplained(x[row] - x[other], share > 0 ? RankDivergenceDetector.octaves(share) : 0);
    }

    /**
     * What is left of a distance. A rank of b times the samples has a norm of b^-1/2 (all noise) to
     * 1 (none) times that of the others if it divides by its own samples, of b^1/2 to b if by those
     * of all.
     */
    private static double unexplained(double distance, double octaves) {
      double low = Math.min(octaves, -octaves / 2);
      double high = Math.max(octaves, -octaves / 2);
      return distance > high
          ? distance - high
          : distance < low ? distance - low : Double.isNaN(distance) ? Double.NaN : 0;
    }

    /** The least coherence that a noisier rank has by nature. */
    private static double expected(double median, double noise) {
      return median > 0 ? median / noise : median;
    }

    private static double[] at(double[] column, int[] rows) {
      return IntStream.of(rows).mapToDouble(row -> column[row]).toArray();
    }

    private static double[] known(double[] column, int[] rows) {
      return Arrays.stream(at(column, rows)).filter(value -> !Double.isNaN(value)).toArray();
    }
  }
}
