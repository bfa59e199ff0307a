package io.gradflow.trainer;

/**
 * How a publisher is doing, counted in records since it was opened: offered = sent + dropped +
 * waiting.
 *
 * @param sent acknowledged by Kafka
 * @param dropped refused by the full queue, or given up after Kafka did not take them
 * @param waiting in the queue or under way
 * @param lastError of the most recent failure; null if there was none
 */
public record PublisherStats(long sent, long dropped, long waiting, String lastError) {}
