package io.gradflow.jobs;

import io.gradflow.core.norm.Limits;
import io.gradflow.schema.WriterSchemas;
import java.util.List;
import java.util.Locale;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.configuration.ConfigOptions;
import org.apache.flink.configuration.MemorySize;

/** Every option of the jobs, with its type, its default and what it does: the one home of each. */
public final class GradflowOptions {
  /**
   * Options with this prefix go to every Kafka client as they are, e.g. {@code
   * gradflow.kafka.properties.security.protocol}.
   */
  public static final String KAFKA_PROPERTIES_PREFIX = "gradflow.kafka.properties.";

  /** Where Kafka is. */
  public static final ConfigOption<String> BOOTSTRAP_SERVERS =
      ConfigOptions.key("gradflow.kafka.bootstrap.servers")
          .stringType()
          .noDefaultValue()
          .withDescription("Kafka brokers, host:port, comma-separated.");

  /** The consumer group's name, to which the job's own is appended. */
  public static final ConfigOption<String> GROUP_ID_PREFIX =
      ConfigOptions.key("gradflow.kafka.group.id.prefix")
          .stringType()
          .defaultValue("gradflow")
          .withDescription(
              "Consumer groups are PREFIX-norm and PREFIX-alert; offsets are committed at checkpoints.");

  /** Where a job that never ran starts to read shards or steps. */
  public static final ConfigOption<Start> START =
      ConfigOptions.key("gradflow.source.start")
          .enumType(Start.class)
          .defaultValue(Start.EARLIEST)
          .withDescription(
              "earliest or latest: where a job begins to read shards (NormJob) or steps (AlertJob) if it has neither a"
                  + " checkpoint or savepoint nor committed offsets. Manifests, run events and rules are always read"
                  + " from the beginning.");

  /** How often alerts may be written. */
  public static final ConfigOption<Delivery> ALERT_DELIVERY =
      ConfigOptions.key("gradflow.alerts.delivery")
          .enumType(Delivery.class)
          .defaultValue(Delivery.AT_LEAST_ONCE)
          .withDescription(
              "at-least-once: alerts appear within milliseconds, and after a failure possibly twice under one alertId."
                  + " exactly-once: they appear at checkpoints, to read_committed readers, once.");

  /** Names the alert sink's transactions. */
  public static final ConfigOption<String> ALERT_TRANSACTION_PREFIX =
      ConfigOptions.key("gradflow.alerts.transactional.id.prefix")
          .stringType()
          .defaultValue("gradflow-alerts")
          .withDescription(
              "Prefix of the transactional ids of exactly-once alerts: one of its own for each deployment, and what an ACL names.");

  /** Where Confluent-framed records' schemas are. */
  public static final ConfigOption<String> REGISTRY_URL =
      ConfigOptions.key(WriterSchemas.REGISTRY_OPTION)
          .stringType()
          .noDefaultValue()
          .withDescription(
              "Base URL of a Confluent-compatible schema registry; needed only if trainers write its 5-byte framing.");

  /** Runs that a subtask of combine holds. */
  public static final ConfigOption<Integer> LIMIT_RUNS =
      ConfigOptions.key("gradflow.limits.runs")
          .intType()
          .defaultValue(Limits.defaults().runs())
          .withDescription(
              "Runs that one subtask of combine works on at a time; shards of further ones are refused.");

  /** Layers that a subtask of combine holds. */
  public static final ConfigOption<Long> LIMIT_LAYERS =
      ConfigOptions.key("gradflow.limits.layers")
          .longType()
          .defaultValue(Limits.defaults().layers())
          .withDescription(
              "Layers of all those runs together, once for each rank group of 64; shards that would bring more are"
                  + " refused.");

  /** Bytes that a subtask of combine holds. */
  public static final ConfigOption<MemorySize> LIMIT_BYTES =
      ConfigOptions.key("gradflow.limits.bytes")
          .memoryType()
          .defaultValue(new MemorySize(Limits.defaults().bytes()))
          .withDescription(
              "Shards of open steps, shards without manifest, and layouts, in one subtask of combine; beyond, the oldest"
                  + " open steps of the run close, or its shards are refused.");

  /** All of them, in the order in which they are documented. */
  public static final List<ConfigOption<?>> ALL =
      List.of(
          BOOTSTRAP_SERVERS,
          GROUP_ID_PREFIX,
          START,
          ALERT_DELIVERY,
          ALERT_TRANSACTION_PREFIX,
          REGISTRY_URL,
          LIMIT_RUNS,
          LIMIT_LAYERS,
          LIMIT_BYTES);

  private GradflowOptions() {}

  /** Where to begin. */
  public enum Start {
    EARLIEST,
    LATEST;

    /** As it is set. */
    @Override
    public String toString() {
      return word(this);
    }
  }

  /** How often a record may appear after a failure. */
  public enum Delivery {
    AT_LEAST_ONCE,
    EXACTLY_ONCE;

    /** As it is set. */
    @Override
    public String toString() {
      return word(this);
    }
  }

  private static String word(Enum<?> choice) {
    return choice.name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}
