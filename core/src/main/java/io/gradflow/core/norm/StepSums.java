package io.gradflow.core.norm;

import io.gradflow.core.shard.Layout;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.SignalColumns;
import io.gradflow.core.shard.Sketches;
import io.gradflow.core.shard.Stage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Everything that adds up of a step over its shards. Sums of disjoint sets of shards merge to the
 * sums of all of them, in any order (to less than 1e-15 of each).
 *
 * @param contributions shards in these sums
 * @param reduced what norms follow from; null if no shard of that stage is in
 * @param local what ranks are compared by; null if no shard of that stage is in
 * @param ranks the single ranks
 * @param scalars numbers that belong to no layer
 */
public record StepSums(
    int contributions, ReducedSums reduced, LocalSums local, RankRows ranks, ScalarSums scalars) {

  /** Sums of nothing. */
  public static final StepSums NONE = new StepSums(0, null, null, RankRows.NONE, ScalarSums.NONE);

  /**
   * The sums of shards of one step, each with its arrival.
   *
   * @param held ordered by rank, stage and part; none a micro-batch before the last
   * @param firstAt when the broker took the group's first shard of the step, ms
   * @param weighed whether losses and weights of a rank (its place in its group) are counted
   *     elsewhere already, as a bitmap
   */
  static StepSums of(Layout layout, List<HeldShard> held, long firstAt, long weighed) {
    ReducedSums reduced = null;
    List<Shard> locals = new ArrayList<>();
    RankRows ranks = RankRows.NONE;
    ScalarSums scalars = ScalarSums.NONE;
    // Another partition may have been read first.
    long first =
        Math.min(firstAt, held.stream().mapToLong(HeldShard::writtenAt).min().orElse(firstAt));
    int from = 0;
    while (from < held.size()) {
      int rank = held.get(from).shard().rank();
      double squares = Double.NaN;
      double reducedSquares = Double.NaN;
      double dot = Double.NaN;
      double reported = Double.NaN;
      double[] sketch = null;
      long lag = 0;
      long dropped = 0;
      Double loss = null;
      Double validationLoss = null;
      double weight = 0;
      double clipCoef = Double.NaN;
      double ownLoss = Double.NaN;
      String host = null;
      String device = null;
      int to = from;
      for (; to < held.size() && held.get(to).shard().rank() == rank; to++) {
        Shard shard = held.get(to).shard();
        if (shard.stage() == Stage.REDUCED) {
          reduced = reduced == null ? ReducedSums.empty(layout.layerCount()) : reduced;
          reduced.add(layout, shard);
          reducedSquares = RankRows.sum(reducedSquares, squares(shard));
        } else {
          locals.add(shard);
          squares = RankRows.sum(squares, squares(shard));
          dot = RankRows.sum(dot, dot(shard));
          sketch = RankRows.sum(sketch, sketch(shard));
        }
        reported =
            Double.isNaN(reported) && shard.reportedGlobalNorm() != null
                ? shard.reportedGlobalNorm()
                : reported;
        lag = Math.max(lag, held.get(to).writtenAt() - first);
        dropped = Math.max(dropped, shard.dropped());
        loss = loss == null ? shard.loss() : loss;
        validationLoss = validationLoss == null ? shard.validationLoss() : validationLoss;
        weight = Math.max(weight, shard.weight());
        clipCoef = Double.isNaN(clipCoef) ? clipCoef(shard) : clipCoef;
        ownLoss = Double.isNaN(ownLoss) && shard.loss() != null ? shard.loss() : ownLoss;
        host = host == null ? shard.host() : host;
        device = device == null ? shard.device() : device;
        scalars = scalars.with(ScalarSums.of(shard));
      }
      if ((weighed & 1L << (rank % Layout.GROUP_SIZE)) == 0) {
        scalars = scalars.with(ScalarSums.weighed(loss, validationLoss, weight));
      }
      ranks =
          ranks.with(
              RankRows.of(
                  rank,
                  squares,
                  lag,
                  dropped,
                  reducedSquares,
                  dot,
                  reported,
                  sketch,
                  weight > 0 ? weight : Double.NaN,
                  clipCoef,
                  ownLoss,
                  RankPlaces.of(new String[] {host}, new String[] {device})));
      from = to;
    }
    return new StepSums(held.size(), reduced, LocalSums.of(layout, locals), ranks, scalars);
  }

  private static double clipCoef(Shard shard) {
    return shard.clip() == null || shard.clip().coef() == null ? Double.NaN : shard.clip().coef();
  }

  private static double squares(Shard shard) {
    double scale = shard.scale();
    double sum = 0;
    for (int i = 0; i < shard.columns().size(); i++) {
      sum += shard.columns().square(i);
    }
    return sum / scale / scale;
  }

  /** Over the record's layers; NaN if it is unknown of any. */
  private static double dot(Shard shard) {
    SignalColumns signals = shard.columns().signals();
    double sum = signals == null ? Double.NaN : 0;
    for (int i = 0; signals != null && i < shard.columns().size(); i++) {
      sum += signals.dotReduced(i);
    }
    return sum / shard.scale() / shard.scale();
  }

  /** The sum over the record's sketched layers; null without, NaN if anything is not finite. */
  private static double[] sketch(Shard shard) {
    SignalColumns signals = shard.columns().signals();
    Sketches sketches = signals == null ? null : signals.sketches();
    if (sketches == null) {
      return null;
    }
    double[] sum = new double[sketches.width()];
    if (shard.columns().nonFinite() != null) {
      Arrays.fill(sum, Double.NaN);
    }
    for (int k = 0; k < sketches.values().length; k++) {
      sum[k % sum.length] += sketches.values()[k] / shard.scale();
    }
    return sum;
  }

  /** Both together; the arrays of this one may be changed in place. */
  StepSums with(Layout layout, StepSums other) {
    ReducedSums both = reduced;
    if (other.reduced != null) {
      both = both == null ? ReducedSums.empty(layout.layerCount()) : both;
      both.add(layout, other.reduced);
    }
    return new StepSums(
        contributions + other.contributions,
        both,
        LocalSums.merged(local, other.local),
        ranks.with(other.ranks),
        scalars.with(other.scalars));
  }
}
