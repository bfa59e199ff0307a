package io.gradflow.cli;

import io.gradflow.schema.Topic;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TopicExistsException;

/**
 * The topics of one cluster: creates those that are missing, and compares those that exist with
 * what {@link Topic} says. It never changes and never deletes a topic.
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
    return of(bootstrapServers, new Properties());
  }

  /**
   * Opens a client with more of Kafka's own properties, to log in for example.
   *
   * @param bootstrapServers {@code host:port}, several separated by commas
   */
  static Topics of(String bootstrapServers, Properties more) {
    String millis = Long.toString(ANSWER.toMillis());
    Properties properties = new Properties();
    properties.putAll(more);
    properties.setProperty(AdminClientConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrapServers);
    properties.setProperty(AdminClientConfig.CLIENT_ID_CONFIG, "gradflow-topics");
    properties.setProperty(AdminClientConfig.REQUEST_TIMEOUT_MS_CONFIG, millis);
    properties.setProperty(AdminClientConfig.DEFAULT_API_TIMEOUT_MS_CONFIG, millis);
    try {
      return new Topics(bootstrapServers, Admin.create(properties));
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
   * @param partitions of each topic that has several, at least 1; empty for each topic's own number
   * @param replicationFactor of every topic; empty for the broker's own default
   * @return those created
   */
  List<Topic> create(OptionalInt partitions, Optional<Short> replicationFactor) {
    Set<String> existing = answer(admin.listTopics().names());
    List<Topic> missing =
        Arrays.stream(Topic.values())
            .filter(topic -> !existing.contains(topic.topicName()))
            .toList();
    List<NewTopic> asked =
        missing.stream()
            .map(
                topic ->
                    new NewTopic(
                            topic.topicName(),
                            Optional.of(partitions(topic, partitions)),
                            replicationFactor)
                        .configs(topic.settings()))
            .toList();
    Map<String, KafkaFuture<Void>> results = admin.createTopics(asked).values();
    List<Topic> created =
        missing.stream()
            .filter(topic -> wasCreated(topic.topicName(), results.get(topic.topicName())))
            .toList();
    awaitListed(created);
    return created;
  }

  /**
   * How many records of a topic a consumer group has not committed to have read.
   *
   * @return empty if the group has committed nothing of it yet
   */
  OptionalLong lag(String group, Topic topic) {
    Map<TopicPartition, OffsetAndMetadata> committed =
        answer(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
    Map<TopicPartition, OffsetSpec> asked =
        committed.keySet().stream()
            .filter(partition -> partition.topic().equals(topic.topicName()))
            .filter(partition -> committed.get(partition) != null)
            .collect(Collectors.toMap(partition -> partition, partition -> OffsetSpec.latest()));
    if (asked.isEmpty()) {
      return OptionalLong.empty();
    }
    return OptionalLong.of(
        answer(admin.listOffsets(asked).all()).entrySet().stream()
            .mapToLong(end -> end.getValue().offset() - committed.get(end.getKey()).offset())
            .sum());
  }

  /** The controller creates a topic some milliseconds before brokers know of it. */
  private void awaitListed(List<Topic> created) {
    List<String> names = created.stream().map(Topic::topicName).toList();
    long deadline = System.nanoTime() + ANSWER.toNanos();
    while (!answer(admin.listTopics().names()).containsAll(names)) {
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
   * Returns if these topics exist.
   *
   * @throws CommandFailed naming those that do not
   */
  void require(Collection<Topic> wanted) {
    Set<String> existing = answer(admin.listTopics().names());
    List<String> missing =
        wanted.stream().map(Topic::topicName).filter(name -> !existing.contains(name)).toList();
    if (!missing.isEmpty()) {
      throw new CommandFailed(
          "there is no topic %s at %s; create it: ./gradflow topics create --bootstrap-server %s"
              .formatted(String.join(", ", missing), bootstrapServers, bootstrapServers));
    }
  }

  /**
   * Compares what exists with the layout: partitions, replication, cleanup and size limits. How
   * long records are kept is the cluster's affair.
   *
   * @param partitions expected of each topic that has several; empty to accept any number
   * @param replicationFactor expected of every topic; empty to accept any
   * @return the differences, one sentence each; empty if there are none
   */
  List<String> check(OptionalInt partitions, Optional<Short> replicationFactor) {
    Set<String> wanted =
        Arrays.stream(Topic.values()).map(Topic::topicName).collect(Collectors.toSet());
    Set<String> present = new TreeSet<>(answer(admin.listTopics().names()));
    present.retainAll(wanted);
    Map<String, TopicDescription> descriptions =
        answer(admin.describeTopics(present).allTopicNames());
    Map<ConfigResource, Config> configs =
        answer(admin.describeConfigs(present.stream().map(Topics::resource).toList()).all());
    int largestOther =
        present.stream()
            .filter(name -> !name.equals(Topic.DEAD_LETTERS.topicName()))
            .mapToInt(name -> maxMessageBytes(configs.get(resource(name))))
            .max()
            .orElse(0);

    List<String> differences = new ArrayList<>();
    for (Topic topic : Topic.values()) {
      String name = topic.topicName();
      if (!present.contains(name)) {
        differences.add(
            "%s: expected to exist, is missing; create it with gradflow topics create"
                .formatted(name));
        continue;
      }
      TopicDescription description = descriptions.get(name);
      Config config = configs.get(resource(name));
      if (partitions.isPresent() || topic.partitions() == 1) {
        compare(
            differences,
            name,
            "partitions",
            partitions(topic, partitions),
            description.partitions().size());
      }
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
          policies(topic.settings().get("cleanup.policy")),
          policies(config.get("cleanup.policy").value()));
      if (topic.settings().containsKey(Topic.TIMESTAMPS)) {
        compare(
            differences,
            name,
            Topic.TIMESTAMPS,
            topic.settings().get(Topic.TIMESTAMPS),
            config.get(Topic.TIMESTAMPS).value());
      }
      // Rejected bytes are kept unchanged, however large the other topics let them be.
      int least =
          topic == Topic.DEAD_LETTERS
              ? largestOther + 1
              : Integer.parseInt(topic.settings().get("max.message.bytes"));
      int actual = maxMessageBytes(config);
      if (actual < least) {
        differences.add(
            "%s: expected max.message.bytes of at least %d%s, is %d"
                .formatted(
                    name,
                    least,
                    topic == Topic.DEAD_LETTERS ? " (above every other topic's)" : "",
                    actual));
      }
    }
    return differences;
  }

  /**
   * What this client may not do though somebody must, if it is the one they log in as. Topics that
   * do not exist, and clusters without an authorizer, deny nothing.
   *
   * @return a sentence for each topic and operation
   */
  List<String> denied(Collection<Principal> principals) {
    Set<String> present = answer(admin.listTopics().names());
    List<String> names =
        Arrays.stream(Topic.values()).map(Topic::topicName).filter(present::contains).toList();
    Map<String, TopicDescription> descriptions =
        answer(
            admin
                .describeTopics(
                    names, new DescribeTopicsOptions().includeAuthorizedOperations(true))
                .allTopicNames());
    List<String> denied = new ArrayList<>();
    for (Principal principal : principals) {
      for (String name : names) {
        Set<AclOperation> allowed = descriptions.get(name).authorizedOperations();
        for (AclOperation operation : principal.operations(Topic.named(name))) {
          // Null is what a broker says that does not tell.
          if (allowed != null && !allowed.contains(operation)) {
            denied.add(
                "%s: expected %s to be allowed %s, is denied; add the ACL, see gradflow topics check"
                    .formatted(name, principal.label(), operation));
          }
        }
      }
    }
    return denied;
  }

  /** Returns if a broker answers. */
  void requireBroker() {
    answer(admin.describeCluster().nodes());
  }

  /** The longest timeout of a transaction that every broker accepts. */
  Duration longestTransaction() {
    List<ConfigResource> brokers =
        answer(admin.describeCluster().nodes()).stream()
            .map(node -> new ConfigResource(ConfigResource.Type.BROKER, node.idString()))
            .toList();
    return answer(admin.describeConfigs(brokers).all()).values().stream()
        .map(config -> Long.parseLong(config.get("transaction.max.timeout.ms").value()))
        .min(Long::compare)
        .map(Duration::ofMillis)
        .orElseThrow();
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

  /** A topic of commands keeps its one partition, so that every reader sees one order. */
  private static int partitions(Topic topic, OptionalInt several) {
    return topic.partitions() == 1 ? 1 : several.orElse(topic.partitions());
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
