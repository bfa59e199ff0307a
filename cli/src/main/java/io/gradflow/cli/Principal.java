package io.gradflow.cli;

import static io.gradflow.schema.Topic.ALERTS;
import static io.gradflow.schema.Topic.BLOCKS;
import static io.gradflow.schema.Topic.CAPTURES;
import static io.gradflow.schema.Topic.DEAD_LETTERS;
import static io.gradflow.schema.Topic.FEEDBACK;
import static io.gradflow.schema.Topic.MANIFESTS;
import static io.gradflow.schema.Topic.RULES;
import static io.gradflow.schema.Topic.RUNS;
import static io.gradflow.schema.Topic.SHARDS;
import static io.gradflow.schema.Topic.STEPS;
import static io.gradflow.schema.Topic.WINDOWS;

import io.gradflow.schema.Topic;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.common.acl.AclOperation;

/** Who touches the topics, and what each must be allowed to do on a cluster with an authorizer. */
enum Principal {
  TRAINERS(EnumSet.of(MANIFESTS, RUNS, SHARDS, BLOCKS), EnumSet.of(CAPTURES), Optional.empty()),
  NORM_JOB(
      EnumSet.of(STEPS, WINDOWS, DEAD_LETTERS),
      EnumSet.of(MANIFESTS, RUNS, SHARDS, BLOCKS),
      Optional.of("Read on groups that start with gradflow-norm")),
  ALERT_JOB(
      EnumSet.of(ALERTS, CAPTURES, DEAD_LETTERS),
      EnumSet.of(STEPS, RUNS, MANIFESTS, RULES),
      Optional.of(
          "Read on groups that start with gradflow-alert; Write on transactional ids that start with gradflow-alerts")),
  OPERATORS(EnumSet.of(RULES, FEEDBACK), EnumSet.of(DEAD_LETTERS), Optional.empty()),
  PAGE(
      EnumSet.of(RULES, CAPTURES, FEEDBACK),
      EnumSet.of(MANIFESTS, RUNS, STEPS, ALERTS, RULES, FEEDBACK, DEAD_LETTERS),
      Optional.empty()),
  FORWARDER(
      EnumSet.noneOf(Topic.class),
      EnumSet.of(ALERTS),
      Optional.of("Read on groups that start with gradflow-forward")),
  READERS(
      EnumSet.noneOf(Topic.class),
      EnumSet.of(STEPS, WINDOWS, ALERTS),
      Optional.of("Read on groups of their own"));

  @SuppressWarnings("ImmutableEnumChecker") // never changed
  private final Set<Topic> written;

  @SuppressWarnings("ImmutableEnumChecker") // never changed
  private final Set<Topic> read;

  private final Optional<String> others;

  Principal(Set<Topic> written, Set<Topic> read, Optional<String> others) {
    this.written = written;
    this.read = read;
    this.others = others;
  }

  /** What it needs, one line each kind, in the words of Kafka's access control lists. */
  List<String> needs() {
    List<String> needs = new ArrayList<>();
    if (!written.isEmpty()) {
      needs.add("Write, Describe on " + names(written));
    }
    needs.add("Read, Describe on " + names(read));
    others.ifPresent(needs::add);
    return needs.stream().map(need -> "%-10s %s".formatted(label(), need)).toList();
  }

  /** What it must be allowed to do with a topic. */
  Set<AclOperation> operations(Topic topic) {
    Set<AclOperation> operations = EnumSet.noneOf(AclOperation.class);
    if (written.contains(topic)) {
      operations.add(AclOperation.WRITE);
    }
    if (read.contains(topic)) {
      operations.add(AclOperation.READ);
    }
    return operations;
  }

  String label() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  private static String names(Set<Topic> topics) {
    return topics.stream().map(Topic::topicName).collect(Collectors.joining(", "));
  }
}
