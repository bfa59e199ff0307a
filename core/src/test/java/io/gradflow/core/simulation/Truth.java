package io.gradflow.core.simulation;

import static io.gradflow.core.simulation.Difference.unless;

import io.gradflow.core.norm.NormColumns;
import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.LayerColumns;
import io.gradflow.core.shard.NonFinite;
import io.gradflow.core.shard.Shard;
import io.gradflow.core.shard.Stage;
import java.util.Arrays;
import java.util.Collection;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;

/**
 * What must be published of a step, worked out from all its shards at once: slice by slice, in
 * plain sums, with nothing of the machines.
 */
final class Truth {
  private static final double TOLERANCE = 1e-12;

  /** What came of one replica of a layer. */
  private static final class Replica {
    long elements;
    double squares;
    double abs;
    double largest;
    long zeros;
    final long[] nonFinite = new long[3];
  }

  private final Plan plan;
  private final Step step;
  private final Collection<Sent> contents;

  private Truth(Plan plan, Step step, Collection<Sent> contents) {
    this.plan = plan;
    this.step = step;
    this.contents = contents;
  }

  /** Fails unless the step says of these shards what it must. */
  static void check(Plan plan, Step step, Collection<Sent> contents, Set<Integer> conflicting) {
    Truth truth = new Truth(plan, step, contents);
    equal(
        "conflicting ranks",
        Arrays.stream(step.conflictingRanks()).boxed().toList(),
        List.copyOf(conflicting));
    equal("layers", step.norms().size(), plan.manifest.layerCount());
    truth.completeness();
    truth.layers();
    truth.ranks();
    truth.loss();
  }

  private void completeness() {
    int due = 0;
    int received = 0;
    TreeSet<Integer> missing = new TreeSet<>();
    int world = plan.manifest.worldSize();
    Map<Stage, int[]> parts = new EnumMap<>(Stage.class);
    Map<Stage, boolean[]> whole = new EnumMap<>(Stage.class);
    for (Stage stage : Stage.values()) {
      parts.put(stage, new int[world]);
      whole.put(stage, new boolean[world]);
    }
    for (Sent sent : contents) {
      int rank = sent.shard.rank();
      int came = ++parts.get(sent.shard.stage())[rank];
      whole.get(sent.shard.stage())[rank] = came == sent.shard.parts();
    }
    for (int rank = 0; rank < world; rank++) {
      for (Stage stage : Stage.values()) {
        if (plan.isDue(stage, rank, step.id().step())) {
          due++;
          if (whole.get(stage)[rank]) {
            received++;
          } else {
            missing.add(rank);
          }
        }
      }
    }
    close("completeness", step.completeness(), due == 0 ? 1 : (double) received / due);
    equal(
        "missing ranks", Arrays.stream(step.missingRanks()).boxed().toList(), List.copyOf(missing));
  }

  private void layers() {
    boolean reduced = plan.isDue(Stage.REDUCED, step.id().step());
    NormColumns norms = step.norms();
    double global = 0;
    for (int layer = 0; layer < plan.manifest.layerCount(); layer++) {
      long expected = plan.manifest.layers().get(layer).elements();
      Replica best = best(layer, expected);
      long received = best == null ? 0 : best.elements;
      boolean incomplete =
          reduced
              && received < expected
              && plan.hasNorm(layer)
              && !(best == null && plan.isOptional(layer));
      close(
          "completeness of layer " + layer,
          completenessOf(layer),
          incomplete ? (double) received / expected : 1);
      boolean sick = best != null && Arrays.stream(best.nonFinite).sum() > 0;
      boolean whole = best != null && !sick;
      double l2 = whole ? Math.sqrt(best.squares) : Double.NaN;
      close(
          "l1",
          layer,
          norms.l1() == null ? Double.NaN : norms.l1()[layer],
          whole ? best.abs : Double.NaN);
      close("l2", layer, norms.l2()[layer], l2);
      close("linf", layer, norms.linf()[layer], whole ? best.largest : Double.NaN);
      double rms = received == 0 ? 0 : Math.sqrt(best.squares / received);
      close("rms", layer, norms.rms()[layer], whole ? rms : Double.NaN);
      close(
          "finiteL2",
          layer,
          norms.finiteL2()[layer],
          best == null ? Double.NaN : Math.sqrt(best.squares));
      equal(
          "zeros of layer " + layer,
          norms.zeros() == null ? -1 : norms.zeros()[layer],
          best == null ? -1 : best.zeros);
      nonFinite(layer, best);
      if (whole && received == expected) {
        elements(layer, l2);
      }
      if (!plan.isOptional(layer)) {
        global += l2 * l2;
      }
    }
    close("global norm", step.globalNorm(), Math.sqrt(global));
  }

  /** Compares a whole layer with the elements of its gradient, as far as float32 norms can tell. */
  private void elements(int layer, double l2) {
    float[][] gradient = null;
    for (Sent sent : contents) {
      if (sent.shard.stage() == Stage.REDUCED) {
        if (sent.gradient == null || (gradient != null && gradient != sent.gradient)) {
          return;
        }
        gradient = sent.gradient;
      }
    }
    Double scale = contents.iterator().next().shard.lossScale();
    double squares = 0;
    for (float value : gradient[layer]) {
      double unscaled = value / (scale == null ? 1 : scale);
      squares += unscaled * unscaled;
    }
    double norm = Math.sqrt(squares);
    boolean isFloat = norm < Float.MAX_VALUE / 2_000 && norm > 1e-30;
    unless(
        !isFloat || Math.abs(norm - l2) <= 1e-6 * norm,
        "norm of the elements of layer %d: expected %s, got %s",
        layer,
        norm,
        l2);
  }

  private double completenessOf(int layer) {
    int at =
        step.incompleteLayers() == null ? -1 : Arrays.binarySearch(step.incompleteLayers(), layer);
    return at < 0 ? 1 : step.incompleteCompleteness()[at];
  }

  private void nonFinite(int layer, Replica best) {
    NonFinite bad = step.norms().nonFinite();
    int at = bad == null ? -1 : Arrays.binarySearch(bad.layers(), layer);
    boolean sick = best != null && Arrays.stream(best.nonFinite).sum() > 0;
    equal("non-finite layer " + layer, at >= 0, sick);
    if (at >= 0) {
      equal("NaNs of layer " + layer, bad.nans()[at], best.nonFinite[0]);
      equal("+Infs of layer " + layer, bad.posInfs()[at], best.nonFinite[1]);
      equal("-Infs of layer " + layer, bad.negInfs()[at], best.nonFinite[2]);
      int first = -1;
      for (Sent sent : contents) {
        NonFinite own = sent.shard.columns().nonFinite();
        if (sent.shard.stage() == Stage.LOCAL
            && own != null
            && Arrays.binarySearch(own.layers(), layer) >= 0) {
          first = first < 0 ? sent.shard.rank() : Math.min(first, sent.shard.rank());
        }
      }
      equal("first non-finite rank", step.norms().firstNonFiniteRank()[at], first);
    }
  }

  /** The lowest complete replica of the layer, else the one that most came of. */
  private Replica best(int layer, long expected) {
    TreeMap<Integer, Replica> replicas = new TreeMap<>();
    for (Sent sent : contents) {
      Shard shard = sent.shard;
      int at = shard.stage() == Stage.REDUCED ? position(shard.columns(), layer) : -1;
      if (at < 0) {
        continue;
      }
      Plan.Slice slice = plan.slice(Stage.REDUCED, shard.rank(), layer);
      if (slice.replica() < 0 || slice.length() == 0) {
        continue;
      }
      LayerColumns columns = shard.columns();
      double scale = shard.lossScale() == null ? 1 : shard.lossScale();
      Replica replica = replicas.computeIfAbsent(slice.replica(), r -> new Replica());
      double norm = columns.norm()[at] / scale;
      replica.elements += slice.length();
      replica.squares += norm * norm;
      replica.abs += columns.sumAbs() == null ? Double.NaN : columns.sumAbs()[at] / scale;
      replica.largest = Math.max(replica.largest, columns.maxAbs()[at] / scale);
      replica.zeros =
          columns.zeros() == null || replica.zeros < 0 ? -1 : replica.zeros + columns.zeros()[at];
      NonFinite bad = columns.nonFinite();
      int sick = bad == null ? -1 : Arrays.binarySearch(bad.layers(), layer);
      if (sick >= 0) {
        replica.nonFinite[0] += bad.nans()[sick];
        replica.nonFinite[1] += bad.posInfs()[sick];
        replica.nonFinite[2] += bad.negInfs()[sick];
      }
    }
    Replica best = null;
    for (Replica replica : replicas.values()) {
      if (replica.elements == expected) {
        return replica;
      }
      best = best == null || replica.elements > best.elements ? replica : best;
    }
    return best;
  }

  private static int position(LayerColumns columns, int layer) {
    if (columns.layers() != null) {
      return Arrays.binarySearch(columns.layers(), layer);
    }
    int at = layer - columns.firstLayer();
    return at >= 0 && at < columns.size() ? at : -1;
  }

  private void ranks() {
    TreeMap<Integer, Double> squares = new TreeMap<>();
    double[] localSquares = new double[plan.manifest.layerCount()];
    boolean local = false;
    for (Sent sent : contents) {
      Shard shard = sent.shard;
      double own = 0;
      if (shard.stage() == Stage.LOCAL) {
        local = true;
        double scale = shard.lossScale() == null ? 1 : shard.lossScale();
        for (int i = 0; i < shard.columns().size(); i++) {
          double norm = shard.columns().norm()[i] / scale;
          own += norm * norm;
          localSquares[shard.columns().layer(i)] += norm * norm;
        }
      }
      squares.merge(shard.rank(), own, Double::sum);
    }
    equal(
        "ranks heard",
        Arrays.stream(step.evidence().ranks()).boxed().toList(),
        List.copyOf(squares.keySet()));
    int at = 0;
    for (var rank : squares.entrySet()) {
      double norm = step.evidence().localNorm()[at++];
      if (!Double.isNaN(norm) || rank.getValue() > 0) {
        close("local norm of rank " + rank.getKey(), norm, Math.sqrt(rank.getValue()));
      }
    }
    for (int layer = 0; local && layer < localSquares.length; layer++) {
      close("local squares", layer, step.evidence().localSquares()[layer], localSquares[layer]);
    }
  }

  private void loss() {
    TreeMap<Integer, Shard> byRank = new TreeMap<>();
    contents.forEach(sent -> byRank.put(sent.shard.rank(), sent.shard));
    double weight = 0;
    double lossWeight = 0;
    double sum = 0;
    for (Shard shard : byRank.values()) {
      weight += shard.weight();
      if (shard.loss() != null && shard.weight() > 0) {
        sum += shard.loss() * shard.weight();
        lossWeight += shard.weight();
      }
    }
    close("weight", step.scalars().weight(), weight);
    equal("a loss", step.scalars().loss() != null, lossWeight > 0);
    if (lossWeight > 0) {
      close("loss", step.scalars().loss(), sum / lossWeight);
    }
    double[] own =
        byRank.values().stream()
            .mapToDouble(shard -> shard.loss() == null ? Double.NaN : shard.loss())
            .toArray();
    boolean differ = Arrays.stream(own).filter(loss -> !Double.isNaN(loss)).distinct().count() > 1;
    RankComparison comparison = step.evidence().comparison();
    double[] told = comparison == null ? null : comparison.loss();
    equal("losses of ranks", Arrays.toString(told), Arrays.toString(differ ? own : null));
  }

  private static void equal(String what, Object got, Object expected) {
    unless(got.equals(expected), "%s: expected %s, got %s", what, expected, got);
  }

  private static void equal(String what, long got, long expected) {
    unless(got == expected, "%s: expected %s, got %s", what, expected, got);
  }

  private static void close(String what, int layer, double got, double expected) {
    if (!isClose(got, expected)) {
      close(what + " of layer " + layer, got, expected);
    }
  }

  private static void close(String what, double got, double expected) {
    unless(isClose(got, expected), "%s: expected %s, got %s", what, expected, got);
  }

  private static boolean isClose(double got, double expected) {
    return Double.compare(got, expected) == 0
        || Math.abs(got - expected) <= TOLERANCE * Math.max(Math.abs(got), Math.abs(expected));
  }
}
