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
 * @param worldSize number of ranks, more than {@code rank}; null if unknown. Nothing that is
 *     published needs it: manifests say it themselves
 * @param coords the rank's coordinates along the manifest's mesh
 * @param host where the rank runs; null if unknown
 * @param device e.g. {@code cuda:3}; null if unknown
 * @param queueCapacity how many shards may wait for Kafka, 1 to 100,000; beyond that the oldest is
 *     dropped. Of raw values each 768 KiB count as one
 * @param every one step in so many is measured and published, 1 to 1,000,000: those where {@code
 *     step % every == 0}. The same on all ranks
 * @param signals which signals are measured beside norms; raw values are measured downstream
 * @param enabled false: nothing is measured or published, no thread is started, and nothing
 *     connects
 * @param kafka further properties of Kafka's producer, e.g. for security; these go before the
 *     publisher's own
 */
public record PublisherOptions(
    String bootstrapServers,
    String runId,
    long attempt,
    String stream,
    int rank,
    Integer worldSize,
    int[] coords,
    String host,
    String device,
    int queueCapacity,
    int every,
    SignalPolicy signals,
    boolean enabled,
    Map<String, String> kafka) {

  /** How many shards may wait unless said otherwise. */
  public static final int DEFAULT_QUEUE_CAPACITY = 256;

  private static final String PREFIX = "GRADFLOW_";
  private static final String KAFKA_PREFIX = PREFIX + "KAFKA_";
  private static final String ENABLED = PREFIX + "ENABLED";
  private static final int MAX_QUEUE_CAPACITY = 100_000;
  private static final int MAX_EVERY = 1_000_000;
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
        worldSize == null || worldSize > rank,
        "worldSize",
        "more ranks than the number of this one, " + rank,
        worldSize);
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
    require(every >= 1 && every <= MAX_EVERY, "every", "1 to " + MAX_EVERY, every);
    require(signals != null, "signals", "a policy", null);
    coords = coords.clone();
    kafka = Map.copyOf(kafka);
  }

  /** Options with the rest as by default. */
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
        null,
        coords,
        host,
        device,
        queueCapacity,
        1,
        SignalPolicy.DEFAULT,
        true,
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
    return with(every, otherSignals, enabled);
  }

  /** The same, of one step in so many. */
  public PublisherOptions withEvery(int steps) {
    return with(steps, signals, enabled);
  }

  /** The same, switched off. */
  public PublisherOptions off() {
    return with(every, signals, false);
  }

  private PublisherOptions with(int steps, SignalPolicy otherSignals, boolean on) {
    return new PublisherOptions(
        bootstrapServers,
        runId,
        attempt,
        stream,
        rank,
        worldSize,
        coords,
        host,
        device,
        queueCapacity,
        steps,
        otherSignals,
        on,
        kafka);
  }

  /** Whether a step is measured and published. */
  public boolean isDue(long step) {
    return enabled && step % every == 0;
  }

  /**
   * The options that an environment sets: {@code GRADFLOW_BOOTSTRAP_SERVERS}, {@code GRADFLOW_RUN},
   * {@code GRADFLOW_ATTEMPT} and {@code GRADFLOW_RANK} are needed; {@code GRADFLOW_WORLD_SIZE},
   * {@code GRADFLOW_STREAM}, {@code GRADFLOW_COORDS} ({@code 0,3}; the rank alone by default),
   * {@code GRADFLOW_HOST} ({@code HOSTNAME} by default), {@code GRADFLOW_DEVICE}, {@code
   * GRADFLOW_QUEUE}, {@code GRADFLOW_EVERY} and {@code GRADFLOW_SIGNALS} (as {@link
   * SignalPolicy#parse} reads it) may be set; {@code GRADFLOW_KAFKA_SECURITY_PROTOCOL} sets Kafka's
   * {@code security.protocol}, and so on.
   *
   * <p>Without {@code GRADFLOW_RANK}, rank and world size are the launcher's {@code RANK} and
   * {@code WORLD_SIZE}, or else {@code SLURM_PROCID} and {@code SLURM_NTASKS}. {@code
   * GRADFLOW_ENABLED=0} (or {@code false}) switches everything off: then nothing is needed.
   *
   * @throws IllegalArgumentException naming the variable that is missing or wrong
   */
  public static PublisherOptions fromEnvironment(Map<String, String> environment) {
    boolean enabled = enabled(environment.get(ENABLED));
    Map<String, String> variables = new TreeMap<>(environment);
    if (!enabled) {
      // A trainer that is not watched here need not know by what it would be.
      Map.of("BOOTSTRAP_SERVERS", "off", "RUN", "off", "ATTEMPT", "0")
          .forEach((name, value) -> variables.putIfAbsent(PREFIX + name, value));
    }
    String ranks = PREFIX + "RANK";
    String worldSizes = PREFIX + "WORLD_SIZE";
    if (!variables.containsKey(ranks)) {
      if (variables.containsKey("RANK")) {
        ranks = "RANK";
        worldSizes = "WORLD_SIZE";
      } else if (variables.containsKey("SLURM_PROCID")) {
        ranks = "SLURM_PROCID";
        worldSizes = "SLURM_NTASKS";
      } else if (!enabled) {
        variables.put(ranks, "0");
      }
    }
    int rank = (int) number(variables, ranks, 0, Integer.MAX_VALUE);
    Map<String, String> kafka = new TreeMap<>();
    variables.forEach(
        (name, value) -> {
          if (name.startsWith(KAFKA_PREFIX)) {
            String property = name.substring(KAFKA_PREFIX.length()).toLowerCase(Locale.ROOT);
            kafka.put(property.replace('_', '.'), value);
          }
        });
    return new PublisherOptions(
        needed(variables, PREFIX + "BOOTSTRAP_SERVERS"),
        needed(variables, PREFIX + "RUN"),
        number(variables, PREFIX + "ATTEMPT", 0, Long.MAX_VALUE),
        variables.getOrDefault(PREFIX + "STREAM", StepId.MAIN_STREAM),
        rank,
        variables.containsKey(worldSizes)
            ? (Integer) (int) number(variables, worldSizes, rank + 1L, Integer.MAX_VALUE)
            : null,
        coordinates(variables.getOrDefault(PREFIX + "COORDS", Integer.toString(rank))),
        variables.getOrDefault(PREFIX + "HOST", variables.get("HOSTNAME")),
        variables.get(PREFIX + "DEVICE"),
        numberOr(variables, PREFIX + "QUEUE", DEFAULT_QUEUE_CAPACITY, MAX_QUEUE_CAPACITY),
        numberOr(variables, PREFIX + "EVERY", 1, MAX_EVERY),
        signals(variables.get(PREFIX + "SIGNALS")),
        enabled,
        kafka);
  }

  private static boolean enabled(String text) {
    if (text == null) {
      return true;
    }
    return switch (text.trim().toLowerCase(Locale.ROOT)) {
      case "1", "true" -> true;
      case "0", "false" -> false;
      default ->
          throw new IllegalArgumentException(
              ENABLED + ": expected 1, true, 0 or false, got \"" + text + "\"");
    };
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

  private static String needed(Map<String, String> environment, String variable) {
    String value = environment.get(variable);
    require(value != null && !value.isBlank(), variable, "a value", value);
    return value;
  }

  /** A number of 1 or more, or what it is unless set. */
  private static int numberOr(
      Map<String, String> environment, String variable, int otherwise, int highest) {
    return environment.containsKey(variable)
        ? (int) number(environment, variable, 1, highest)
        : otherwise;
  }

  private static long number(
      Map<String, String> environment, String variable, long lowest, long highest) {
    String text = needed(environment, variable);
    String expected = "a number of " + lowest + " to " + highest;
    try {
      long value = Long.parseLong(text.trim());
      require(value >= lowest && value <= highest, variable, expected, text);
      return value;
    } catch (NumberFormatException e) {
      throw new IllegalArgumentException(
          variable + ": expected " + expected + ", got \"" + text + "\"", e);
    }
  }

  static boolean isName(String name) {
    return name != null && !name.isEmpty() && name.length() <= MAX_NAME_LENGTH;
  }

  private static void require(boolean valid, String option, String expected, Object got) {
    if (!valid) {
      throw new IllegalArgumentException(option + ": expected " + expected + ", got " + got);
    }
  }
}
