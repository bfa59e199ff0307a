package io.gradflow.dashboard.live;

import io.gradflow.core.Origin;
import io.gradflow.core.norm.ClosedBy;
import io.gradflow.core.norm.RankEvidence;
import io.gradflow.core.norm.Step;
import io.gradflow.core.norm.StepScalars;
import java.util.Arrays;
import java.util.List;

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
    short[] cells) {

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
        cells);
  }

  /** What it takes of memory, in bytes. */
  int bytes() {
    return FIXED_BYTES + Short.BYTES * cells.length;
  }
}
