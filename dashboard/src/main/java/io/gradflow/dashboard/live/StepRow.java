package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * One step as it is kept: its scalars, a cell for each layer, and where the whole of it lies. NaN
 * is unknown.
 *
 * @param partition of gradient-steps
 * @param firstOffset, offset of the first and the last record of the step
 * @param finite no element of any layer is NaN or Inf; without, the global norm is NaN
 * @param learningRate the first of the trainer's
 * @param missing how many ranks did not wholly report
 * @param dropped sum over ranks of the records their producers dropped so far
 * @param lagMs from the first shard in the broker to the step in gradient-steps; -1 if unknown
 * @param writtenAt when the broker had the first shard, else when it had the step, ms since the
 *     epoch
 * @param at when the broker had the step, ms since the epoch
 * @param stages what the stages of a pipeline say of it, without their cells, those that have come;
 *     empty for a step that is one record
 * @param cells in the order of the layers' indices; see {@link Cells}
 */
public record StepRow(
    long step,
    long attempt,
    long manifestId,
    long revision,
    int partition,
    long firstOffset,
    long offset,
    double completeness,
    ClosedBy closedBy,
    boolean late,
    boolean finite,
    double globalNorm,
    double loss,
    double validationLoss,
    double learningRate,
    double lossScale,
    double clipCoef,
    double weight,
    boolean skipped,
    int missing,
    long dropped,
    long lagMs,
    boolean histograms,
    long writtenAt,
    long at,
    List<Stage> stages,
    short[] cells) {

  /**
   * What one stage of a pipeline says.
   *
   * @param firstLayer where its layers begin among those of the whole
   * @param layers how many
   */
  public record Stage(int firstLayer, int layers, StepRow row) {
    /** Whether it has a layer of the whole. */
    public boolean holds(int layer) {
      return layer >= firstLayer && layer < firstLayer + layers;
    }
  }

  /** Of everything but the cells, with its place in the maps of a window. */
  private static final int FIXED_BYTES = 400;

  /** The row of a step, or of what one of its parts says. */
  public static StepRow of(Step step, Origin origin) {
    StepScalars scalars = step.scalars();
    RankEvidence evidence = step.evidence();
    Long written = evidence == null ? null : evidence.writtenAt();
    double[] rates = scalars.learningRates();
    return new StepRow(
        step.id().step(),
        step.id().attempt(),
        step.manifestId(),
        step.revision(),
        origin.partition(),
        origin.offset(),
        origin.offset(),
        step.completeness(),
        step.closedBy(),
        step.late(),
        step.norms().nonFinite() == null,
        step.globalNorm(),
        number(scalars.loss()),
        number(scalars.validationLoss()),
        rates == null || rates.length == 0 ? Double.NaN : rates[0],
        number(scalars.lossScale()),
        scalars.clip() == null ? Double.NaN : number(scalars.clip().coef()),
        scalars.weight(),
        scalars.stepSkipped(),
        step.missingRanks().length,
        evidence == null || evidence.dropped() == null
            ? 0
            : Arrays.stream(evidence.dropped()).sum(),
        written == null ? -1 : Math.max(0, origin.timestamp() - written),
        step.signals() != null && step.signals().histograms() != null,
        written == null ? origin.timestamp() : written,
        origin.timestamp(),
        List.of(),
        Cells.of(step));
  }

  private static double number(Double value) {
    return value == null ? Double.NaN : value;
  }

  /**
   * The row of a step that was split.
   *
   * @param parts in the order of their layers
   */
  static StepRow joined(List<StepRow> parts) {
    StepRow head = parts.get(0);
    short[] cells = new short[parts.stream().mapToInt(part -> part.cells.length).sum()];
    int filled = 0;
    for (StepRow part : parts) {
      System.arraycopy(part.cells, 0, cells, filled, part.cells.length);
      filled += part.cells.length;
    }
    return new StepRow(
        head.step,
        head.attempt,
        head.manifestId,
        head.revision,
        head.partition,
        parts.stream().mapToLong(StepRow::firstOffset).min().orElseThrow(),
        parts.stream().mapToLong(StepRow::offset).max().orElseThrow(),
        head.completeness,
        head.closedBy,
        head.late,
        parts.stream().allMatch(StepRow::finite),
        head.globalNorm,
        head.loss,
        head.validationLoss,
        head.learningRate,
        head.lossScale,
        head.clipCoef,
        head.weight,
        head.skipped,
        head.missing,
        head.dropped,
        head.lagMs,
        parts.stream().anyMatch(StepRow::histograms),
        head.writtenAt,
        parts.stream().mapToLong(StepRow::at).max().orElseThrow(),
        List.of(),
        cells);
  }

  /**
   * The row of a step of several stages: completeness is the least of them, lag and weight the
   * largest, the global norm is known once all have come, and what only some tell is that of the
   * first that does.
   *
   * @param manifestId of all together
   * @param stages that have come, in the order of their layers
   * @param expected how many there are
   */
  static StepRow ofStages(long manifestId, List<Stage> stages, int expected, short[] cells) {
    List<StepRow> rows = stages.stream().map(Stage::row).toList();
    StepRow head = rows.get(0);
    StepRow least = Collections.min(rows, Comparator.comparingDouble(StepRow::completeness));
    double squares = rows.stream().mapToDouble(row -> row.globalNorm * row.globalNorm).sum();
    return new StepRow(
        head.step,
        head.attempt,
        manifestId,
        rows.stream().mapToLong(StepRow::revision).max().orElseThrow(),
        head.partition,
        rows.stream().mapToLong(StepRow::firstOffset).min().orElseThrow(),
        rows.stream().mapToLong(StepRow::offset).max().orElseThrow(),
        least.completeness,
        least.closedBy,
        rows.stream().anyMatch(StepRow::late),
        rows.stream().allMatch(StepRow::finite),
        rows.size() < expected ? Double.NaN : Math.sqrt(squares),
        firstKnown(rows, StepRow::loss),
        firstKnown(rows, StepRow::validationLoss),
        firstKnown(rows, StepRow::learningRate),
        firstKnown(rows, StepRow::lossScale),
        firstKnown(rows, StepRow::clipCoef),
        rows.stream().mapToDouble(StepRow::weight).max().orElseThrow(),
        rows.stream().anyMatch(StepRow::skipped),
        rows.stream().mapToInt(StepRow::missing).sum(),
        rows.stream().mapToLong(StepRow::dropped).sum(),
        rows.stream().mapToLong(StepRow::lagMs).max().orElseThrow(),
        rows.stream().anyMatch(StepRow::histograms),
        rows.stream().mapToLong(StepRow::writtenAt).min().orElseThrow(),
        rows.stream().mapToLong(StepRow::at).max().orElseThrow(),
        stages,
        cells);
  }

  private static double firstKnown(List<StepRow> rows, ToDoubleFunction<StepRow> of) {
    return rows.stream()
        .mapToDouble(of)
        .filter(value -> !Double.isNaN(value))
        .findFirst()
        .orElse(Double.NaN);
  }

  /** Its records by stage; of a step that is one record, itself. */
  public List<Stage> apart() {
    return stages.isEmpty() ? List.of(new Stage(0, cells.length, this)) : stages;
  }

  /** The same record with other cells. */
  StepRow withCells(short[] others) {
    return new StepRow(
        step,
        attempt,
        manifestId,
        revision,
        partition,
        firstOffset,
        offset,
        completeness,
        closedBy,
        late,
        finite,
        globalNorm,
        loss,
        validationLoss,
        learningRate,
        lossScale,
        clipCoef,
        weight,
        skipped,
        missing,
        dropped,
        lagMs,
        histograms,
        writtenAt,
        at,
        List.of(),
        others);
  }

  /** What it takes of memory, in bytes. */
  int bytes() {
    return FIXED_BYTES * (1 + stages.size()) + Short.BYTES * cells.length;
  }
}
