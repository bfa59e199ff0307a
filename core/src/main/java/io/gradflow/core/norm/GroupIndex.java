package io.gradflow.core.norm;

import java.util.List;

/**
 * What a rank group remembers beside its steps.
 *
 * @param attempt the highest one seen, -1 before any; lower ones are fenced
 * @param lanes of that attempt
 * @param ends of that attempt and later ones
 * @param nextTicket number of the next shard that waits for its manifest
 * @param waiting how many do
 * @param waitingBytes of their columns
 * @param layers of the lanes
 * @param bytes of the shards of open steps, and of the layouts
 * @param lastInputAt ms
 * @param armedAt the wake-up asked for last, ms; {@link Long#MAX_VALUE} if none
 */
public record GroupIndex(
    long attempt,
    List<Lane> lanes,
    List<RunEnd> ends,
    long nextTicket,
    int waiting,
    long waitingBytes,
    long layers,
    long bytes,
    long lastInputAt,
    long armedAt) {}
