package io.gradflow.trainer;

import io.gradflow.core.StepId;
import java.util.List;
import java.util.Map;

/**
 * Who publishes, and where to. Immutable; {@code with} methods give changed copies.
 *
 * @param bootstrapServers Kafka brokers, host:port, comma-separated
 * @param runId name of the run
 * @param attempt start of this attempt in ms since the epoch, the same on all ranks: decide it once
 *     and share it
 * @param stream {@code main} unless the training has several optimisers
 * @param rank of this publisher
 * @param coords its coordinates, aligned with the manifest's mesh
 * @param host where the rank runs; null if unknown
 * @param device e.g. {@code cuda:3}; null if unknown
 * @param queueCapacity how many steps may wait for the network before new ones are dropped
 * @param kafkaProperties further settings of the Kafka producer, e.g. security; they go before the
 *     publisher's own
 */
public record PublisherOptions(
    String bootstrapServers,
    String runId,
    long attempt,
    String stream,
    int rank,
    List<Integer> coords,
    String host,
    String device,
    int queueCapacity,
    Map<String, String> kafkaProperties) {

  /** Steps that may wait unless said otherwise. */
  public static final int DEFAULT_QUEUE_CAPACITY = 256;

  /** Checks every setting. */
  public PublisherOptions {
    require(
        bootstrapServers != null && !bootstrapServers.isBlank(),
        "bootstrapServers",
        "host:port",
        bootstrapServers);
    require(runId != null && !runId.isBlank(), "runId", "a name", runId);
    require(attempt >= 0, "attempt", "ms since the epoch", attempt);
    require(stream != null && !stream.isBlank(), "stream", "a name", stream);
    require(rank >= 0, "rank", "0 or more", rank);
    require(queueCapacity >= 1, "queueCapacity", "1 or more", queueCapacity);
    coords = List.copyOf(coords);
    kafkaProperties = Map.copyOf(kafkaProperties);
  }

  /** Rank 0 of a training with one mesh dimension, on this host. */
  public static PublisherOptions of(String bootstrapServers, String runId, long attempt) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        StepId.MAIN_STREAM,
        0,
        List.of(0),
        System.getenv("HOSTNAME"),
        null,
        DEFAULT_QUEUE_CAPACITY,
        Map.of());
  }

  /**
   * The options in an environment: {@code GRADFLOW_BOOTSTRAP_SERVERS, GRADFLOW_RUN,
   * GRADFLOW_ATTEMPT}, and where they are set {@code GRADFLOW_STREAM} and {@code GRADFLOW_RANK}.
   *
   * @throws IllegalArgumentException naming the variable that is missing or wrong
   */
  public static PublisherOptions fromEnvironment(Map<String, String> environment) {
    PublisherOptions options =
        of(
            required(environment, "GRADFLOW_BOOTSTRAP_SERVERS"),
            required(environment, "GRADFLOW_RUN"),
            number("GRADFLOW_ATTEMPT", required(environment, "GRADFLOW_ATTEMPT")));
    String rank = environment.getOrDefault("GRADFLOW_RANK", "0");
    return options
        .withRank(Math.toIntExact(number("GRADFLOW_RANK", rank)))
        .withStream(environment.getOrDefault("GRADFLOW_STREAM", StepId.MAIN_STREAM));
  }

  /** Another rank of a training with one mesh dimension. */
  public PublisherOptions withRank(int newRank) {
    return withRank(newRank, List.of(newRank));
  }

  /** Another rank. */
  public PublisherOptions withRank(int newRank, List<Integer> newCoords) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        stream,
        newRank,
        newCoords,
        host,
        device,
        queueCapacity,
        kafkaProperties);
  }

  /** Another stream. */
  public PublisherOptions withStream(String newStream) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        newStream,
        rank,
        coords,
        host,
        device,
        queueCapacity,
        kafkaProperties);
  }

  /** Another place. */
  public PublisherOptions withPlace(String newHost, String newDevice) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        stream,
        rank,
        coords,
        newHost,
        newDevice,
        queueCapacity,
        kafkaProperties);
  }

  /** Another queue. */
  public PublisherOptions withQueueCapacity(int newCapacity) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        stream,
        rank,
        coords,
        host,
        device,
        newCapacity,
        kafkaProperties);
  }

  /** Other settings of the Kafka producer. */
  public PublisherOptions withKafkaProperties(Map<String, String> newProperties) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        stream,
        rank,
        coords,
        host,
        device,
        queueCapacity,
        newProperties);
  }

  private static String required(Map<String, String> environment, String name) {
    String value = environment.get(name);
    if (value == null || value.isBlank()) {
      throw new IllegalArgumentException(
          "environment variable " + name + " is not set: the publisher needs it");
    }
    return value;
  }

  private static long number(String name, String value) {
    try {
      return Long.parseLong(value);
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          "environment variable " + name + ": expected a whole number, got '" + value + "'", e);
    }
  }

  private static void require(boolean holds, String name, String expected, Object got) {
    if (!holds) {
      throw new IllegalArgumentException(
          "publisher option " + name + ": expected " + expected + ", got " + got);
    }
  }
}
