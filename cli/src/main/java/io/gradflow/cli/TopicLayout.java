package io.gradflow.cli;

import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * How one topic is laid out on the broker, and who touches it.
 *
 * @param name the topic's name
 * @param cleanup what the broker does with old records
 * @param retention how long records are kept; empty where only compaction removes them
 * @param maxMessageBytes the largest batch of records that producers must be able to send
 * @param spread whether the topic has as many partitions as asked for; a topic of commands has one,
 *     so that its readers see one order
 * @param writers who writes it
 * @param readers who reads it, beside people
 */
record TopicLayout(
    String name,
    Cleanup cleanup,
    Optional<Duration> retention,
    int maxMessageBytes,
    Spread spread,
    List<Principal> writers,
    List<Principal> readers) {

  /** What the broker does with old records. */
  enum Cleanup {
    COMPACT("compact"),
    DELETE("delete"),
    COMPACT_AND_DELETE("compact,delete");

    private final String policy;

    Cleanup(String policy) {
      this.policy = policy;
    }

    /** The value of Kafka's {@code cleanup.policy}. */
    String policy() {
      return policy;
    }
  }

  /** Over how many partitions a topic goes. */
  enum Spread {
    /** As many as asked for: its keys are spread over them. */
    MANY,
    /** One: few records, and every reader sees them in one order. */
    ONE
  }

  /** Who touches topics: name them as the cluster's authorizer does. */
  enum Principal {
    TRAINERS,
    NORM_JOB,
    ALERT_JOB,
    OPERATORS,
    READERS;

    /** As the hints write it. */
    String label() {
      return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
  }

  /** Trainers and jobs split what is larger; 1 MiB is also what a producer sends by default. */
  private static final int RECORD_BYTES = 1 << 20;

  /** Every topic, in the order in which records pass through them. */
  static final List<TopicLayout> ALL =
      List.of(
          new TopicLayout(
              "gradient-manifests",
              Cleanup.COMPACT_AND_DELETE,
              Optional.of(Duration.ofDays(90)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.TRAINERS),
              List.of(Principal.NORM_JOB, Principal.ALERT_JOB)),
          new TopicLayout(
              "gradient-runs",
              Cleanup.COMPACT_AND_DELETE,
              Optional.of(Duration.ofDays(90)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.TRAINERS),
              List.of(Principal.NORM_JOB, Principal.ALERT_JOB)),
          new TopicLayout(
              "gradient-shards",
              Cleanup.DELETE,
              Optional.of(Duration.ofDays(3)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.TRAINERS),
              List.of(Principal.NORM_JOB)),
          new TopicLayout(
              "gradient-blocks",
              Cleanup.DELETE,
              Optional.of(Duration.ofHours(6)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.TRAINERS),
              List.of(Principal.NORM_JOB)),
          new TopicLayout(
              "gradient-steps",
              Cleanup.DELETE,
              Optional.of(Duration.ofDays(7)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.NORM_JOB),
              List.of(Principal.ALERT_JOB)),
          new TopicLayout(
              "gradient-windows",
              Cleanup.DELETE,
              Optional.of(Duration.ofDays(30)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.NORM_JOB),
              List.of()),
          new TopicLayout(
              "gradient-alerts",
              Cleanup.DELETE,
              Optional.of(Duration.ofDays(30)),
              RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.ALERT_JOB),
              List.of()),
          new TopicLayout(
              "gradient-rules",
              Cleanup.COMPACT,
              Optional.empty(),
              RECORD_BYTES,
              Spread.ONE,
              List.of(Principal.OPERATORS),
              List.of(Principal.ALERT_JOB)),
          new TopicLayout(
              "gradient-captures",
              Cleanup.DELETE,
              Optional.of(Duration.ofDays(1)),
              RECORD_BYTES,
              Spread.ONE,
              List.of(Principal.ALERT_JOB),
              List.of(Principal.TRAINERS)),
          new TopicLayout(
              "gradient-feedback",
              Cleanup.COMPACT,
              Optional.empty(),
              RECORD_BYTES,
              Spread.ONE,
              List.of(Principal.OPERATORS),
              List.of()),
          new TopicLayout(
              "gradient-dead-letters",
              Cleanup.DELETE,
              Optional.of(Duration.ofDays(14)),
              2 * RECORD_BYTES,
              Spread.MANY,
              List.of(Principal.NORM_JOB, Principal.ALERT_JOB),
              List.of()));

  /** How many partitions the topic has where the spread ones have so many. */
  int partitions(int spreadPartitions) {
    return spread == Spread.ONE ? 1 : spreadPartitions;
  }

  /** Whether other topics' records end here unchanged, so that its size limit is above theirs. */
  boolean takesRejected() {
    return maxMessageBytes > RECORD_BYTES;
  }

  /** The topic's settings, in Kafka's words. */
  Map<String, String> settings() {
    String bytes = Integer.toString(maxMessageBytes);
    return retention
        .map(
            kept ->
                Map.of(
                    "cleanup.policy", cleanup.policy(),
                    "max.message.bytes", bytes,
                    "retention.ms", Long.toString(kept.toMillis())))
        .orElseGet(() -> Map.of("cleanup.policy", cleanup.policy(), "max.message.bytes", bytes));
  }
}
