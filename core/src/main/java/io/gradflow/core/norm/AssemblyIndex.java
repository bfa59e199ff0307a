package io.gradflow.core.norm;

import io.gradflow.core.shard.RunEvent;
import java.util.List;

/**
 * What assembling remembers of a run beside its steps.
 *
 * @param attempt the highest one seen, -1 before any; lower ones are fenced
 * @param lanes of that attempt
 * @param ends of that attempt and later ones
 * @param events that wait for the step they precede
 * @param nextTicket number of the next delta that waits for its manifest
 * @param waiting how many do
 * @param lastInputAt ms
 * @param armedAt the wake-up asked for last, ms
 */
public record AssemblyIndex(
    long attempt,
    List<Lane> lanes,
    List<RunEnd> ends,
    List<RunEvent> events,
    long nextTicket,
    int waiting,
    long lastInputAt,
    long armedAt) {}
