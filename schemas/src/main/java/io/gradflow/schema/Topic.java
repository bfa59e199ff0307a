package io.gradflow.schema;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.avro.Schema;

/** The topics of gradflow: names, schemas, and what they are created with. */
public enum Topic {
  MANIFESTS("gradient-manifests", "GradientManifest", 3, "compact,delete", Duration.ofDays(30)),
  RUNS("gradient-runs", "GradientRunEvent", 3, "compact,delete", Duration.ofDays(30)),
  SHARDS("gradient-shards", "GradientShard", 12, "delete", Duration.ofDays(3)),
  BLOCKS("gradient-blocks", "GradientBlock", 12, "delete", Duration.ofHours(6)),
  STEPS("gradient-steps", "GradientStep", 6, "delete", Duration.ofDays(7)),
  WINDOWS("gradient-windows", "GradientWindow", 6, "delete", Duration.ofDays(30)),
  ALERTS("gradient-alerts", "GradientAlert", 3, "delete", Duration.ofDays(30)),
  RULES("gradient-rules", "GradientRule", 1, "compact", null),
  CAPTURES("gradient-captures", "GradientCapture", 1, "delete", Duration.ofDays(1)),
  FEEDBACK("gradient-feedback", "GradientFeedback", 1, "compact", null),
  DEAD_LETTERS("gradient-dead-letters", null, 3, "delete", Duration.ofDays(14));

  /**
   * The largest value written to any topic but {@link #DEAD_LETTERS}, in bytes: what does not fit
   * is split into parts. Leaves room for key, headers and framing below Kafka's default of 1 MiB.
   */
  public static final int MAX_VALUE_BYTES = 900_000;

  /** Kafka's setting of who stamps records. */
  public static final String TIMESTAMPS = "message.timestamp.type";

  private static final int MAX_MESSAGE_BYTES = 1_048_588;

  // Bytes that could not be read may be larger than those that can: they are kept all the same.
  private static final int MAX_DEAD_LETTER_BYTES = 32 << 20;

  private final String topicName;
  private final int partitions;
  private final String cleanup;
  private final Duration retention;

  @SuppressWarnings("ImmutableEnumChecker") // written in its constructor only, as is what it holds
  private final RowType rowType;

  Topic(String topicName, String schema, int partitions, String cleanup, Duration retention) {
    this.topicName = topicName;
    this.partitions = partitions;
    this.cleanup = cleanup;
    this.retention = retention;
    this.rowType = schema == null ? null : RowType.load(schema);
  }

  /** The name in Kafka. */
  public String topicName() {
    return topicName;
  }

  /** How many partitions it is created with unless the user says otherwise. */
  public int partitions() {
    return partitions;
  }

  /** True if a record without a value deletes the one before it under the same key. */
  public boolean isCompacted() {
    return cleanup.startsWith("compact");
  }

  /** Kafka's settings the topic is created with, by Kafka's names. */
  public Map<String, String> settings() {
    Map<String, String> settings = new LinkedHashMap<>();
    settings.put("cleanup.policy", cleanup);
    if (retention != null) {
      settings.put("retention.ms", Long.toString(retention.toMillis()));
    }
    if (this == SHARDS || this == BLOCKS) {
      // One clock for all ranks tells how far apart partitions are read; trainers' clocks do not.
      settings.put(TIMESTAMPS, "LogAppendTime");
    }
    settings.put(
        "max.message.bytes",
        Integer.toString(this == DEAD_LETTERS ? MAX_DEAD_LETTER_BYTES : MAX_MESSAGE_BYTES));
    return settings;
  }

  /** The schema this build writes; null for {@link #DEAD_LETTERS}, whose values are any bytes. */
  public Schema schema() {
    return rowType == null ? null : rowType.schema();
  }

  RowType rowType() {
    return rowType;
  }

  /** The topic of that name in Kafka; null if it is none of these. */
  public static Topic named(String topicName) {
    for (Topic topic : values()) {
      if (topic.topicName.equals(topicName)) {
        return topic;
      }
    }
    return null;
  }

  /**
   * Joins the components of a record's key with {@code |}. Names come from users, so that {@code |}
   * and {@code %} in them are written {@code %7C} and {@code %25}: different components never make
   * one key.
   */
  public static String key(Object... components) {
    StringBuilder key = new StringBuilder();
    for (int i = 0; i < components.length; i++) {
      key.append(i == 0 ? "" : "|");
      key.append(components[i].toString().replace("%", "%25").replace("|", "%7C"));
    }
    return key.toString();
  }
}
