package io.gradflow.core.norm;

import io.gradflow.core.StepId;
import io.gradflow.core.matrix.Matrices;
import io.gradflow.core.matrix.RankGeometry;
import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Stage;
import io.gradflow.core.signal.Coherence;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Writes the {@link Step} of a closed step's sums. */
final class StepReport {
  private final Layout layout;
  private final StepId id;
  private final RunStep held;
  private final NormColumns norms;
  private final double globalNorm;
  private final SignalReport signals;
  private final Matrices matrices;

  /** Gram matrices of more ranks than this are not made: their sketches stay where they are. */
  private static final int MOST_SKETCHED_RANKS = 256;

  StepReport(Layout layout, StepId id, RunStep held, Matrices matrices) {
    this.matrices = matrices;
    this.layout = layout;
    this.id = id;
    this.held = held;
    norms = norms();
    globalNorm = globalNorm();
    signals = new SignalReport(layout, id, held.sums(), norms, globalNorm);
  }

  /** The step as its signals see it. */
  SignalReport signals() {
    return signals;
  }

  /** Contributions received over contributions due, over ranks and stages. */
  double completeness() {
    long due = 0;
    long received = 0;
    for (int group = 0; group < layout.groups(); group++) {
      long local = layout.due(Stage.LOCAL, group, id.step());
      long reduced = layout.due(Stage.REDUCED, group, id.step());
      due += Long.bitCount(local) + Long.bitCount(reduced);
      received +=
          Long.bitCount(local & held.receivedLocal()[group])
              + Long.bitCount(reduced & held.receivedReduced()[group]);
    }
    return due == 0 ? 1 : (double) received / due;
  }

  /**
   * The step.
   *
   * @param tracked what the steps before it say of it; null if nothing
   */
  Step step(TrackedSignals tracked) {
    int[] incomplete = new int[layout.layerCount()];
    double[] completeness = new double[layout.layerCount()];
    int count = 0;
    if (layout.isDue(Stage.REDUCED, id.step())) {
      for (int layer = 0; layer < layout.layerCount(); layer++) {
        LayerSums best = best(layer);
        long expected = layout.elements()[layer];
        long received = best == null ? 0 : best.elements()[layer];
        if (received < expected
            && layout.hasNorm(layer)
            && !(best == null && layout.isOptional(layer))) {
          incomplete[count] = layer;
          completeness[count++] = (double) received / expected;
        }
      }
    }
    return new Step(
        id,
        layout.manifestId(),
        0,
        1,
        0,
        held.sums().contributions(),
        held.closedBy(),
        held.late(),
        completeness(),
        layout.worldSize(),
        missingRanks(),
        ranks(held.conflicting()),
        count == 0 ? null : Arrays.copyOf(incomplete, count),
        count == 0 ? null : Arrays.copyOf(completeness, count),
        globalNorm,
        norms,
        evidence(),
        held.sums().scalars().result(),
        held.events(),
        signals.signals(tracked == null ? TrackedSignals.NONE : tracked));
  }

  private LayerSums best(int layer) {
    return held.sums().reduced() == null ? null : held.sums().reduced().best(layer);
  }

  private int[] missingRanks() {
    long[] missing = new long[layout.groups()];
    for (int group = 0; group < missing.length; group++) {
      missing[group] =
          (layout.due(Stage.LOCAL, group, id.step()) & ~held.receivedLocal()[group])
              | (layout.due(Stage.REDUCED, group, id.step()) & ~held.receivedReduced()[group]);
    }
    return ranks(missing);
  }

  private static int[] ranks(long[] ofGroups) {
    int[] ranks = new int[Arrays.stream(ofGroups).mapToInt(Long::bitCount).sum()];
    int count = 0;
    for (int group = 0; group < ofGroups.length; group++) {
      for (long rest = ofGroups[group]; rest != 0; rest &= rest - 1) {
        ranks[count++] = group * Layout.GROUP_SIZE + Long.numberOfTrailingZeros(rest);
      }
    }
    return ranks;
  }

  private NormColumns norms() {
    int layers = layout.layerCount();
    double[] l1 = new double[layers];
    double[] l2 = new double[layers];
    double[] linf = new double[layers];
    double[] rms = new double[layers];
    double[] finiteL2 = new double[layers];
    long[] zeros = new long[layers];
    for (double[] column : new double[][] {l1, l2, linf, rms, finiteL2}) {
      Arrays.fill(column, Double.NaN);
    }
    Arrays.fill(zeros, -1);
    int[] badLayers = new int[layers];
    int bad = 0;
    for (int layer = 0; layer < layers; layer++) {
      LayerSums sums = best(layer);
      if (sums == null) {
        continue;
      }
      finiteL2[layer] = Math.sqrt(sums.square(layer));
      zeros[layer] = sums.zeros()[layer];
      if (sums.nonFinite(layer) > 0) {
        badLayers[bad++] = layer;
        continue;
      }
      l1[layer] = sums.abs()[layer] + sums.absLow()[layer];
      l2[layer] = finiteL2[layer];
      linf[layer] = sums.maxAbs()[layer];
      rms[layer] =
          sums.elements()[layer] == 0
              ? 0
              : Math.sqrt(sums.square(layer) / (double) sums.elements()[layer]);
    }
    return new NormColumns(
        Arrays.stream(l1).allMatch(Double::isNaN) ? null : l1,
        l2,
        linf,
        rms,
        finiteL2,
        Arrays.stream(zeros).allMatch(n -> n < 0) ? null : zeros,
        bad == 0 ? null : nonFinite(Arrays.copyOf(badLayers, bad)),
        bad == 0 ? null : firstNonFiniteRanks(Arrays.copyOf(badLayers, bad)),
        refusals(l2));
  }

  private Refusals refusals(double[] l2) {
    int[] layers = IntStream.range(0, l2.length).filter(i -> Double.isNaN(l2[i])).toArray();
    return layers.length == 0
        ? null
        : new Refusals(layers, Arrays.stream(layers).mapToObj(this::refusal).toList());
  }

  private Refusal refusal(int layer) {
    if (!layout.hasNorm(layer)) {
      return Refusal.PARTIAL;
    }
    return best(layer) == null ? Refusal.NOT_RECEIVED : Refusal.NON_FINITE;
  }

  private NonFinite nonFinite(int[] layers) {
    long[][] counts = new long[3][layers.length];
    for (int row = 0; row < counts.length; row++) {
      for (int i = 0; i < layers.length; i++) {
        counts[row][i] = best(layers[i]).nonFinite(row, layers[i]);
      }
    }
    return new NonFinite(layers, counts[0], counts[1], counts[2]);
  }

  private int[] firstNonFiniteRanks(int[] layers) {
    int[] ranks = new int[layers.length];
    for (int i = 0; i < layers.length; i++) {
      LocalSums local = held.sums().local();
      ranks[i] = local == null ? -1 : local.firstNonFinite()[layers[i]];
    }
    return ranks;
  }

  private double globalNorm() {
    double[] sum = new double[1];
    double[] low = new double[1];
    for (int layer = 0; layer < norms.size(); layer++) {
      if (!layout.isOptional(layer)) {
        LayerSums.add(sum, low, 0, norms.l2()[layer] * norms.l2()[layer]);
      }
    }
    return Math.sqrt(sum[0] + low[0]);
  }

  private RankEvidence evidence() {
    RankRows rows = held.sums().ranks();
    LocalSums local = held.sums().local();
    ReducedSums reduced = held.sums().reduced();
    int layers = layout.layerCount();
    int outliers = local == null ? 0 : LocalSums.OUTLIERS;
    int[] outlierRanks = new int[layers * outliers];
    float[] outlierLog2Rms = new float[layers * outliers];
    double[] squares = local == null ? null : new double[layers];
    for (int layer = 0; local != null && layer < layers; layer++) {
      local.outliers(layer, outlierRanks, outlierLog2Rms);
      squares[layer] = local.squares()[layer] + local.squaresLow()[layer];
    }
    return new RankEvidence(
        rows.ranks(),
        roots(rows.localSquares()),
        rows.lagMs(),
        rows.dropped(),
        outliers,
        outlierRanks,
        outlierLog2Rms,
        local == null ? null : local.histogramOffsets(),
        local == null ? null : local.histogramBins(),
        local == null ? null : local.histogramCounts(),
        squares,
        local == null ? null : local.ranks(),
        reduced == null ? null : reduced.spread(),
        held.writtenAt(),
        rows.places() == null ? null : rows.places().published(),
        comparison(rows, local));
  }

  private RankComparison comparison(RankRows rows, LocalSums local) {
    if (rows.reducedSquares() == null) {
      return null;
    }
    Alignment alignment = local == null ? null : local.alignment();
    int[] leastRanks = alignment == null ? null : new int[alignment.ranks().length];
    float[] least = alignment == null ? null : new float[alignment.ranks().length];
    for (int layer = 0; alignment != null && layer < layout.layerCount(); layer++) {
      leastCoherent(alignment, layer, leastRanks, least);
    }
    RankGeometry geometry = geometry(rows);
    return new RankComparison(
            known(roots(rows.reducedSquares())),
            known(rows.reported()),
            coherence(rows),
            geometry == null ? null : floats(geometry.coherence()),
            geometry == null ? null : geometry.spectrum(),
            geometry == null || Double.isNaN(geometry.effectiveRanks())
                ? null
                : (Double) geometry.effectiveRanks(),
            alignment == null ? 0 : Alignment.MOST,
            leastRanks,
            least,
            different(rows.weights(), false),
            different(rows.clipCoefs(), true),
            different(rows.losses(), false))
        .orNull();
  }

  /**
   * Null with fewer than two ranks that have a sketch, and with more than are worth a matrix; and
   * where ranks hold slices, which point nowhere together.
   */
  private RankGeometry geometry(RankRows rows) {
    float[][] sketches = new float[rows.ranks().length][];
    int sketched = 0;
    for (int i = 0; i < sketches.length; i++) {
      if (rows.sketches()[i] != null && isComparable(rows.ranks()[i])) {
        sketches[i] = floats(rows.sketches()[i]);
        sketched++;
      }
    }
    return sketched < 2 || sketched > MOST_SKETCHED_RANKS ? null : matrices.geometry(sketches);
  }

  /** Whether the rank holds a whole gradient before the reduction, and has sent all of it. */
  private boolean isComparable(int rank) {
    long members = held.receivedLocal()[rank / Layout.GROUP_SIZE];
    return layout.workers() == layout.worldSize()
        && (members & 1L << (rank % Layout.GROUP_SIZE)) != 0;
  }

  private static float[] floats(double[] values) {
    float[] floats = new float[values.length];
    for (int i = 0; i < values.length; i++) {
      floats[i] = (float) values[i];
    }
    return floats;
  }

  /** Of the mean gradient, whatever the reduction is. */
  private double meanOf(double sumOrMean) {
    return layout.summed() ? sumOrMean / layout.workers() : sumOrMean;
  }

  private void leastCoherent(Alignment alignment, int layer, int[] ranks, float[] cosines) {
    double norm = meanOf(signals.norms()[layer]);
    int from = layer * Alignment.MOST;
    int count = 0;
    for (int i = from; i < from + Alignment.MOST; i++) {
      ranks[i] = -1;
      cosines[i] = Float.NaN;
      if (alignment.ranks()[i] < 0) {
        continue;
      }
      double cosine =
          Coherence.leaveOneOut(
              meanOf(alignment.dots()[i]), alignment.squares()[i], norm * norm, layout.workers());
      if (!Double.isNaN(cosine)) {
        // They come by their projection on the mean, which orders them all but alike.
        int at = from + count++;
        for (; at > from && cosines[at - 1] > cosine; at--) {
          ranks[at] = ranks[at - 1];
          cosines[at] = cosines[at - 1];
        }
        ranks[at] = alignment.ranks()[i];
        cosines[at] = (float) cosine;
      }
    }
  }

  /** The norm of the mean is that of what a rank holds: all of it. */
  private float[] coherence(RankRows rows) {
    double square = 0;
    for (double norm : signals.norms()) {
      square += norm * norm;
    }
    float[] coherence = new float[rows.ranks().length];
    boolean any = false;
    for (int i = 0; i < coherence.length; i++) {
      double ofMean = meanOf(Math.sqrt(square));
      double cosine =
          isComparable(rows.ranks()[i])
              ? Coherence.leaveOneOut(
                  meanOf(rows.dots()[i]), rows.localSquares()[i], ofMean * ofMean, layout.workers())
              : Double.NaN;
      coherence[i] = (float) cosine;
      any |= !Double.isNaN(cosine);
    }
    return any ? coherence : null;
  }

  /**
   * Null of a column in which all ranks say the same.
   *
   * @param silenceDiffers whether a rank that says nothing differs from those that do
   */
  private static double[] different(double[] column, boolean silenceDiffers) {
    if (column == null) {
      return null;
    }
    long known = Arrays.stream(column).filter(value -> !Double.isNaN(value)).count();
    long values = Arrays.stream(column).filter(value -> !Double.isNaN(value)).distinct().count();
    return values > 1 || (values == 1 && silenceDiffers && known < column.length) ? column : null;
  }

  private static double[] roots(double[] squares) {
    return Arrays.stream(squares).map(Math::sqrt).toArray();
  }

  /** Null of a column that says nothing. */
  private static double[] known(double[] column) {
    return Arrays.stream(column).allMatch(Double::isNaN) ? null : column;
  }
}
