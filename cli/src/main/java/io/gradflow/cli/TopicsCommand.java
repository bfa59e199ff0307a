package io.gradflow.cli;

import java.io.PrintWriter;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;
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
      List<String> created = topics.create(cluster.partitions, cluster.replicationFactor);
      PrintWriter out = spec.commandLine().getOut();
      created.forEach(name -> out.println("created " + name));
      out.printf(
          "%d created, %d existed%n", created.size(), TopicLayout.ALL.size() - created.size());
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
      List<String> differences = topics.check(cluster.partitions, cluster.replicationFactor);
      PrintWriter out = spec.commandLine().getOut();
      differences.forEach(out::println);
      out.println(
          differences.isEmpty()
              ? "%d topics as expected".formatted(TopicLayout.ALL.size())
              : "%d differences".formatted(differences.size()));
      out.println();
      out.println("Access, on a cluster with an authorizer:");
      Topics.accessHints().forEach(hint -> out.println("  " + hint));
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
        defaultValue = "4",
        description = "Partitions of each topic that is spread (default: ${DEFAULT-VALUE}).")
    private int partitions;

    @Option(
        names = "--replication-factor",
        paramLabel = "N",
        description = "Replicas of each partition (default: the cluster's own; not checked).")
    private Optional<Short> replicationFactor;

    private void validate(picocli.CommandLine command) {
      if (!SERVERS.matcher(bootstrapServers).matches()) {
        throw new ParameterException(
            command, "--bootstrap-server: expected host:port, got '" + bootstrapServers + "'");
      }
      if (partitions < 1) {
        throw new ParameterException(
            command, "--partitions: expected at least 1, got " + partitions);
      }
      if (replicationFactor.isPresent() && replicationFactor.get() < 1) {
        throw new ParameterException(
            command, "--replication-factor: expected at least 1, got " + replicationFactor.get());
      }
    }
  }
}
