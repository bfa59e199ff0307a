package io.gradflow.core;

/**
 * Where a record was read: the coordinates error texts and dead letters name.
 *
 * @param timestamp of the record, ms since the epoch
 */
public record Origin(String topic, int partition, long offset, long timestamp) {
  @Override
  public String toString() {
    return topic + "-" + partition + "@" + offset;
  }
}
