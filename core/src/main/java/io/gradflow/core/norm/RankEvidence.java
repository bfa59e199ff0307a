package io.gradflow.core.norm;

/**
 * What is known of the single ranks of a step, kept because merging erases it.
 *
 * @param ranks the ranks that reported anything, ascending
 * @param localNorm aligned with ranks: the rank's LOCAL global norm over its layers, NaN without
 *     LOCAL shards
 * @param arrivalLagMs aligned with ranks: time from the first shard that the broker had of the
 *     rank's group of 64 to this rank's last
 * @param dropped aligned with ranks: records its producer has dropped so far
 * @param outliersPerLayer k, the row length of the two outlier columns; 0 without LOCAL shards
 * @param outlierRanks layers x k: the ranks whose LOCAL log2 RMS is farthest from the median over
 *     ranks, farthest first, -1 where there are fewer
 * @param outlierLog2Rms layers x k: their log2 RMS, NaN where there are fewer
 * @param histogramOffsets layers + 1: row i of the two histogram columns runs from offset i to i +
 *     1; null without LOCAL shards
 * @param histogramBins {@code floor(16 log2 RMS)}: bins of a sixteenth of an octave, ascending in a
 *     row
 * @param histogramCounts ranks in that bin
 * @param localSquares per layer: the sum over ranks of squared LOCAL norms; null without LOCAL
 *     shards
 * @param localRanks per layer: how many ranks that sum has; null without LOCAL shards
 * @param replicaSpread per layer: largest over smallest norm of the complete replicas, less 1; NaN
 *     with fewer than two; null when no layer has two
 * @param writtenAt when the broker took the step's first shard, ms since the epoch; null in steps
 *     of release 0.1
 * @param places where the ranks run, aligned with ranks; null where none says
 * @param comparison how ranks agree beyond their norms; null where nothing says
 */
public record RankEvidence(
    int[] ranks,
    double[] localNorm,
    long[] arrivalLagMs,
    long[] dropped,
    int outliersPerLayer,
    int[] outlierRanks,
    float[] outlierLog2Rms,
    int[] histogramOffsets,
    int[] histogramBins,
    int[] histogramCounts,
    double[] localSquares,
    int[] localRanks,
    float[] replicaSpread,
    Long writtenAt,
    RankPlaces places,
    RankComparison comparison) {}
