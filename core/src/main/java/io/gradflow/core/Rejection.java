package io.gradflow.core;

/**
 * A record that was understood but could not be used, e.g. a shard whose manifest never came.
 *
 * @param reason a short constant word such as {@code no-manifest}: a metric label and the dead
 *     letter's header
 * @param detail one sentence: who, expected, got, what to do
 * @param id the step it spoke of
 * @param rank the rank that sent it, -1 where none did
 * @param origin where it was read, null outside Kafka
 */
public record Rejection(String reason, String detail, StepId id, int rank, Origin origin) {}
