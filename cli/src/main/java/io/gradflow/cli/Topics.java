package io.gradflow.cli;

import io.gradflow.cli.TopicLayout.Principal;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;

/**
 * The topics of one cluster: creates those that are missing, and compares those that exist with
 * their {@link TopicLayout}. It never changes and never deletes a topic.
 */
final class Topics implements AutoCloseable {
  private static final Duration ANSWER = Duration.ofSeconds(4);

  private final String bootstrapServers;
  private final Admin admin;

  private Topics(String bootstrapServers, Admin admin) {
    this.bootstrapServers = bootstrapServers;
    this.admin = admin;
  }

  /**
   * Opens a client; whether anybody answers shows at the first question, within some seconds.
   *
   * @param bootstrapServers {@code host:port}, several separated by commas
   */
  static Topics of(String bootstrapServers) {
    String millis = Long.toString(ANSWER.toMillis());
    try {
      return new Topics(
          bootstrapServers,
          Admin.create(
              Map.of(
                  AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers,
                  AdminClientConfig.CLIENT_ID_CONFIG, "gradflow-topics",
                  AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, millis,
                  AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, millis)));
    } catch (KafkaException e) {
      throw new CommandFailed(
          "no broker can be looked for at %s: %s; expected host:port"
              .formatted(bootstrapServers, Causes.innermost(e)),
          e);
    }
  }

  /**
   * Creates the topics that do not exist, and returns when the broker lists them.
   *
   * @param partitions of each topic that is spread, at least 1
   * @param replicationFactor of every topic; empty for the broker's own default
   * @return the names of those created, in the order of {@link TopicLayout#ALL}
   */
  List<String> create(int partitions, Optional<Short> replicationFactor) {
    Set<String> existing = answer(admin.listTopics().names());
    List<NewTopic> missing =
        TopicLayout.ALL.stream()
            .filter(layout -> !existing.contains(layout.name()))
            .map(
                layout ->
                    new NewTopic(
                            layout.name(),
                            Optional.of(layout.partitions(partitions)),
                            replicationFactor)
                        .configs(layout.settings()))
            .toList();
    List<String> created = new ArrayList<>();
    Map<String, KafkaFuture<Void>> results = admin.createTopics(missing).values();
    for (NewTopic topic : missing) {
      if (wasCreated(topic.name(), results.get(topic.name()))) {
        created.add(topic.name());
      }
    }
    awaitListed(created);
    return created;
  }

  /** The controller creates a topic some milliseconds before brokers know of it. */
  private void awaitListed(List<String> created) {
    long deadline = System.nanoTime() + ANSWER.toNanos();
    while (!answer(admin.listTopics().names()).containsAll(created)) {
      if (System.nanoTime() > deadline) {
        throw new CommandFailed(
            "the broker at %s does not list the topics it created %d s ago; check its log"
                .formatted(bootstrapServers, ANSWER.toSeconds()));
      }
    }
  }

  private boolean wasCreated(String topic, KafkaFuture<Void> result) {
    try {
      answer(result);
      return true;
    } catch (CommandFailed e) {
      if (e.getCause() instanceof TopicExistsException) {
        return false; // Somebody was faster, which is as good.
      }
      throw new CommandFailed("topic %s: %s".formatted(topic, e.getMessage()), e);
    }
  }

  /**
   * Compares what exists with the layout: partitions, replication, cleanup and size limits. How
   * long records are kept is the cluster's affair.
   *
   * @param partitions expected of each topic that is spread
   * @param replicationFactor expected of every topic; empty to accept any
   * @return the differences, one sentence each; empty if there are none
   */
  List<String> check(int partitions, Optional<Short> replicationFactor) {
    Set<String> wanted = names(layout -> true);
    Set<String> present = new TreeSet<>(answer(admin.listTopics().names()));
    present.retainAll(wanted);
    Map<String, TopicDescription> descriptions =
        answer(admin.describeTopics(present).allTopicNames());
    Map<ConfigResource, Config> configs =
        answer(admin.describeConfigs(present.stream().map(Topics::resource).toList()).all());
    int largestInput =
        TopicLayout.ALL.stream()
            .filter(layout -> present.contains(layout.name()) && !layout.takesRejected())
            .mapToInt(layout -> maxMessageBytes(configs.get(resource(layout.name()))))
            .max()
            .orElse(0);

    List<String> differences = new ArrayList<>();
    for (TopicLayout layout : TopicLayout.ALL) {
      String name = layout.name();
      if (!present.contains(name)) {
        differences.add(
            "%s: expected to exist, is missing; create it with gradflow topics create"
                .formatted(name));
        continue;
      }
      TopicDescription description = descriptions.get(name);
      Config config = configs.get(resource(name));
      compare(
          differences,
          name,
          "partitions",
          layout.partitions(partitions),
          description.partitions().size());
      replicationFactor.ifPresent(
          factor ->
              compare(
                  differences,
                  name,
                  "replication factor",
                  factor.intValue(),
                  description.partitions().get(0).replicas().size()));
      compare(
          differences,
          name,
          "cleanup.policy",
          policies(layout.cleanup().policy()),
          policies(config.get("cleanup.policy").value()));
      int least =
          layout.takesRejected()
              ? Math.max(layout.maxMessageBytes(), largestInput + 1)
              : layout.maxMessageBytes();
      int actual = maxMessageBytes(config);
      if (actual < least) {
        differences.add(
            "%s: expected max.message.bytes of at least %d%s, is %d"
                .formatted(
                    name,
                    least,
                    layout.takesRejected() ? " (above every other topic's)" : "",
                    actual));
      }
    }
    return differences;
  }

  private static void compare(
      List<String> differences, String topic, String what, Object expected, Object actual) {
    if (!expected.equals(actual)) {
      differences.add("%s: expected %s %s, is %s".formatted(topic, what, expected, actual));
    }
  }

  /** The policies as the broker may list them in any order. */
  private static String policies(String list) {
    return Arrays.stream(list.split(",", -1))
        .map(String::strip)
        .sorted()
        .collect(Collectors.joining(","));
  }

  private static int maxMessageBytes(Config config) {
    return Integer.parseInt(config.get("max.message.bytes").value());
  }

  private static ConfigResource resource(String topic) {
    return new ConfigResource(ConfigResource.Type.TOPIC, topic);
  }

  /** What each principal must be allowed to do, one line each, for clusters with an authorizer. */
  static List<String> accessHints() {
    List<String> hints = new ArrayList<>();
    for (Principal principal : Principal.values()) {
      Set<String> written = names(layout -> layout.writers().contains(principal));
      Set<String> read =
          principal == Principal.READERS
              ? Set.of("gradient-alerts", "gradient-steps", "gradient-windows")
              : names(layout -> layout.readers().contains(principal));
      addHint(hints, principal, "Write, Describe", written);
      addHint(hints, principal, "Read, Describe", new TreeSet<>(read));
      if (principal == Principal.NORM_JOB || principal == Principal.ALERT_JOB) {
        hints.add(
            "%-10s Read on groups, Write on transactional ids that start with gradflow-"
                .formatted(principal.label()));
      } else if (principal == Principal.READERS) {
        hints.add("%-10s Read on their own groups".formatted(principal.label()));
      }
    }
    return hints;
  }

  private static void addHint(
      List<String> hints, Principal principal, String operations, Set<String> topics) {
    if (!topics.isEmpty()) {
      hints.add(
          "%-10s %s on %s".formatted(principal.label(), operations, String.join(", ", topics)));
    }
  }

  private static Set<String> names(Predicate<TopicLayout> which) {
    return TopicLayout.ALL.stream()
        .filter(which)
        .map(TopicLayout::name)
        .collect(Collectors.toCollection(TreeSet::new));
  }

  private <T> T answer(KafkaFuture<T> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      if (e.getCause() instanceof TimeoutException) {
        throw new CommandFailed(
            "no Kafka broker answers at %s: expected one within %d s; check the address, and that it is up"
                .formatted(bootstrapServers, ANSWER.toSeconds()),
            e.getCause());
      }
      throw new CommandFailed(
          "the broker at %s refused: %s".formatted(bootstrapServers, Causes.innermost(e)),
          e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailed("interrupted while the broker was asked", e);
    }
  }

  @Override
  public void close() {
    admin.close(Duration.ZERO);
  }
}
