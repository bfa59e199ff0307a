package io.gradflow.core.window;

import io.gradflow.core.norm.RunEnd;
import java.util.List;

/**
 * What windows remember of a run beside their rows.
 *
 * @param attempt the highest one seen, -1 before any
 * @param windows one per lane of that attempt
 * @param ends of that attempt and later ones
 * @param nextTicket number of the next step that waits for its manifest
 * @param waiting how many do
 * @param lastInputAt ms
 * @param armedAt the wake-up asked for last, ms
 */
public record WindowIndex(
    long attempt,
    List<OpenWindow> windows,
    List<RunEnd> ends,
    long nextTicket,
    int waiting,
    long lastInputAt,
    long armedAt) {}
