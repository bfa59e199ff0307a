package io.gradflow.cli;

import io.gradflow.jobs.JobSettings;
import io.gradflow.jobs.UnusableSettings;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A broker, a JobManager and TaskManagers as processes of this machine, with both jobs on them, and
 * a supervisor that keeps them running when the command has ended.
 */
final class Cluster {
  private static final Logger LOG = LoggerFactory.getLogger(Cluster.class);
  private static final Duration STARTING = Duration.ofMinutes(3);
  private static final Duration STOPPING = Duration.ofSeconds(15);
  private static final long POLL_MILLIS = 100;

  private final ClusterFolder folder;

  private Cluster(ClusterFolder folder) {
    this.folder = folder;
  }

  /** The cluster of that folder, whether it runs or not. */
  static Cluster in(ClusterFolder folder) {
    return new Cluster(folder);
  }

  /**
   * What a cluster shall be.
   *
   * @param kafkaPort empty for 9092, or any free one if that is taken
   * @param flinkPort of REST and page; empty for 8081, or any free one if that is taken
   * @param taskManagers at least 1
   * @param partitions of every topic that has several, at least 1
   * @param configuration Flink's, where it shall differ from the cluster's own
   * @param jobArguments what both jobs are told, beside where Kafka is
   */
  record Wanted(
      OptionalInt kafkaPort,
      OptionalInt flinkPort,
      int taskManagers,
      int partitions,
      Configuration configuration,
      List<String> jobArguments) {}

  /**
   * What was built for it.
   *
   * @param jobJar both jobs, as Flink is given them
   * @param flinkClassPath Flink's lib folder
   * @param classPath of the command itself, which holds the broker too
   */
  record Built(Path jobJar, String flinkClassPath, String classPath) {
    static final String JOB_JAR = "gradflow.job.jar";
    static final String FLINK_CLASS_PATH = "gradflow.flink.classpath";

    /** As the launcher says. */
    static Built current() {
      Path jar = Path.of(require(JOB_JAR));
      Path flink = Path.of(require(FLINK_CLASS_PATH));
      if (!Files.exists(jar)) {
        throw new CommandFailed(
            "expected the packaged jobs at %s, found nothing; package them: mvn package -pl jobs -am"
                .formatted(jar));
      }
      try {
        return new Built(
            jar, Files.readString(flink).strip(), System.getProperty("java.class.path"));
      } catch (IOException e) {
        throw new CommandFailed(
            "expected the list of Flink's jars at %s, found none; build it: mvn generate-resources -pl flink"
                .formatted(flink),
            e);
      }
    }

    private static String require(String property) {
      String value = System.getProperty(property);
      if (value == null) {
        throw new CommandFailed(
            "system property %s is not set; start the command by ./gradflow".formatted(property));
      }
      return value;
    }
  }

  /**
   * Starts the cluster and returns when both jobs run. They go on from where a cluster in the same
   * folder ended.
   *
   * @throws CommandFailed if a part does not start; what had started is stopped again
   */
  ClusterPlan up(Wanted wanted, Built built, Progress progress) throws InterruptedException {
    if (folder.process(ClusterPlan.SUPERVISOR).isPresent()) {
      throw new CommandFailed(
          "a cluster runs in %s already; see ./gradflow cluster status, or end it: ./gradflow cluster down"
              .formatted(folder.root()));
    }
    down(); // A supervisor that was killed leaves its processes behind.
    ClusterPlan plan = plan(wanted, built);
    requireUsable(plan, wanted.configuration());
    prepare(plan, wanted.configuration(), built);
    Thread atExit = new Thread(this::down, "stopping the cluster");
    Runtime.getRuntime().addShutdownHook(atExit);
    try {
      List<String> commandLine = CommandLines.supervisor(folder, ownClassPath(built));
      Process supervisor =
          ClusterProcess.start(folder, ClusterPlan.SUPERVISOR, detached(commandLine), Map.of());
      folder.note(ClusterPlan.SUPERVISOR, supervisor.pid());
      awaitUp(supervisor, progress);
    } catch (CommandFailed | InterruptedException e) {
      down();
      throw e;
    } finally {
      removeHook(atExit);
    }
    return plan;
  }

  /** What the jobs would refuse is refused before anything starts. */
  private static void requireUsable(ClusterPlan plan, Configuration wanted) {
    try {
      JobSettings.resolve(plan.allJobArguments().toArray(String[]::new), System.getenv(), wanted);
    } catch (UnusableSettings e) {
      throw new CommandFailed(e.getMessage(), e);
    }
  }

  private static void removeHook(Thread hook) {
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // The process is ending already, and the hook with it.
    }
  }

  private ClusterPlan plan(Wanted wanted, Built built) {
    String broker =
        entries(built.classPath())
            .filter(entry -> !isOwn(entry))
            .collect(Collectors.joining(File.pathSeparator));
    return new ClusterPlan(
        Ports.ofKafka(wanted.kafkaPort()),
        Ports.anyFree(),
        Ports.ofFlink(wanted.flinkPort()),
        Ports.anyFree(),
        wanted.taskManagers(),
        wanted.partitions(),
        built.flinkClassPath(),
        broker,
        wanted.jobArguments());
  }

  private void prepare(ClusterPlan plan, Configuration wanted, Built built) {
    folder.forgetState();
    folder.keep(plan);
    ClusterFolder.write(
        folder.conf().resolve("config.yaml"),
        ClusterConfiguration.yaml(ClusterConfiguration.of(folder, plan, wanted)));
    KafkaNode node = new KafkaNode(folder.broker(), plan.kafkaPort(), plan.controllerPort());
    Map<String, String> properties = new TreeMap<>(node.settings());
    // A node that was killed returns only when the session of its former self has run out.
    properties.put("broker.session.timeout.ms", "3000");
    properties.put("broker.heartbeat.interval.ms", "500");
    ClusterFolder.write(
        folder.conf().resolve("server.properties"),
        properties.entrySet().stream()
            .map(entry -> entry.getKey() + "=" + entry.getValue() + "\n")
            .collect(Collectors.joining()));
    try (InputStream logging = Cluster.class.getResourceAsStream("cluster-log4j2.properties")) {
      Files.copy(
          logging, folder.conf().resolve("log4j2.properties"), StandardCopyOption.REPLACE_EXISTING);
      Files.createDirectories(folder.temporary());
      Files.copy(built.jobJar(), folder.jobJar(), StandardCopyOption.REPLACE_EXISTING);
      Workspace.remove(folder.lib());
      Files.createDirectories(folder.lib());
      for (String entry : entries(built.classPath()).filter(Cluster::isOwnJar).toList()) {
        Path jar = Path.of(entry);
        Files.copy(jar, folder.lib().resolve(jar.getFileName()));
      }
    } catch (IOException e) {
      throw new CommandFailed(
          "cannot write to %s: %s; free some space or check its owner"
              .formatted(folder.root(), Causes.innermost(e)),
          e);
    }
    try {
      node.format();
    } catch (Exception e) {
      throw new CommandFailed(
          "the broker's folder %s cannot be prepared: %s"
              .formatted(folder.broker(), Causes.innermost(e)),
          e);
    }
  }

  /** The command's class path with copies of its own jars, which a new build may replace. */
  private String ownClassPath(Built built) {
    return entries(built.classPath())
        .map(
            entry ->
                isOwnJar(entry)
                    ? folder.lib().resolve(Path.of(entry).getFileName()).toString()
                    : entry)
        .collect(Collectors.joining(File.pathSeparator));
  }

  private static Stream<String> entries(String classPath) {
    return Arrays.stream(classPath.split(File.pathSeparator, -1)).filter(entry -> !entry.isEmpty());
  }

  private static boolean isOwnJar(String entry) {
    return isOwn(entry) && entry.endsWith(".jar");
  }

  /** A module of gradflow, as a jar or, in its tests, as a folder of classes. */
  private static boolean isOwn(String entry) {
    return Path.of(entry).getFileName().toString().startsWith("gradflow-")
        || Files.isDirectory(Path.of(entry));
  }

  /** Out of reach of the terminal: neither Ctrl-C nor its closing ends the process. */
  private static List<String> detached(List<String> commandLine) {
    return Stream.concat(
            Stream.of("setsid", "nohup").filter(Cluster::isOnPath).findFirst().stream(),
            commandLine.stream())
        .toList();
  }

  private static boolean isOnPath(String program) {
    return entries(System.getenv().getOrDefault("PATH", ""))
        .anyMatch(place -> Files.isExecutable(Path.of(place, program)));
  }

  private void awaitUp(Process supervisor, Progress progress) throws InterruptedException {
    Set<String> reported = new HashSet<>();
    long deadline = System.nanoTime() + STARTING.toNanos();
    while (true) {
      ClusterState state =
          folder.state().orElse(new ClusterState(List.of(), List.of(), Optional.empty()));
      report(state, reported, progress);
      if (state.failure().isPresent()) {
        throw new CommandFailed(state.failure().get());
      }
      if (!state.processes().isEmpty() && state.up()) {
        return;
      }
      if (!supervisor.isAlive()) {
        throw new CommandFailed(
            "the supervisor ended with exit code %d; see %s"
                .formatted(
                    supervisor.exitValue(), ClusterProcess.output(folder, ClusterPlan.SUPERVISOR)));
      }
      if (System.nanoTime() > deadline) {
        throw new CommandFailed(
            "the cluster was not up within %d s: missing are %s; see the logs in %s"
                .formatted(STARTING.toSeconds(), missing(state), folder.logs()));
      }
      TimeUnit.MILLISECONDS.sleep(POLL_MILLIS);
    }
  }

  private static String missing(ClusterState state) {
    return Stream.concat(
            state.processes().stream()
                .filter(process -> !process.up())
                .map(ClusterState.OfProcess::name),
            state.jobs().stream().filter(job -> !job.up()).map(ClusterState.OfJob::name))
        .collect(Collectors.joining(", "));
  }

  private static void report(ClusterState state, Set<String> reported, Progress progress) {
    for (ClusterState.OfProcess process : state.processes()) {
      if (process.up() && reported.add(process.name())) {
        progress.report(
            process.name(),
            "pid %d%s"
                .formatted(process.pid(), process.port() == 0 ? "" : ", port " + process.port()),
            Duration.ofMillis(Math.round(process.startSeconds() * 1e3)));
      }
    }
    for (ClusterState.OfJob job : state.jobs()) {
      if (job.up() && reported.add(job.name())) {
        progress.report(
            job.name(),
            job.restoredFrom()
                .map(path -> "from " + Path.of(path).getFileName())
                .orElse("from the beginning"),
            Duration.ofMillis(Math.round(job.startSeconds() * 1e3)));
      }
    }
  }

  /**
   * Stops every process of the cluster and returns when they have ended: the supervisor first, then
   * Flink, the broker last. Checkpoints and topics stay.
   *
   * @return the names of those that ran
   */
  synchronized List<String> down() {
    List<String> ran = new ArrayList<>(stop(List.of(ClusterPlan.SUPERVISOR)));
    folder
        .plan()
        .ifPresent(
            plan -> {
              List<String> ofFlink = new ArrayList<>(List.of(ClusterPlan.JOB_MANAGER));
              ofFlink.addAll(plan.taskManagerNames());
              ran.addAll(stop(ofFlink));
              ran.addAll(stop(List.of(ClusterPlan.BROKER)));
            });
    return ran;
  }

  /** Asks processes to end, all at once; those that do not in time are killed. */
  private List<String> stop(List<String> names) {
    Map<String, ProcessHandle> running = new TreeMap<>();
    names.forEach(name -> folder.process(name).ifPresent(process -> running.put(name, process)));
    running.values().forEach(ProcessHandle::destroy);
    running.values().forEach(process -> awaitEnd(process));
    running.values().stream()
        .filter(ProcessHandle::isAlive)
        .forEach(ProcessHandle::destroyForcibly);
    running.values().forEach(process -> awaitEnd(process));
    names.forEach(folder::forget);
    return names.stream().filter(running::containsKey).toList();
  }

  private static void awaitEnd(ProcessHandle process) {
    try {
      process.onExit().get(STOPPING.toMillis(), TimeUnit.MILLISECONDS);
    } catch (TimeoutException | ExecutionException e) {
      LOG.warn("The process {} has not ended within {}", process.pid(), STOPPING);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  /** Removes the topics, checkpoints and logs of a cluster that does not run. */
  void forget() {
    if (folder.process(ClusterPlan.SUPERVISOR).isEmpty()) {
      down();
      folder.contents().filter(Files::exists).forEach(Workspace::remove);
    }
  }
}
