package io.gradflow.core.shard;

import java.util.List;

/**
 * A request to trainers for raw blocks. They answer only where they have been told that they may:
 * raw gradients leak data.
 *
 * @param captureId names the request in the blocks that answer it
 * @param layers names of the layers wanted
 * @param ranks the ranks wanted; null for all
 * @param firstStep the first step wanted; null for the next one
 * @param steps how many steps, at least 1
 * @param byteBudget bytes that a rank may send for this request at most
 * @param expiresAt when the request is void, ms since the epoch
 * @param requestedBy null if unknown
 * @param requestedAt ms since the epoch
 */
public record Capture(
    String captureId,
    String runId,
    String stream,
    List<String> layers,
    int[] ranks,
    Long firstStep,
    int steps,
    long byteBudget,
    long expiresAt,
    String requestedBy,
    long requestedAt) {}
