package io.gradflow.cli;

import io.gradflow.schema.Topic;
import java.io.PrintWriter;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.regex.Pattern;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code gradflow topics}: creates and checks the topics of a cluster. */
@Command(
    name = "topics",
    description = "Creates or checks the topics of a Kafka cluster.",
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "(create | check)",
    versionProvider = Gradflow.Version.class)
final class TopicsCommand implements Runnable {
  @Spec private CommandSpec spec;

  /** Nothing was said about what to do. */
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected create or check, got neither");
  }

  @Command(
      name = "create",
      description = "Creates the topics that are missing; existing ones stay as they are.",
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int create(@Mixin Cluster cluster) {
    cluster.validate(spec.subcommands().get("create"));
    try (Topics topics = Topics.of(cluster.bootstrapServers)) {
      List<Topic> created = topics.create(cluster.partitions(), cluster.replicationFactor);
      PrintWriter out = spec.commandLine().getOut();
      created.forEach(topic -> out.println("created " + topic.topicName()));
      out.printf(
          "%d created, %d existed%n", created.size(), Topic.values().length - created.size());
      return 0;
    }
  }

  @Command(
      name = "check",
      description = {
        "Compares the topics with what gradflow needs: partitions, cleanup and size limits.",
        "Prints one line per difference, and what each principal must be allowed to do."
      },
      exitCodeListHeading = "%nExit codes:%n",
      exitCodeList = {"0:no difference", "1:differences, or no broker", "2:used wrongly"},
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int check(@Mixin Cluster cluster) {
    cluster.validate(spec.subcommands().get("check"));
    try (Topics topics = Topics.of(cluster.bootstrapServers)) {
      List<String> differences = topics.check(cluster.partitions(), cluster.replicationFactor);
      PrintWriter out = spec.commandLine().getOut();
      differences.forEach(out::println);
      out.println(
          differences.isEmpty()
              ? "%d topics as expected".formatted(Topic.values().length)
              : "%d differences".formatted(differences.size()));
      out.println();
      out.println("Access, on a cluster with an authorizer:");
      for (Principal principal : Principal.values()) {
        principal.needs().forEach(need -> out.println("  " + need));
      }
      return differences.isEmpty() ? 0 : 1;
    }
  }

  /** Which cluster, and how large its topics are. */
  static final class Cluster {
    private static final Pattern SERVERS =
        Pattern.compile("[^\\s,:]+:\\d{1,5}(,[^\\s,:]+:\\d{1,5})*");

    @Option(
        names = "--bootstrap-server",
        paramLabel = "HOST:PORT",
        required = true,
        description = "The Kafka cluster; several separated by commas.")
    private String bootstrapServers;

    @Option(
        names = "--partitions",
        paramLabel = "N",
        description =
            "Partitions of each topic that has several (default: each topic's own; not checked).")
    private Optional<Integer> partitions;

    @Option(
        names = "--replication-factor",
        paramLabel = "N",
        description = "Replicas of each partition (default: the cluster's own; not checked).")
    private Optional<Short> replicationFactor;

    private OptionalInt partitions() {
      return partitions.map(OptionalInt::of).orElseGet(OptionalInt::empty);
    }

    private void validate(CommandLine command) {
      if (!SERVERS.matcher(bootstrapServers).matches()) {
        throw new ParameterException(
            command, "--bootstrap-server: expected host:port, got '" + bootstrapServers + "'");
      }
      if (partitions.isPresent() && partitions.get() < 1) {
        throw new ParameterException(
            command, "--partitions: expected at least 1, got " + partitions.get());
      }
      if (replicationFactor.isPresent() && replicationFactor.get() < 1) {
        throw new ParameterException(
            command, "--replication-factor: expected at least 1, got " + replicationFactor.get());
      }
    }
  }
}
