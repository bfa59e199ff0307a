package io.gradflow.core.norm;

import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import java.util.Arrays;
import java.util.List;
import java.util.TreeMap;

/**
 * What ranks' LOCAL gradients say when they are held against each other, per layer. It never
 * becomes a norm. Merging two of disjoint ranks gives exactly what all the ranks at once would
 * have, in any order.
 *
 * @param squares, squaresLow compensated sum over ranks of squared local norms
 * @param ranks how many ranks that sum has
 * @param firstNonFinite lowest rank with a non-finite element, -1 if none
 * @param extremeRanks layers x {@link #EXTREMES}, by log2 RMS ascending: all the ranks, or the
 *     lowest and the highest ones, among which the farthest from any centre are; -1 where there are
 *     fewer
 * @param extremeLog2Rms aligned with {@code extremeRanks}
 * @param histogramOffsets layers + 1
 * @param histogramBins {@code floor(16 log2 RMS)}, ascending in a row; {@link Integer#MIN_VALUE}
 *     for an RMS of 0
 * @param histogramCounts ranks in the bin
 * @param elements elements of the ranks in {@code squares}; null in sums made by release 0.1
 * @param alignment with the reduced gradient; null where no rank says
 */
public record LocalSums(
    double[] squares,
    double[] squaresLow,
    int[] ranks,
    int[] firstNonFinite,
    int[] extremeRanks,
    float[] extremeLog2Rms,
    int[] histogramOffsets,
    int[] histogramBins,
    int[] histogramCounts,
    long[] elements,
    Alignment alignment) {

  /** Ranks named per layer in a step's evidence. */
  public static final int OUTLIERS = 8;

  /** Ranks kept per layer: so many at either end that the outliers of any centre are among them. */
  static final int EXTREMES = 2 * OUTLIERS;

  private static final double BINS_PER_OCTAVE = 16;
  private static final double LOG2 = Math.log(2);

  /**
   * The local evidence of shards, which are ordered by rank; null if none is of that stage.
   *
   * <p>A rank is compared in the layers that it has whole: a layer of which raw slices are missing
   * says only whether it is finite.
   */
  static LocalSums of(Layout layout, List<Shard> shards) {
    if (shards.isEmpty()) {
      return null;
    }
    int layers = layout.layerCount();
    int rows = (int) shards.stream().mapToInt(Shard::rank).distinct().count();
    float[][] log2Rms = new float[rows][layers];
    int[] rankOf = new int[rows];
    double[] squares = new double[layers];
    double[] low = new double[layers];
    int[] ranks = new int[layers];
    long[] elementsOfAll = new long[layers];
    int[] firstNonFinite = new int[layers];
    Arrays.fill(firstNonFinite, -1);
    double[] rankDots = new double[layers];
    Alignment alignment = null;
    double[] rankSquares = new double[layers];
    long[] rankElements = new long[layers];
    int row = 0;
    for (int from = 0, to; from < shards.size(); from = to, row++) {
      int rank = shards.get(from).rank();
      rankOf[row] = rank;
      Arrays.fill(rankSquares, 0);
      Arrays.fill(rankElements, 0);
      Arrays.fill(rankDots, 0);
      for (to = from; to < shards.size() && shards.get(to).rank() == rank; to++) {
        Shard shard = shards.get(to);
        collect(layout, shard, rankSquares, rankElements, rankDots);
        if (shard.columns().nonFinite() != null) {
          for (int layer : shard.columns().nonFinite().layers()) {
            firstNonFinite[layer] = lowest(firstNonFinite[layer], rank);
          }
        }
      }
      // What a rank has of a layer may be cut into several raw slices. Of some of them follows no
      // norm of the rank to compare: those that come later will not know of these.
      Shard last = shards.get(to - 1);
      boolean whole = last.columns().raw() == null || to - from == last.parts();
      Layout.Slices slices = layout.slices(last.stage(), last.coords());
      for (int layer = 0; layer < layers; layer++) {
        long elements = rankElements[layer];
        if (elements == 0 || (!whole && elements < slices.elements(layer))) {
          log2Rms[row][layer] = Float.NaN;
          continue;
        }
        LayerSums.add(squares, low, layer, rankSquares[layer]);
        ranks[layer]++;
        elementsOfAll[layer] += elements;
        if (!Double.isNaN(rankDots[layer])) {
          alignment = alignment == null ? Alignment.empty(layers) : alignment;
          alignment.add(layer, rank, rankDots[layer], rankSquares[layer]);
        }
        log2Rms[row][layer] =
            (float) (Math.log(rankSquares[layer] / (double) elements) / (2 * LOG2));
      }
    }
    LayerRows out = new LayerRows(layers);
    float[] values = new float[rows];
    int[] order = new int[rows];
    for (int layer = 0; layer < layers; layer++) {
      int count = 0;
      for (int r = 0; r < rows; r++) {
        float value = log2Rms[r][layer];
        if (Float.isNaN(value)) {
          continue;
        }
        int at = count++;
        for (; at > 0 && values[at - 1] > value; at--) {
          values[at] = values[at - 1];
          order[at] = order[at - 1];
        }
        values[at] = value;
        order[at] = rankOf[r];
      }
      for (int i = 0; i < count; i++) {
        out.count((int) Math.floor(BINS_PER_OCTAVE * values[i]), 1);
      }
      out.endLayer(layer, order, values, count);
    }
    return out.with(squares, low, ranks, firstNonFinite, elementsOfAll, alignment);
  }

  private static void collect(
      Layout layout, Shard shard, double[] squares, long[] elements, double[] dots) {
    Layout.Slices slices = layout.slices(shard.stage(), shard.coords());
    double scale = shard.scale();
    LayerColumns columns = shard.columns();
    for (int i = 0; i < columns.size(); i++) {
      int layer = columns.layer(i);
      squares[layer] += columns.square(i) / scale / scale;
      elements[layer] +=
          columns.elements() == null ? slices.elements(layer) : columns.elements()[i];
      SignalColumns signals = columns.signals();
      dots[layer] += signals == null ? Double.NaN : signals.dotReduced(i) / scale / scale;
    }
  }

  private static int lowest(int rank, int other) {
    return rank < 0 ? other : other < 0 ? rank : Math.min(rank, other);
  }

  /** The evidence of both, which are of different ranks; either may be null. */
  static LocalSums merged(LocalSums a, LocalSums b) {
    if (a == null || b == null) {
      return a == null ? b : a;
    }
    int layers = a.squares.length;
    double[] squares = a.squares.clone();
    double[] low = a.squaresLow.clone();
    int[] ranks = a.ranks.clone();
    int[] firstNonFinite = a.firstNonFinite.clone();
    LayerRows out = new LayerRows(layers);
    int[] order = new int[2 * EXTREMES];
    float[] values = new float[2 * EXTREMES];
    for (int layer = 0; layer < layers; layer++) {
      LayerSums.add(squares, low, layer, b.squares[layer]);
      low[layer] += b.squaresLow[layer];
      ranks[layer] += b.ranks[layer];
      firstNonFinite[layer] = lowest(firstNonFinite[layer], b.firstNonFinite[layer]);
      TreeMap<Integer, Integer> bins = new TreeMap<>();
      a.collect(layer, bins);
      b.collect(layer, bins);
      bins.forEach(out::count);
      out.endLayer(layer, order, values, mergeExtremes(a, b, layer, order, values));
    }
    return out.with(
        squares,
        low,
        ranks,
        firstNonFinite,
        sum(a.elements, b.elements),
        Alignment.merged(a.alignment, b.alignment));
  }

  /** Null if either is unknown. */
  private static long[] sum(long[] a, long[] b) {
    if (a == null || b == null) {
      return null;
    }
    long[] sum = a.clone();
    for (int i = 0; i < sum.length; i++) {
      sum[i] += b[i];
    }
    return sum;
  }

  private void collect(int layer, TreeMap<Integer, Integer> into) {
    for (int i = histogramOffsets[layer]; i < histogramOffsets[layer + 1]; i++) {
      into.merge(histogramBins[i], histogramCounts[i], Integer::sum);
    }
  }

  /** Both ascending rows in one, ties by rank. */
  private static int mergeExtremes(
      LocalSums a, LocalSums b, int layer, int[] order, float[] values) {
    int row = layer * EXTREMES;
    int i = 0;
    int j = 0;
    int count = 0;
    while (true) {
      boolean hasA = i < EXTREMES && a.extremeRanks[row + i] >= 0;
      boolean hasB = j < EXTREMES && b.extremeRanks[row + j] >= 0;
      if (!hasA && !hasB) {
        return count;
      }
      boolean takeA = hasA;
      if (hasA && hasB) {
        int byValue = Float.compare(a.extremeLog2Rms[row + i], b.extremeLog2Rms[row + j]);
        takeA = byValue == 0 ? a.extremeRanks[row + i] < b.extremeRanks[row + j] : byValue < 0;
      }
      LocalSums from = takeA ? a : b;
      int at = row + (takeA ? i++ : j++);
      order[count] = from.extremeRanks[at];
      values[count++] = from.extremeLog2Rms[at];
    }
  }

  /** Fills the outlier columns of a step's evidence for one layer, farthest first. */
  void outliers(int layer, int[] outlierRanks, float[] outlierLog2Rms) {
    int row = layer * EXTREMES;
    int count = 0;
    while (count < EXTREMES && extremeRanks[row + count] >= 0) {
      count++;
    }
    float[] values = Arrays.copyOfRange(extremeLog2Rms, row, row + count);
    double median = ranks[layer] == count ? middle(values) : middleBin(layer);
    boolean[] taken = new boolean[count];
    for (int k = 0; k < OUTLIERS; k++) {
      int farthest = -1;
      for (int i = 0; i < count; i++) {
        if (!taken[i]
            && (farthest < 0
                || distance(values[i], median) > distance(values[farthest], median)
                || (distance(values[i], median) == distance(values[farthest], median)
                    && extremeRanks[row + i] < extremeRanks[row + farthest]))) {
          farthest = i;
        }
      }
      int at = layer * OUTLIERS + k;
      outlierRanks[at] = farthest < 0 ? -1 : extremeRanks[row + farthest];
      outlierLog2Rms[at] = farthest < 0 ? Float.NaN : values[farthest];
      if (farthest >= 0) {
        taken[farthest] = true;
      }
    }
  }

  /** 0 for two ranks of RMS 0, whose logarithms have no difference. */
  private static double distance(double value, double median) {
    return value == median ? 0 : Math.abs(value - median);
  }

  private static double middle(float[] ascending) {
    int n = ascending.length;
    if (n == 0) {
      return Double.NaN;
    }
    float low = ascending[(n - 1) / 2];
    float high = ascending[n / 2];
    return low == high ? low : ((double) low + high) / 2;
  }

  private double middleBin(int layer) {
    int target = (ranks[layer] + 1) / 2;
    int seen = 0;
    for (int i = histogramOffsets[layer]; i < histogramOffsets[layer + 1]; i++) {
      seen += histogramCounts[i];
      if (seen >= target) {
        return histogramBins[i] == Integer.MIN_VALUE
            ? Double.NEGATIVE_INFINITY
            : (histogramBins[i] + 0.5) / BINS_PER_OCTAVE;
      }
    }
    return Double.NaN;
  }

  /** Grows the per-layer rows one layer after the other. */
  private static final class LayerRows {
    private final int[] extremeRanks;
    private final float[] extremeLog2Rms;
    private final int[] offsets;
    private int[] bins = new int[64];
    private int[] counts = new int[64];
    private int size;

    LayerRows(int layers) {
      extremeRanks = new int[layers * EXTREMES];
      extremeLog2Rms = new float[layers * EXTREMES];
      Arrays.fill(extremeRanks, -1);
      Arrays.fill(extremeLog2Rms, Float.NaN);
      offsets = new int[layers + 1];
    }

    /** Bins of a layer come in ascending order. */
    void count(int bin, int count) {
      int layerStart = offsets[layer];
      if (size > layerStart && bins[size - 1] == bin) {
        counts[size - 1] += count;
        return;
      }
      if (size == bins.length) {
        bins = Arrays.copyOf(bins, 2 * size);
        counts = Arrays.copyOf(counts, 2 * size);
      }
      bins[size] = bin;
      counts[size++] = count;
    }

    private int layer;

    void endLayer(int ended, int[] ranks, float[] values, int count) {
      int row = ended * EXTREMES;
      for (int i = 0; i < Math.min(count, EXTREMES); i++) {
        int from = count <= EXTREMES || i < OUTLIERS ? i : count - EXTREMES + i;
        extremeRanks[row + i] = ranks[from];
        extremeLog2Rms[row + i] = values[from];
      }
      layer = ended + 1;
      offsets[layer] = size;
    }

    LocalSums with(
        double[] squares,
        double[] low,
        int[] ranks,
        int[] firstNonFinite,
        long[] elements,
        Alignment alignment) {
      return new LocalSums(
          squares,
          low,
          ranks,
          firstNonFinite,
          extremeRanks,
          extremeLog2Rms,
          offsets,
          Arrays.copyOf(bins, size),
          Arrays.copyOf(counts, size),
          elements,
          alignment);
    }
  }
}
