package io.gradflow.trainer;

import io.gradflow.core.StepId;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/**
 * Who publishes, and where to.
 *
 * @param bootstrapServers of Kafka, e.g. {@code broker-1:9092,broker-2:9092}
 * @param runId name of the run, 1 to 500 characters
 * @param attempt start of this attempt in ms since the epoch, the same on all ranks: decide it once
 *     (on rank 0) and share it, or take it from the launcher
 * @param stream one per optimiser or model, 1 to 500 characters
 * @param rank global rank of this publisher
 * @param coords the rank's coordinates along the manifest's mesh
 * @param host where the rank runs; null if unknown
 * @param device e.g. {@code cuda:3}; null if unknown
 * @param queueCapacity how many shards may wait for Kafka, 1 to 100,000; beyond that the oldest is
 *     dropped. Of raw values each 768 KiB count as one
 * @param signals which signals are measured beside norms; raw values are measured downstream
 * @param kafka further properties of Kafka's producer, e.g. for security; these go before the
 *     publisher's own
 */
public record PublisherOptions(
    String bootstrapServers,
    String runId,
    long attempt,
    String stream,
    int rank,
    int[] coords,
    String host,
    String device,
    int queueCapacity,
    SignalPolicy signals,
    Map<String, String> kafka) {

  /** How many shards may wait unless said otherwise. */
  public static final int DEFAULT_QUEUE_CAPACITY = 256;

  private static final String PREFIX = "GRADFLOW_";
  private static final String KAFKA_PREFIX = PREFIX + "KAFKA_";
  private static final int MAX_QUEUE_CAPACITY = 100_000;
  private static final int MAX_NAME_LENGTH = 500;

  public PublisherOptions {
    require(
        bootstrapServers != null && !bootstrapServers.isBlank(),
        "bootstrapServers",
        "host:port,...",
        bootstrapServers);
    require(isName(runId), "runId", "1 to 500 characters", runId);
    require(attempt >= 0, "attempt", "ms since the epoch", attempt);
    require(isName(stream), "stream", "1 to 500 characters", stream);
    require(rank >= 0, "rank", "0 or more", rank);
    require(
        coords != null && Arrays.stream(coords).allMatch(c -> c >= 0),
        "coords",
        "numbers of 0 or more",
        Arrays.toString(coords));
    require(
        queueCapacity >= 1 && queueCapacity <= MAX_QUEUE_CAPACITY,
        "queueCapacity",
        "1 to " + MAX_QUEUE_CAPACITY,
        queueCapacity);
    require(signals != null, "signals", "a policy", null);
    coords = coords.clone();
    kafka = Map.copyOf(kafka);
  }

  /** Options with the signals as by default. */
  public PublisherOptions(
      String bootstrapServers,
      String runId,
      long attempt,
      String stream,
      int rank,
      int[] coords,
      String host,
      String device,
      int queueCapacity,
      Map<String, String> kafka) {
    this(
        bootstrapServers,
        runId,
        attempt,
        stream,
        rank,
        coords,
        host,
        device,
        queueCapacity,
        SignalPolicy.DEFAULT,
        kafka);
  }

  /** The options of a rank of a plain data-parallel training; the rest as by default. */
  public static PublisherOptions of(String bootstrapServers, String runId, long attempt, int rank) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        StepId.MAIN_STREAM,
        rank,
        new int[] {rank},
        null,
        null,
        DEFAULT_QUEUE_CAPACITY,
        Map.of());
  }

  /** The same with other signals. */
  public PublisherOptions with(SignalPolicy otherSignals) {
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
        otherSignals,
        kafka);
  }

  /**
   * The options that an environment sets: {@code GRADFLOW_BOOTSTRAP_SERVERS}, {@code GRADFLOW_RUN},
   * {@code GRADFLOW_ATTEMPT} and {@code GRADFLOW_RANK} are needed; {@code GRADFLOW_STREAM}, {@code
   * GRADFLOW_COORDS} ({@code 0,3}; the rank alone by default), {@code GRADFLOW_HOST} ({@code
   * HOSTNAME} by default), {@code GRADFLOW_DEVICE}, {@code GRADFLOW_QUEUE} and {@code
   * GRADFLOW_SIGNALS} (as {@link SignalPolicy#parse} reads it) may be set; {@code
   * GRADFLOW_KAFKA_SECURITY_PROTOCOL} sets Kafka's {@code security.protocol}, and so on.
   *
   * @throws IllegalArgumentException naming the variable that is missing or wrong
   */
  public static PublisherOptions fromEnvironment(Map<String, String> environment) {
    int rank = (int) number(environment, "RANK", null, Integer.MAX_VALUE);
    String coords = environment.getOrDefault(PREFIX + "COORDS", Integer.toString(rank));
    Map<String, String> kafka = new TreeMap<>();
    environment.forEach(
        (name, value) -> {
          if (name.startsWith(KAFKA_PREFIX)) {
            String property = name.substring(KAFKA_PREFIX.length()).toLowerCase(Locale.ROOT);
            kafka.put(property.replace('_', '.'), value);
          }
        });
    return new PublisherOptions(
        needed(environment, "BOOTSTRAP_SERVERS"),
        needed(environment, "RUN"),
        number(environment, "ATTEMPT", null, Long.MAX_VALUE),
        environment.getOrDefault(PREFIX + "STREAM", StepId.MAIN_STREAM),
        rank,
        coordinates(coords),
        environment.getOrDefault(PREFIX + "HOST", environment.get("HOSTNAME")),
        environment.get(PREFIX + "DEVICE"),
        (int) number(environment, "QUEUE", DEFAULT_QUEUE_CAPACITY, MAX_QUEUE_CAPACITY),
        signals(environment.get(PREFIX + "SIGNALS")),
        kafka);
  }

  private static SignalPolicy signals(String text) {
    try {
      return text == null ? SignalPolicy.DEFAULT : SignalPolicy.parse(text);
    } catch (IllegalArgumentException e) {
      throw new IllegalArgumentException(
          PREFIX + "SIGNALS: " + e.getMessage().replaceFirst("^signals: ", ""), e);
    }
  }

  private static int[] coordinates(String text) {
    try {
      return text.isBlank()
          ? new int[0]
          : Arrays.stream(text.split(",", -1))
              .map(String::trim)
              .mapToInt(Integer::parseInt)
              .toArray();
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          PREFIX + "COORDS: expected numbers with commas between them, got \"" + text + "\"", e);
    }
  }

  private static String needed(Map<String, String> environment, String name) {
    String value = environment.get(PREFIX + name);
    require(value != null && !value.isBlank(), PREFIX + name, "a value", value);
    return value;
  }

  private static long number(
      Map<String, String> environment, String name, Integer fallback, long highest) {
    if (fallback != null && !environment.containsKey(PREFIX + name)) {
      return fallback;
    }
    String text = needed(environment, name);
    String expected = "a number of 0 to " + highest;
    try {
      long value = Long.parseLong(text.trim());
      require(value >= 0 && value <= highest, PREFIX + name, expected, text);
      return value;
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          PREFIX + name + ": expected " + expected + ", got \"" + text + "\"", e);
    }
  }

  private static boolean isName(String name) {
    return name != null && !name.isEmpty() && name.length() <= MAX_NAME_LENGTH;
  }

  private static void require(boolean valid, String option, String expected, Object got) {
    if (!valid) {
      throw new IllegalArgumentException(option + ": expected " + expected + ", got " + got);
    }
  }
}
