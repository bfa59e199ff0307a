package io.gradflow.core.norm;

import io.gradflow.core.StepId;
import io.gradflow.core.shard.RunEvent;
import java.util.List;

/**
 * One step of a run, put together: the exact norms of its layers, how complete they are, and the
 * evidence of the ranks.
 *
 * @param part of {@code parts}: a step that does not fit a record is split by layers when written
 * @param firstLayer index of the first layer of the columns
 * @param revision number of contributions merged: readers keep the highest of a step
 * @param late published after a later step had left: outside windows
 * @param completeness of 0 to 1: contributions received over contributions due (rank, stage)
 * @param worldSize ranks of the run as the manifest has it
 * @param missingRanks ranks that were due and did not (wholly) report, ascending; empty when
 *     complete
 * @param conflictingRanks ranks that sent something that contradicts what they had sent of this
 *     step or, since the step before left, of a closed one, ascending; the earlier stays. Empty as
 *     a rule
 * @param incompleteLayers indices of layers with completeness below 1; null when there is none
 * @param incompleteCompleteness aligned: elements received over elements expected
 * @param globalNorm L2 over all layers; NaN when any layer has none
 * @param evidence of the ranks
 * @param events of the run that precede this step and follow the previous one; empty as a rule
 * @param signals what is known beyond norms; null if nothing is
 */
public record Step(
    StepId id,
    long manifestId,
    int part,
    int parts,
    int firstLayer,
    long revision,
    ClosedBy closedBy,
    boolean late,
    double completeness,
    int worldSize,
    int[] missingRanks,
    int[] conflictingRanks,
    int[] incompleteLayers,
    double[] incompleteCompleteness,
    double globalNorm,
    NormColumns norms,
    RankEvidence evidence,
    StepScalars scalars,
    List<RunEvent> events,
    StepSignals signals) {}
