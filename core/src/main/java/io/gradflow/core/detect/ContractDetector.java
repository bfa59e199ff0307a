package io.gradflow.core.detect;

import static io.gradflow.core.detect.FindingKind.CONTRACT;

import io.gradflow.core.norm.RankComparison;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepSignals;
import io.gradflow.core.shard.Clip;
import java.util.Arrays;
import java.util.List;

/**
 * {@link FindingKind#CONTRACT}: what a trainer says contradicts itself.
 *
 * <ul>
 *   <li><b>Records.</b> {@code steps} published steps in a row name a rank that sent two different
 *       records under one identity. The first one counts, so that norms are those of one of them,
 *       and nobody can say of which. As a rule two processes publish as one rank.
 *   <li><b>The global norm.</b> In {@code normSteps} steps in a row the trainer's own global norm
 *       is more than {@code normTolerance} from the one its shards yield, or ranks report different
 *       ones ({@link NormCheck}).
 *   <li><b>Clipping.</b> In so many steps in a row the gradient exceeds the declared clip after
 *       clipping.
 *   <li><b>Clip coefficients.</b> In so many steps in a row a rank says another coefficient of a
 *       clip to the global norm than most ranks do, or none where nearly all others say one.
 *   <li><b>Updates.</b> In so many steps in a row a layer's update is exactly zero although its
 *       gradient and every learning rate are not.
 *   <li><b>The mean.</b> In so many steps in a row the norm of the mean over the workers is larger
 *       than the largest of theirs, which no mean is. Judged where ranks differ by their data
 *       alone.
 * </ul>
 *
 * <p>Skipped, non-finite and incomplete steps, and those without the values in question, neither
 * count nor end a row.
 *
 * <p>Cannot see: a contradiction after the run's last step; which of two records was right; a
 * mistake that the published gradient and the trainer's norm share.
 */
public final class ContractDetector {
  /** Unit of findings of contradicting records. */
  static final String RECORDS = "ranks";

  private ContractDetector() {}

  /**
   * Thresholds.
   *
   * @param steps published steps in a row with contradicting records
   * @param normSteps published steps in a row that contradict otherwise
   * @param normTolerance of norms, relative
   */
  public record Settings(int steps, int normSteps, double normTolerance) {
    static final Settings DEFAULT = new Settings(1, 3, 1e-3);

    /** Checks the ranges. */
    public Settings {
      Thresholds.require(CONTRACT, "steps", steps, 1, 10_000);
      Thresholds.require(CONTRACT, "normSteps", normSteps, 1, 10_000);
      Thresholds.require(CONTRACT, "normTolerance", normTolerance, 1e-6, 1);
    }
  }

  /**
   * State of a lane. What is null has never been; so is what release 0.1 did not keep.
   *
   * @param streak published steps in a row with contradicting records
   * @param onset the first of them, -1 if none
   * @param hold quiet steps until the episode is over
   * @param norm steps in a row with a wrong global norm
   * @param clip likewise, with a gradient above its clip
   * @param update likewise, with a layer that is not updated
   * @param mean likewise, with a mean that is none
   * @param recent norms of a pipeline stage
   * @param coefficients steps in a row with a rank that clips otherwise
   */
  public record State(
      int streak,
      long onset,
      int hold,
      Row norm,
      Row clip,
      Row update,
      Row mean,
      StageNorms recent,
      Row coefficients) {
    static final State FRESH = new State(0, -1, 0, null, null, null, null, null, null);
  }

  /**
   * Steps in a row.
   *
   * @param onset the first of them
   */
  public record Row(int steps, long onset) {
    private static Row next(Row row, long step) {
      return row == null ? new Row(1, step) : new Row(row.steps() + 1, row.onset());
    }
  }

  /**
   * The global norms of a pipeline stage at its last steps, newest first, until those of the other
   * stages come.
   *
   * @param steps -1 where there is none
   */
  public record StageNorms(long[] steps, double[] norms) {
    private static final int SIZE = 16;

    private static StageNorms with(StageNorms before, long step, double norm) {
      long[] steps = new long[SIZE];
      double[] norms = new double[SIZE];
      Arrays.fill(steps, -1);
      if (before != null) {
        System.arraycopy(before.steps, 0, steps, 1, SIZE - 1);
        System.arraycopy(before.norms, 0, norms, 1, SIZE - 1);
      }
      steps[0] = step;
      norms[0] = norm;
      return new StageNorms(steps, norms);
    }

    private double at(long step) {
      for (int i = 0; i < SIZE; i++) {
        if (steps[i] == step) {
          return norms[i];
        }
      }
      return Double.NaN;
    }
  }

  /**
   * Judges a step of the run's own order.
   *
   * @param others states of the stream's other manifests
   */
  static State observe(
      LayerTable table,
      Step step,
      State state,
      List<State> others,
      Settings settings,
      Verdicts out) {
    int[] ranks = step.conflictingRanks();
    int streak = ranks.length == 0 ? 0 : state.streak() + 1;
    long onset = streak == 0 ? -1 : streak == 1 ? step.id().step() : state.onset();
    boolean fires = streak >= settings.steps();
    if (fires) {
      out.run(
          CONTRACT,
          Severity.WARNING,
          null,
          ranks[0],
          onset,
          ranks.length,
          0,
          RECORDS,
          contradiction(step, ranks));
    }
    var judged = new Judged(table, step, settings, out);
    StageNorms recent =
        table.pipelineStages() == 1
            ? null
            : StageNorms.with(state.recent(), step.id().step(), step.globalNorm());
    double norm = norm(table, step, others);
    Row wrong = judged.norm(state.norm(), norm);
    Row unclipped = judged.clip(state.clip(), norm);
    Row uneven = judged.coefficients(state.coefficients(), norm);
    Row unchanged = judged.update(state.update());
    Row noMean = judged.mean(state.mean());
    boolean overHalf = streak > settings.steps() / 2.0 || judged.overHalf;
    int hold = out.hold(state.hold(), fires || judged.fires, overHalf);
    if (hold > 0) {
      out.active(CONTRACT);
    }
    return new State(streak, onset, hold, wrong, unclipped, unchanged, noMean, recent, uneven);
  }

  /** Of the whole model; NaN if it is not known, or not yet. */
  private static double norm(LayerTable table, Step step, List<State> others) {
    if (table.pipelineStages() == 1) {
      return step.globalNorm();
    }
    double squares = step.globalNorm() * step.globalNorm();
    int stages = 1;
    for (State other : others) {
      double norm = other.recent() == null ? Double.NaN : other.recent().at(step.id().step());
      if (!Double.isNaN(norm)) {
        squares += norm * norm;
        stages++;
      }
    }
    return stages == table.pipelineStages() ? Math.sqrt(squares) : Double.NaN;
  }

  private static String contradiction(Step step, int[] ranks) {
    String others =
        ranks.length == 1
            ? ""
            : ranks.length == 2
                ? " Another rank did so too."
                : " %d other ranks did so too.".formatted(ranks.length - 1);
    return ("Rank %d sent two different records for one step, at step %d or shortly before; the"
            + " first counts. Look for a second process that publishes as rank %d.%s")
        .formatted(ranks[0], step.id().step(), ranks[0], others);
  }

  /** One step held against what the trainer declares. */
  private static final class Judged {
    /** Frameworks add a little to the norm before they divide by it. */
    private static final double ROUGHLY = 1e-2;

    private final LayerTable table;
    private final Step step;
    private final Settings settings;
    private final Verdicts out;
    private final boolean excused;
    private boolean fires;
    private boolean overHalf;

    Judged(LayerTable table, Step step, Settings settings, Verdicts out) {
      this.table = table;
      this.step = step;
      this.settings = settings;
      this.out = out;
      excused =
          step.scalars().stepSkipped() || NonFiniteDetector.isIn(step) || step.completeness() < 1;
    }

    /** The row after this step; null if the step ends it. */
    private Row row(Row before, boolean broken) {
      Row row = broken ? Row.next(before, step.id().step()) : null;
      overHalf |= row != null && row.steps() > settings.normSteps() / 2.0;
      return row;
    }

    private boolean fires(Row row) {
      boolean isLong = row != null && row.steps() >= settings.normSteps();
      fires |= isLong;
      return isLong;
    }

    Row norm(Row before, double norm) {
      if (excused || !NormCheck.isPossible(step)) {
        return before;
      }
      var wrong = NormCheck.of(table, step, norm, settings.normTolerance());
      if (wrong == null && Double.isNaN(norm)) {
        return before;
      }
      Row row = row(before, wrong != null);
      if (fires(row)) {
        out.run(
            CONTRACT,
            Severity.WARNING,
            null,
            wrong.rank(),
            row.onset(),
            wrong.reported(),
            wrong.norm(),
            "norm",
            wrong.message());
      }
      return row;
    }

    /** What is left of the gradient after clipping to a global norm must be within that norm. */
    Row clip(Row before, double norm) {
      Clip clip = step.scalars().clip();
      boolean known = clip != null && Clip.GLOBAL_NORM.equals(clip.mode()) && clip.norm() != null;
      if (excused || !known || Double.isNaN(norm) || (clip.coef() == null && !clip.applied())) {
        return before;
      }
      double left = clip.coef() == null ? norm : norm * clip.coef();
      Row row = row(before, left > clip.norm() * (1 + settings.normTolerance()));
      if (fires(row)) {
        out.run(
            CONTRACT,
            Severity.WARNING,
            null,
            null,
            row.onset(),
            left,
            clip.norm(),
            "norm",
            ("The gradient still has a norm of %s after it was clipped to %s at step %d: the clip is"
                    + " computed from another norm or applied to other parameters. Clip all of them"
                    + " by one coefficient, from the norm over all ranks.")
                .formatted(
                    NormCheck.digits(left), NormCheck.digits(clip.norm()), step.id().step()));
      }
      return row;
    }

    /** Ranks that clip to one norm all multiply by one coefficient. */
    Row coefficients(Row before, double norm) {
      Clip clip = step.scalars().clip();
      boolean known = clip != null && Clip.GLOBAL_NORM.equals(clip.mode());
      if (excused || !known || step.evidence() == null) {
        return before;
      }
      int[] ranks = step.evidence().ranks();
      RankComparison comparison = step.evidence().comparison();
      double[] said = comparison == null ? null : comparison.clipCoef();
      double most = said == null ? Double.NaN : right(said, clip, norm);
      int odd = -1;
      int others = 0;
      for (int i = 0; !Double.isNaN(most) && i < ranks.length; i++) {
        if (!isClose(said[i], most)) {
          odd = odd < 0 ? i : odd;
          others++;
        }
      }
      Row row = row(before, odd >= 0);
      if (fires(row)) {
        double coefficient = Double.isNaN(said[odd]) ? 1 : said[odd];
        out.run(
            CONTRACT,
            Severity.WARNING,
            null,
            ranks[odd],
            row.onset(),
            coefficient,
            most,
            "coefficient",
            ("Rank %d %s at step %d where most ranks multiply the gradient by %s to clip it: their"
                    + " weights drift apart. Clip all of them by one coefficient, from the norm over"
                    + " all ranks.%s")
                .formatted(
                    ranks[odd],
                    Double.isNaN(said[odd])
                        ? "says nothing of clipping"
                        : "multiplies by " + NormCheck.digits(coefficient),
                    step.id().step(),
                    NormCheck.digits(most),
                    others == 1 ? "" : " %d more ranks differ.".formatted(others - 1)));
      }
      return row;
    }

    /** What most say; where there is no majority, what follows from norm and limit. */
    private double right(double[] said, Clip clip, double norm) {
      double most = mostCommon(said);
      if (Double.isNaN(most) && clip.norm() != null && norm > 0) {
        double due = Math.min(1, clip.norm() / norm);
        for (double value : said) {
          if (Math.abs(value - due) <= ROUGHLY * due) {
            return value;
          }
        }
      }
      return most;
    }

    /** What three quarters of the ranks say, of three at least; NaN if there is no such thing. */
    private double mostCommon(double[] said) {
      double median =
          Robust.median(Arrays.stream(said).filter(value -> !Double.isNaN(value)).toArray());
      long agree = Arrays.stream(said).filter(value -> isClose(value, median)).count();
      // Two of three, or three quarters of more.
      return said.length >= 3 && agree >= Math.min(said.length - 1, Math.ceil(0.75 * said.length))
          ? median
          : Double.NaN;
    }

    private boolean isClose(double one, double other) {
      return Math.abs(one - other) <= settings.normTolerance() * Math.abs(other);
    }

    Row update(Row before) {
      StepSignals signals = step.signals();
      double[] rates = step.scalars().learningRates();
      boolean known = signals != null && signals.updateNorm() != null && rates != null;
      if (excused || !known || !Arrays.stream(rates).allMatch(rate -> rate > 0)) {
        return before;
      }
      int first = -1;
      int more = 0;
      for (int layer = 0; layer < table.size(); layer++) {
        if (signals.updateNorm()[layer] == 0
            && step.norms().l2()[layer] > 0
            && !table.isOptional(layer)) {
          first = first < 0 ? layer : first;
          more++;
        }
      }
      Row row = row(before, more > 0);
      if (fires(row)) {
        String others = more == 1 ? "" : " and %d other layers".formatted(more - 1);
        out.run(
            CONTRACT,
            Severity.WARNING,
            table.name(first),
            null,
            row.onset(),
            more,
            0,
            "layers",
            ("The optimiser leaves %s%s as they are at step %d although they have a gradient and a"
                    + " learning rate: look for parameters that the optimiser was not given, or whose"
                    + " updates are too small for their number format.")
                .formatted(table.label(first), others, step.id().step()));
      }
      return row;
    }

    Row mean(Row before) {
      double[] norms = step.evidence().localNorm();
      boolean known =
          table.averages()
              && table.workers() > 1
              && table.workers() == step.worldSize()
              && norms.length == table.workers()
              && everyLayerIsLocal();
      double largest = Arrays.stream(norms).max().orElse(Double.NaN);
      if (excused || !known || Double.isNaN(largest) || Double.isNaN(step.globalNorm())) {
        return before;
      }
      Row row = row(before, step.globalNorm() > largest * (1 + settings.normTolerance()));
      if (fires(row)) {
        out.run(
            CONTRACT,
            Severity.WARNING,
            null,
            null,
            row.onset(),
            step.globalNorm(),
            largest,
            "norm",
            ("The reduced gradient has a norm of %s at step %d where no worker's exceeds %s: it is"
                    + " not the mean of them that the manifest declares, but perhaps their sum over %d"
                    + " workers. Average it, or declare reduceOp sum.")
                .formatted(
                    NormCheck.digits(step.globalNorm()),
                    step.id().step(),
                    NormCheck.digits(largest),
                    table.workers()));
      }
      return row;
    }

    private boolean everyLayerIsLocal() {
      int[] ranks = step.evidence().localRanks();
      for (int layer = 0; ranks != null && layer < table.size(); layer++) {
        if (ranks[layer] < table.workers() && !table.isOptional(layer)) {
          return false;
        }
      }
      return ranks != null;
    }
  }
}
