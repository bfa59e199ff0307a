package io.gradflow.cli;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.flink.configuration.Configuration;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gradflow cluster}: broker, Flink and both jobs as processes of this machine. */
@Command(
    name = "cluster",
    description = {
      "Runs broker, JobManager and TaskManagers as processes on this machine, without Kubernetes.",
      "A supervisor starts again what dies; after the JobManager both jobs go on from their last"
          + " checkpoints."
    },
    mixinStandardHelpOptions = true,
    synopsisSubcommandLabel = "(up | down | status)",
    versionProvider = Gradflow.Version.class)
final class ClusterCommand implements Runnable {
  @Spec private CommandSpec spec;

  /** Nothing was said about what to do. */
  @Override
  public void run() {
    throw new ParameterException(spec.commandLine(), "expected up, down or status, got none");
  }

  @Command(
      name = "up",
      description = {
        "Starts a cluster and returns when both jobs run, which takes some 20 s.",
        "A cluster that was stopped goes on: its topics and the jobs' checkpoints are kept."
      },
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int up(
      @Mixin InFolder in,
      @Option(
              names = "--taskmanagers",
              paramLabel = "N",
              defaultValue = "2",
              description = "TaskManagers (default: ${DEFAULT-VALUE}).")
          int taskManagers,
      @Option(
              names = "--partitions",
              paramLabel = "N",
              defaultValue = "4",
              description =
                  "Partitions of each new topic that has several (default: ${DEFAULT-VALUE}).")
          int partitions,
      @Option(
              names = "--config",
              paramLabel = "FILE",
              description =
                  "A config.yaml of Flink, with gradflow's options too; goes before the cluster's own settings.")
          Optional<Path> config,
      @Option(
              names = "-D",
              paramLabel = "KEY=VALUE",
              description = "One setting of Flink or gradflow; goes before those of the file.")
          Map<String, String> settings,
      @Option(
              names = Ports.KAFKA_OPTION,
              paramLabel = "PORT",
              description = "The broker's port (default: 9092, or any free one).")
          Optional<Integer> kafkaPort,
      @Option(
              names = Ports.FLINK_OPTION,
              paramLabel = "PORT",
              description = "The port of Flink's page and REST (default: 8081, or any free one).")
          Optional<Integer> flinkPort,
      @Option(
              names = "--fresh",
              description =
                  "Removes topics, checkpoints and logs of the cluster that was in the folder.")
          boolean fresh,
      @Parameters(
              paramLabel = "ARGUMENT",
              description = "After --: what both jobs are told, e.g. -- --gradflow.x.y VALUE.")
          List<String> jobArguments)
      throws InterruptedException {
    requireAtLeastOne("--taskmanagers", taskManagers);
    requireAtLeastOne("--partitions", partitions);
    Configuration configuration = new Configuration();
    config.map(this::configuration).ifPresent(configuration::addAll);
    Optional.ofNullable(settings)
        .ifPresent(given -> configuration.addAll(Configuration.fromMap(given)));
    Cluster cluster = Cluster.in(in.folder());
    if (fresh) {
      cluster.forget();
    }
    long began = System.nanoTime();
    ClusterPlan plan =
        cluster.up(
            new Cluster.Wanted(
                port(kafkaPort),
                port(flinkPort),
                taskManagers,
                partitions,
                configuration,
                Optional.ofNullable(jobArguments).orElse(List.of())),
            Cluster.Built.current(),
            new Progress(spec.commandLine().getErr()));
    spec.commandLine()
        .getOut()
        .printf(
            "up after %d s: kafka %s, flink %s, folder %s%n",
            Duration.ofNanos(System.nanoTime() - began).toSeconds(),
            plan.bootstrapServers(),
            plan.web(),
            in.folder().root());
    spec.commandLine()
        .getErr()
        .printf(
            "the page of its runs: ./gradflow dashboard --bootstrap-server %s%n",
            plan.bootstrapServers());
    return 0;
  }

  private Configuration configuration(Path file) {
    if (!Files.isReadable(file)) {
      throw new ParameterException(
          spec.subcommands().get("up"), "--config: expected a readable file, got " + file);
    }
    return ClusterConfiguration.read(file);
  }

  private void requireAtLeastOne(String option, int given) {
    if (given < 1) {
      throw new ParameterException(
          spec.subcommands().get("up"), "%s: expected at least 1, got %d".formatted(option, given));
    }
  }

  private static OptionalInt port(Optional<Integer> wanted) {
    return wanted.map(OptionalInt::of).orElseGet(OptionalInt::empty);
  }

  @Command(
      name = "down",
      description = "Stops the cluster's processes; topics and checkpoints stay.",
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int down(@Mixin InFolder in) {
    List<String> ran = Cluster.in(in.folder()).down();
    PrintWriter out = spec.commandLine().getOut();
    out.println(
        ran.isEmpty()
            ? "nothing ran in " + in.folder().root()
            : "stopped " + String.join(", ", ran));
    return 0;
  }

  @Command(
      name = "status",
      description =
          "Shows processes, jobs, restarts, checkpoints and how far the jobs are behind their topics.",
      exitCodeListHeading = "%nExit codes:%n",
      exitCodeList = {"0:everything is up", "1:something is down", "2:used wrongly"},
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int status(
      @Mixin InFolder in,
      @Option(
              names = "--format",
              paramLabel = "FORMAT",
              defaultValue = "text",
              description = "text or json (default: ${DEFAULT-VALUE}).")
          Format format)
      throws JsonProcessingException {
    ClusterStatus status =
        ClusterStatus.of(in.folder())
            .orElseThrow(
                () ->
                    new CommandFailed(
                        "no cluster was ever started in %s; start one: ./gradflow cluster up"
                            .formatted(in.folder().root())));
    PrintWriter out = spec.commandLine().getOut();
    switch (format) {
      case TEXT -> status.print(out);
      case JSON -> out.println(new ObjectMapper().writeValueAsString(status));
    }
    out.flush();
    return status.up() ? 0 : 1;
  }

  @Command(
      name = "supervise",
      hidden = true,
      description = "Keeps a cluster's processes running; cluster up starts it.",
      mixinStandardHelpOptions = true,
      versionProvider = Gradflow.Version.class)
  int supervise(@Mixin InFolder in) throws InterruptedException {
    Supervisor.supervise(in.folder());
    return 0;
  }

  /** Which cluster. */
  static final class InFolder {
    @Option(
        names = "--dir",
        paramLabel = "FOLDER",
        description = "Where the cluster keeps everything (default: .gradflow/cluster).")
    private Optional<Path> directory = Optional.empty();

    private ClusterFolder folder() {
      return new ClusterFolder(
          directory.orElseGet(() -> Workspace.current().root().resolve("cluster")));
    }
  }
}
