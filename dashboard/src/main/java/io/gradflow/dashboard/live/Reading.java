package io.gradflow.dashboard.live;

import io.gradflow.schema.Topic;
import java.nio.charset.StandardCharsets;
import java.util.EnumMap;
import java.util.Map;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

/**
 * How far the topics have been read. A run's records are in the partition that Kafka's default
 * partitioner gives its key.
 *
 * @param era of the topics: another one where a topic was made anew
 * @param starts the offset of each partition that reading began at
 * @param read the last offset read of each partition, one less than the start before the first
 * @param done everything has been read that was there at the beginning
 * @param fraction of that, 0 to 1
 * @param heardAt when the broker was last heard, ms since the epoch
 * @param behind records that are in the topics and have not been read; NaN if unknown
 */
public record Reading(
    int era,
    Map<Topic, long[]> starts,
    Map<Topic, long[]> read,
    boolean done,
    double fraction,
    long heardAt,
    double behind) {

  /** Before the first answer of a broker. */
  public static final Reading NOTHING =
      new Reading(
          0, new EnumMap<>(Topic.class), new EnumMap<>(Topic.class), false, 0, 0, Double.NaN);

  /** Offsets up to which nothing of a run is known. */
  Position floors(String run) {
    return position(run, starts, -1);
  }

  /** The last offsets read of the partitions that hold a run. */
  Position read(String run) {
    return position(run, read, 0);
  }

  private static Position position(String run, Map<Topic, long[]> offsets, int more) {
    return new Position(
        of(Topic.STEPS, run, offsets) + more,
        -1,
        of(Topic.ALERTS, run, offsets) + more,
        of(Topic.RUNS, run, offsets) + more,
        0);
  }

  private static long of(Topic topic, String run, Map<Topic, long[]> offsets) {
    long[] all = offsets.get(topic);
    return all == null ? -1 : all[partition(run, all.length)];
  }

  /** The partition of a topic that holds a run, of those topics whose key is the run alone. */
  public static int partition(String run, int partitions) {
    return BuiltInPartitioner.partitionForKey(
        Topic.key(run).getBytes(StandardCharsets.UTF_8), partitions);
  }
}
