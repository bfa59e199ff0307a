package io.gradflow.core.detect;

import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Clip;
import io.gradflow.core.shard.MeshAxis;
import io.gradflow.core.signal.Octaves;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.IntToDoubleFunction;

/**
 * Holds the global gradient norm that a trainer reports against the one its shards yield, and tells
 * which mistake would give what the trainer says: each known one predicts a value from the step's
 * evidence, and the one that comes nearest is named if it is within {@link #FIT}.
 *
 * <p>Assumed: ranks are numbered along the mesh, its last dimension fastest. Where they are not,
 * sums over a dimension of the mesh are not recognised, or the wrong dimension is named.
 *
 * <p>Cannot see: a mistake that the published gradient shares with the reported norm; which of two
 * mistakes it was where both predict the same value (a loss scale equal to the number of workers).
 */
final class NormCheck {
  /** How near a mistake's prediction must come, relative. Norms come as floats, at 6e-8. */
  private static final double FIT = 2e-4;

  /**
   * Predictions nearer to each other than this are the same: the first, more usual one is named.
   */
  private static final double SAME = 2e-6;

  private static final double LARGEST_FLOAT16 = 65_504;
  private static final int MOST_BATCHES = 64;
  private static final int FEWEST_OCTAVES_OF_A_SCALE = 7;

  private final LayerTable table;
  private final Step step;
  private final double norm;
  private final int[] ranks;
  private final double[] reported;
  private final double[] reduced;
  private final double[] local;

  /** What ranks should report; the least that any does if the norm is unknown. */
  private final double expected;

  /** Places of the ranks that do not. */
  private final int[] wrong;

  private int wrongs;
  private Guess best = new Guess(FIT, null, null);

  private record Guess(double error, String mistake, String remedy) {}

  /**
   * What a trainer says against what its shards yield.
   *
   * @param rank whose value it is; null if all that report one agree
   * @param reported by that rank
   * @param norm that the shards yield; if they yield none, the least that a rank reports
   * @param message one plain sentence: expected, got, which mistake fits, what to do
   */
  record Disagreement(Integer rank, double reported, double norm, String message) {}

  private NormCheck(LayerTable table, Step step, double norm) {
    this.table = table;
    this.step = step;
    this.norm = norm;
    RankEvidence evidence = step.evidence();
    var comparison = evidence.comparison();
    boolean perRank = comparison != null && comparison.reportedNorm() != null;
    if (perRank) {
      ranks = evidence.ranks();
      reported = comparison.reportedNorm();
      reduced = comparison.reducedNorm() == null ? unknown(ranks) : comparison.reducedNorm();
      local = evidence.localNorm();
    } else {
      Double one = step.scalars().reportedGlobalNorm();
      ranks = new int[1];
      reported = new double[] {one == null ? Double.NaN : one};
      reduced = unknown(ranks);
      local = unknown(ranks);
    }
    wrong = new int[ranks.length];
    expected =
        Double.isNaN(norm)
            ? Arrays.stream(reported).filter(r -> !Double.isNaN(r)).min().orElse(Double.NaN)
            : norm;
  }

  private static double[] unknown(int[] ranks) {
    double[] unknown = new double[ranks.length];
    Arrays.fill(unknown, Double.NaN);
    return unknown;
  }

  /** Whether the step tells anything of the trainer's norm. */
  static boolean isPossible(Step step) {
    return step.scalars().reportedGlobalNorm() != null
        && !step.scalars().stepSkipped()
        && !NonFiniteDetector.isIn(step)
        && step.completeness() == 1
        && !(step.scalars().clip() != null && step.scalars().clip().hides());
  }

  /**
   * Judges a step of which {@link #isPossible} holds.
   *
   * @param norm of all layers of the model; NaN if it is unknown
   * @param tolerance relative
   * @return null if the trainer is right, or nobody can say
   */
  static Disagreement of(LayerTable table, Step step, double norm, double tolerance) {
    var check = new NormCheck(table, step, norm);
    for (int i = 0; i < check.reported.length; i++) {
      if (error(check.reported[i], check.expected) > tolerance) {
        check.wrong[check.wrongs++] = i;
      }
    }
    return check.wrongs == 0 ? null : check.disagreement(tolerance);
  }

  private static double error(double value, double expected) {
    return value == expected ? 0 : Math.abs(value / expected - 1);
  }

  private Disagreement disagreement(double tolerance) {
    int worst = wrong[0];
    for (int k = 1; k < wrongs; k++) {
      worst =
          error(reported[wrong[k]], expected) > error(reported[worst], expected) ? wrong[k] : worst;
    }
    double said = reported[worst];
    boolean alike = Arrays.stream(reported).allMatch(r -> !(error(r, said) > tolerance));
    supposeWholeNorms();
    supposeOtherNorms();
    supposeSumsOverRanks();
    supposeFactors(said);
    supposeFormats(said);
    String why =
        best.mistake == null
            ? "no known mistake fits. Check over which parameters, ranks and micro-batches it is"
                + " taken"
            : best.mistake + ". " + best.remedy;
    String message;
    if (Double.isNaN(norm)) {
      message =
          "Ranks report different global gradient norms at step %d, from %s to %s by rank %d: %s."
              .formatted(step.id().step(), digits(expected), digits(said), ranks[worst], why);
    } else {
      String who = alike ? "The trainer" : "Rank %d".formatted(ranks[worst]);
      String others =
          alike || wrongs == 1
              ? ""
              : wrongs == 2
                  ? ", and another rank is wrong too"
                  : ", and %d other ranks are wrong too".formatted(wrongs - 1);
      message =
          "%s reports a global gradient norm of %s at step %d where its shards yield %s%s: %s."
              .formatted(who, digits(said), step.id().step(), digits(norm), others, why);
    }
    return new Disagreement(alike ? null : (Integer) ranks[worst], said, expected, message);
  }

  /** Four digits: enough to see a difference of one in a thousand; whole numbers whole. */
  static String digits(double value) {
    boolean isWhole = value == Math.rint(value) && Math.abs(value) < 1e9;
    return String.format(Locale.ROOT, isWhole ? "%.0f" : "%.4g", value);
  }

  private void supposeWholeNorms() {
    Double scale = step.scalars().lossScale();
    if (scale != null && scale != 1) {
      suppose(
          i -> norm * scale,
          "it is still multiplied by the loss scale of %s".formatted(digits(scale)),
          "Take it after unscaling");
      suppose(
          i -> norm / scale,
          "it is divided by the loss scale of %s once too often".formatted(digits(scale)),
          "Unscale once");
    }
    Clip clip = step.scalars().clip();
    if (clip != null && clip.norm() != null) {
      suppose(
          i -> Math.min(norm, clip.norm()),
          "it is the norm after clipping to %s".formatted(digits(clip.norm())),
          "Report the norm from before clipping");
    }
    if (clip != null && clip.coef() != null) {
      suppose(
          i -> norm * clip.coef(),
          "it is the norm after clipping by %s".formatted(digits(clip.coef())),
          "Report the norm from before clipping");
    }
    if (table.pipelineStages() > 1) {
      suppose(
          i -> step.globalNorm(), "it is that of one pipeline stage alone", "Reduce it over pp");
    }
    int workers = table.workers();
    if (workers > 1) {
      suppose(
          i -> norm * workers,
          "it is that of the sum over the %d data-parallel workers".formatted(workers),
          "Take it of their mean");
      suppose(
          i -> norm / workers,
          "it is divided by the %d data-parallel workers once too often".formatted(workers),
          "Average once, and publish the averaged gradient");
    }
  }

  private void supposeOtherNorms() {
    double sum = 0;
    double ones = step.norms().l1() == null ? Double.NaN : 0;
    double most = 0;
    double tied = 0;
    double frozen = 0;
    for (int layer = 0; layer < table.size(); layer++) {
      double l2 = step.norms().l2()[layer];
      if (table.tiedTo(layer) >= 0) {
        double shared = step.norms().l2()[table.tiedTo(layer)];
        tied += shared * shared;
      } else if (table.isOptional(layer)) {
        frozen += Double.isNaN(l2) ? 0 : l2 * l2;
      } else {
        sum += l2;
        ones += step.norms().l1() == null ? 0 : step.norms().l1()[layer];
        most = Math.max(most, step.norms().linf()[layer]);
      }
    }
    double withTied = Math.sqrt(norm * norm + tied);
    suppose(i -> withTied, "it counts tied layers twice", "Count each tensor once");
    double withFrozen = Math.sqrt(norm * norm + frozen);
    suppose(i -> withFrozen, "it counts frozen layers too", "Leave them out");
    suppose(i -> norm * norm, "it is the square of the norm", "Take the root");
    if (table.pipelineStages() > 1) {
      // The others are of this stage's layers only.
      return;
    }
    double added = sum;
    suppose(
        i -> added,
        "it is the sum of the layers' norms",
        "Take the root of the sum of their squares");
    double abs = ones;
    suppose(i -> abs, "it is the L1 norm", "Take the L2 norm");
    double largest = most;
    suppose(i -> largest, "it is the largest magnitude", "Take the L2 norm");
  }

  private void supposeSumsOverRanks() {
    suppose(
        i -> reduced[i],
        "each rank reports the norm of its own slices",
        "Add up the squares over all ranks that hold slices");
    suppose(
        i -> local[i],
        "each rank reports the norm of its own gradient from before the reduction",
        "Take it after the reduction");
    List<MeshAxis> mesh = table.mesh();
    for (int axes = 1; axes < 1 << mesh.size(); axes++) {
      String names = names(mesh, axes);
      double[] rooted = names == null ? null : rootsOverGroups(reduced, axes);
      if (rooted == null) {
        continue;
      }
      boolean tooMuch = false;
      for (int k = 0; k < wrongs; k++) {
        tooMuch |= rooted[wrong[k]] > norm;
      }
      supposeSumOverAxes(names, tooMuch, i -> rooted[i]);
    }
    for (int axes = 1; axes < 1 << mesh.size(); axes++) {
      String names = names(mesh, axes);
      if (names != null && isCopied(axes)) {
        // What single ranks hold may be unknown, where one copy reports for all.
        double copied = norm * Math.sqrt(members(axes));
        supposeSumOverAxes(names, true, i -> copied);
      }
    }
    for (int axes = 1; axes < 1 << mesh.size(); axes++) {
      String names = names(mesh, axes);
      double[] rooted = names == null ? null : rootsOverGroups(local, axes);
      if (rooted == null) {
        continue;
      }
      String what =
          "it is the root of the sum of squares, over %s, of gradients from before the"
              + " reduction";
      suppose(i -> rooted[i], what.formatted(names), "Take it after the reduction");
      suppose(
          i -> rooted[i] / table.workers(),
          (what + ", over the number of workers").formatted(names),
          "Take it after the reduction");
    }
    double meanLocal = Arrays.stream(local).average().orElse(Double.NaN);
    suppose(
        i -> meanLocal,
        "it is the mean of the ranks' norms from before the reduction",
        "Take it after the reduction");
    double meanReduced = Arrays.stream(reduced).average().orElse(Double.NaN);
    suppose(
        i -> meanReduced,
        "it is the mean of the norms of the ranks' slices",
        "Add up their squares instead");
  }

  private void supposeSumOverAxes(String names, boolean tooMuch, IntToDoubleFunction prediction) {
    suppose(
        prediction,
        tooMuch
            ? "its squares are added up over %s, where layers have copies".formatted(names)
            : "its squares are added up over %s alone".formatted(names),
        tooMuch
            ? "Count each copied slice once"
            : "Add them up over every dimension of the mesh that has slices");
  }

  private void supposeFactors(double said) {
    for (int k = 2; k <= MOST_BATCHES; k++) {
      int batches = k;
      suppose(
          i -> norm * batches,
          "it is %d times that, as if %1$d micro-batches were added up and not averaged"
              .formatted(k),
          "Divide the loss by the number of micro-batches");
      suppose(
          i -> norm / batches,
          "it is 1/%d of that, as if %1$d micro-batches were averaged twice".formatted(k),
          "Divide by the number of micro-batches once");
    }
    double octaves = Octaves.log2(norm / said);
    if (step.scalars().lossScale() == null
        && octaves > FEWEST_OCTAVES_OF_A_SCALE - 0.5
        && octaves < Float.MAX_EXPONENT) {
      double scale = Math.scalb(1.0, (int) Math.rint(octaves));
      suppose(
          i -> norm / scale,
          "the published gradient is still multiplied by a loss scale of %s that no shard declares"
              .formatted(digits(scale)),
          "Declare lossScale");
    }
  }

  private void supposeFormats(double said) {
    suppose(
        i -> bfloat16(norm),
        "it is rounded to the 8 significant bits of a bfloat16",
        "Take and keep it in float32, whatever the gradient's format");
    if (best.mistake != null || !(norm > 0)) {
      return;
    }
    if (Double.isInfinite(said)) {
      boolean isHalf = norm * norm > LARGEST_FLOAT16 && norm * norm < Float.MAX_VALUE;
      best =
          new Guess(
              0,
              "every element is finite, so its squares have overflowed"
                  + (isHalf ? ", as they do in float16" : ""),
              "Take it in float32 or wider, of unscaled values");
    } else if (said == 0) {
      best =
          new Guess(
              0,
              "its squares have vanished, as they do in 16-bit formats",
              "Take it in float32 or wider");
    } else if (bfloat16(said) == said && said < norm) {
      best =
          new Guess(
              0,
              "it has no more bits than a bfloat16, in which sums of squares stop growing",
              "Take it in float32, whatever the gradient's format");
    }
  }

  /** The nearest of the floats that a bfloat16 can hold, ties to even. */
  private static double bfloat16(double value) {
    int bits = Float.floatToIntBits((float) value);
    return Float.intBitsToFloat(bits + 0x7FFF + (bits >>> 16 & 1) & 0xFFFF_0000);
  }

  /** Names the mistake if it predicts what the wrong ranks report better than those before it. */
  private void suppose(IntToDoubleFunction prediction, String mistake, String remedy) {
    double worst = 0;
    for (int k = 0; k < wrongs; k++) {
      double error = error(reported[wrong[k]], prediction.applyAsDouble(wrong[k]));
      worst = Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.max(worst, error);
    }
    if (best.mistake == null ? worst <= best.error : worst < best.error - SAME) {
      best = new Guess(worst, mistake, remedy);
    }
  }

  /** The dimensions of a set; null if one of them is no dimension at all. */
  private static String names(List<MeshAxis> mesh, int axes) {
    List<String> names = new ArrayList<>();
    for (int axis = 0; axis < mesh.size(); axis++) {
      if ((axes & 1 << axis) != 0) {
        if (mesh.get(axis).size() == 1) {
          return null;
        }
        names.add(mesh.get(axis).name());
      }
    }
    return String.join(" and ", names);
  }

  /**
   * By rank, the root of the sum of squares over the ranks that differ from it along these
   * dimensions only; NaN where one of them is unknown. Null if no group is known.
   */
  private double[] rootsOverGroups(double[] norms, int axes) {
    int members = members(axes);
    if (ranks.length < members) {
      return null;
    }
    Map<Integer, double[]> groups = new HashMap<>();
    for (int i = 0; i < ranks.length; i++) {
      double[] group = groups.computeIfAbsent(outside(ranks[i], axes), g -> new double[2]);
      group[0] += norms[i] * norms[i];
      group[1]++;
    }
    double[] roots = new double[ranks.length];
    for (int i = 0; i < ranks.length; i++) {
      double[] group = groups.get(outside(ranks[i], axes));
      roots[i] = group[1] == members ? Math.sqrt(group[0]) : Double.NaN;
    }
    return roots;
  }

  private boolean isCopied(int axes) {
    boolean copied = true;
    for (int axis = 0; axis < table.mesh().size(); axis++) {
      copied &= (axes & 1 << axis) == 0 || table.isCopiedAlong(axis);
    }
    return copied;
  }

  /** How many ranks differ along these dimensions only. */
  private int members(int axes) {
    int members = 1;
    for (int axis = 0; axis < table.mesh().size(); axis++) {
      members *= (axes & 1 << axis) == 0 ? 1 : table.mesh().get(axis).size();
    }
    return members;
  }

  /** The rank with its coordinates along these dimensions set to 0. */
  private int outside(int rank, int axes) {
    int rest = rank;
    int stride = 1;
    int outside = 0;
    for (int axis = table.mesh().size() - 1; axis >= 0; axis--) {
      int size = table.mesh().get(axis).size();
      outside += (axes & 1 << axis) == 0 ? rest % size * stride : 0;
      rest /= size;
      stride *= size;
    }
    return outside;
  }
}
