package io.gradflow.core.shard;

import java.util.List;

/**
 * What is known of a run while its manifests and events are passed on.
 *
 * @param groups rank groups of its largest manifest, 0 while none is known
 * @param pending events that wait for the first manifest
 * @param lastInputAt ms
 * @param armedAt the wake-up asked for last, ms
 */
public record RunBook(int groups, List<RunEvent> pending, long lastInputAt, long armedAt) {}
