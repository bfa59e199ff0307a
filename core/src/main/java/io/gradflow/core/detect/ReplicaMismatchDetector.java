package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.REPLICA_MISMATCH;

import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.NonFinite;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * {@link FindingKind#REPLICA_MISMATCH}: copies of the reduced gradient that must be equal are not.
 *
 * <p>Copies along data-parallel dimensions come out of one communication and are the same bit for
 * bit: different hashes are a fault, and so is a spread of norms over {@code tolerance}, which
 * leaves room for the order in which a norm is added up. Copies along other dimensions (tensor
 * parallel) are computed by each rank for itself; there only a spread over {@code recomputed} is
 * one. Layers with non-finite elements are not judged.
 *
 * <p>The layer named is that of the largest spread. A rank is named if what it holds in all has
 * another norm than what most of the ranks hold that should hold the same.
 *
 * <p>Cannot see: copies that are wrong alike; a difference in recomputed copies that leaves the
 * norm as it is; layers of which only one whole copy is published.
 */
public final class ReplicaMismatchDetector {
  private ReplicaMismatchDetector() {}

  /** A majority takes three. */
  private static final int MIN_HOLDERS = 3;

  /**
   * Thresholds.
   *
   * @param tolerance largest norm over smallest of communicated copies, less 1
   * @param recomputed likewise of copies that ranks compute for themselves
   */
  public record Settings(double tolerance, double recomputed) {
    static final Settings DEFAULT = new Settings(1e-6, 1e-3);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(REPLICA_MISMATCH, "tolerance", tolerance, 0, 1);
      Thresholds.require(REPLICA_MISMATCH, "recomputed", recomputed, 0, 1);
    }
  }

  /**
   * State of a lane.
   *
   * @param onset first step of the mismatches that last, -1 without
   * @param hold quiet steps until it is over
   */
  public record State(long onset, int hold) {
    static final State FRESH = new State(-1, 0);
  }

  /** Judges a step of the run's own order. */
  static State observe(LayerTable table, Step step, State state, Settings settings, Verdicts out) {
    return judge(table, step, state, settings, out, false);
  }

  /** Judges a step that came after later ones, or again with more contributions. */
  static State revise(LayerTable table, Step step, State state, Settings settings, Verdicts out) {
    return judge(table, step, state, settings, out, true);
  }

  private static State judge(
      LayerTable table,
      Step step,
      State state,
      Settings settings,
      Verdicts out,
      boolean isRevision) {
    double[] spread = spread(table, step, settings);
    int worst = -1;
    int layers = 0;
    for (int layer = 0; layer < spread.length; layer++) {
      if (!Double.isNaN(spread[layer])) {
        layers++;
        worst = worst < 0 || spread[layer] > spread[worst] ? layer : worst;
      }
    }
    boolean compared = step.evidence() != null && step.evidence().replicaSpread() != null;
    int hold =
        layers == 0 && (isRevision || !compared)
            ? state.hold()
            : out.hold(state.hold(), layers > 0, false);
    if (hold > 0) {
      out.active(REPLICA_MISMATCH);
    }
    if (layers == 0) {
      return new State(hold > 0 ? state.onset() : -1, hold);
    }
    long onset = state.onset() < 0 ? step.id().step() : Math.min(state.onset(), step.id().step());
    int odd = oddOne(table, step, settings);
    out.rank(
        REPLICA_MISMATCH,
        Severity.CRITICAL,
        table.name(worst),
        odd < 0 ? null : (Integer) odd,
        onset,
        layers,
        spread[worst],
        threshold(table, worst, settings),
        "relative",
        message(table, step, worst, layers, spread[worst], odd),
        null);
    return new State(onset, hold);
  }

  private static double threshold(LayerTable table, int layer, Settings settings) {
    return table.isRecomputed(layer) ? settings.recomputed() : settings.tolerance();
  }

  /** By layer: the spread of its norms if its copies differ, 0 if only hashes say so; else NaN. */
  private static double[] spread(LayerTable table, Step step, Settings settings) {
    double[] spread = new double[table.size()];
    Arrays.fill(spread, Double.NaN);
    float[] norms = step.evidence() == null ? null : step.evidence().replicaSpread();
    for (int layer = 0; norms != null && layer < spread.length; layer++) {
      if (norms[layer] > threshold(table, layer, settings)) {
        spread[layer] = norms[layer];
      }
    }
    int[] mismatched = step.signals() == null ? null : step.signals().mismatchedLayers();
    for (int k = 0; mismatched != null && k < mismatched.length; k++) {
      int layer = mismatched[k];
      if (Double.isNaN(spread[layer]) && !table.isRecomputed(layer)) {
        spread[layer] = norms == null || Float.isNaN(norms[layer]) ? 0 : norms[layer];
      }
    }
    NonFinite bad = step.norms().nonFinite();
    for (int k = 0; bad != null && k < bad.layers().length; k++) {
      spread[bad.layers()[k]] = Double.NaN;
    }
    return spread;
  }

  /** The lowest rank whose norm differs from that of most that hold the same; -1 if none does. */
  private static int oddOne(LayerTable table, Step step, Settings settings) {
    RankComparison comparison = step.evidence() == null ? null : step.evidence().comparison();
    double[] norms = comparison == null ? null : comparison.reducedNorm();
    if (norms == null) {
      return -1;
    }
    int[] ranks = step.evidence().ranks();
    Map<Integer, Integer> holders = new HashMap<>();
    Map<Integer, Map<Double, Integer>> counts = new HashMap<>();
    for (int i = 0; i < ranks.length; i++) {
      if (isWhole(step, ranks[i], norms[i])) {
        int same = table.holdersOf(ranks[i]);
        holders.merge(same, 1, Integer::sum);
        counts.computeIfAbsent(same, key -> new HashMap<>()).merge(norms[i], 1, Integer::sum);
      }
    }
    for (int i = 0; i < ranks.length; i++) {
      if (isWhole(step, ranks[i], norms[i])) {
        int same = table.holdersOf(ranks[i]);
        int of = holders.get(same);
        var most =
            counts.get(same).entrySet().stream().max(Map.Entry.comparingByValue()).orElseThrow();
        double apart = Math.abs(norms[i] - most.getKey());
        if (of >= MIN_HOLDERS
            && 2 * most.getValue() > of
            && apart > settings.tolerance() * most.getKey()) {
          return ranks[i];
        }
      }
    }
    return -1;
  }

  private static boolean isWhole(Step step, int rank, double norm) {
    return !Double.isNaN(norm) && Arrays.binarySearch(step.missingRanks(), rank) < 0;
  }

  private static String message(
      LayerTable table, Step step, int layer, int layers, double spread, int rank) {
    String others =
        layers == 1
            ? ""
            : layers == 2 ? " and another layer" : " and %d other layers".formatted(layers - 1);
    String how =
        spread == 0
            ? "differ although their norms agree"
            : "differ by %s %% in norm".formatted(Wording.number(100 * spread));
    String who =
        rank < 0
            ? "the ranks go on with different models"
            : "rank %d holds another one than the rest".formatted(rank);
    return "The copies of the reduced gradient of %s%s %s at step %d: %s."
        .formatted(table.label(layer), others, how, step.id().step(), who);
  }
}
