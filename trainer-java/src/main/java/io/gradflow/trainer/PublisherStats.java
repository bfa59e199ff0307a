package io.gradflow.trainer;

/**
 * What became of the records so far: every record is in exactly one of the four.
 *
 * @param sent acknowledged by Kafka
 * @param dropped shards that gave way to newer ones in a full queue, were left in it at the end, or
 *     could not be measured
 * @param failed taken from the queue and not acknowledged: the broker was away for too long, or
 *     refused them
 * @param pending in the queue or on their way
 */
public record PublisherStats(long sent, long dropped, long failed, long pending) {}
