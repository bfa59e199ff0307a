package io.gradflow.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.time.Instant;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.GlobalConfiguration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Keeps a cluster's processes and jobs running, until it is ended itself.
 *
 * <p>A few times a second it compares what should be with what is, and does the next thing that is
 * missing. A broker or a TaskManager that has died is started again; Flink recovers the jobs. With
 * a JobManager die the jobs it knew: the TaskManagers are replaced too, so that no task of the old
 * JobManager outlives it beside its successor, and both jobs are submitted again, each from its
 * newest retained checkpoint.
 *
 * <p>It watches processes, not their health: one that hangs is left alone.
 */
final class Supervisor {
  private static final Logger LOG = LoggerFactory.getLogger(Supervisor.class);
  private static final long LOOK_MILLIS = 200;

  /** Before the cluster was ever up, this many failures in a row are a mistake, not an accident. */
  private static final int ATTEMPTS = 3;

  private final ClusterFolder folder;
  private final ClusterPlan plan;
  private final ClusterProcess broker;
  private final ClusterProcess jobManager;
  private final List<ClusterProcess> taskManagers;
  private final List<ClusterJob> jobs;
  private final FlinkRest flink;

  /** The last address of each TaskManager. */
  private final Map<String, String> addressOf = new HashMap<>();

  private boolean hasBeenUp;
  private boolean ended;
  private ClusterState told;

  private Supervisor(ClusterFolder folder, ClusterPlan plan, Configuration configuration) {
    this.folder = folder;
    this.plan = plan;
    this.flink = new FlinkRest(plan.web());
    CommandLines commands = new CommandLines(folder, plan, configuration);
    this.broker =
        new ClusterProcess(folder, ClusterPlan.BROKER, plan.kafkaPort(), commands::broker);
    this.jobManager =
        new ClusterProcess(folder, ClusterPlan.JOB_MANAGER, plan.webPort(), commands::jobManager);
    this.taskManagers =
        plan.taskManagerNames().stream()
            .map(name -> new ClusterProcess(folder, name, 0, () -> commands.taskManager(name)))
            .toList();
    this.jobs =
        ClusterPlan.JOBS.stream().map(job -> new ClusterJob(folder, job, commands)).toList();
  }

  /**
   * Supervises the cluster that is planned in the folder. Returns when it gives up, which it does
   * only before the cluster was up for the first time.
   */
  static void supervise(ClusterFolder folder) throws InterruptedException {
    ClusterPlan plan =
        folder
            .plan()
            .orElseThrow(() -> new CommandFailed("no cluster is planned in " + folder.root()));
    Configuration configuration = GlobalConfiguration.loadConfiguration(folder.conf().toString());
    Supervisor supervisor = new Supervisor(folder, plan, configuration);
    // Whoever ends this process must find the pid of every other noted.
    Runtime.getRuntime().addShutdownHook(new Thread(supervisor::end, "ending"));
    while (supervisor.look(Instant.now())) {
      TimeUnit.MILLISECONDS.sleep(LOOK_MILLIS);
    }
  }

  private synchronized void end() {
    ended = true;
  }

  /** Does the next thing that is missing; false when there is no use in going on. */
  private synchronized boolean look(Instant now) {
    if (ended) {
      return false;
    }
    broker.diedSince(now);
    taskManagers.forEach(taskManager -> taskManager.diedSince(now));
    if (jobManager.diedSince(now)) {
      taskManagers.forEach(ClusterProcess::replace);
      jobs.forEach(ClusterJob::forget);
    }
    all().forEach(process -> process.keepRunning(now));

    if (!broker.isUp() && broker.runs() && hasTopics()) {
      broker.isUpAt(Instant.now());
    }
    if (!jobManager.isUp() && jobManager.runs() && flink.answers()) {
      jobManager.isUpAt(Instant.now());
    }
    if (jobManager.isUp() && !taskManagers.stream().allMatch(ClusterProcess::isUp)) {
      register(flink.taskManagers());
    }
    if (broker.isUp() && jobManager.isUp() && hasTaskManagers()) {
      jobs.forEach(job -> job.keepSubmitted(now));
    }
    for (ClusterJob job : jobs) {
      if (!job.isUp() && job.id().flatMap(flink::job).map(FlinkRest.JobView::runs).orElse(false)) {
        job.isUpAt(Instant.now());
      }
    }
    Optional<String> failure = hasBeenUp ? Optional.empty() : failure();
    tell(
        new ClusterState(
            all().map(ClusterProcess::state).toList(),
            jobs.stream().map(ClusterJob::state).toList(),
            failure));
    return failure.isEmpty();
  }

  private Stream<ClusterProcess> all() {
    return Stream.concat(Stream.of(broker, jobManager), taskManagers.stream());
  }

  /** The JobManager lists a TaskManager for some seconds after its death, at its old address. */
  private void register(Map<String, String> addresses) {
    for (ClusterProcess one : taskManagers) {
      String address = addresses.get(one.name());
      if (one.runs()
          && !one.isUp()
          && address != null
          && !address.equals(addressOf.get(one.name()))) {
        addressOf.put(one.name(), address);
        one.isUpAt(Instant.now());
      }
    }
  }

  /**
   * Jobs spread over the TaskManagers there are when they start: those on their way are awaited.
   */
  private boolean hasTaskManagers() {
    return taskManagers.stream().anyMatch(ClusterProcess::isUp)
        && taskManagers.stream().noneMatch(one -> one.runs() && !one.isUp());
  }

  private boolean hasTopics() {
    if (Ports.isFree(plan.kafkaPort())) {
      return false;
    }
    try (Topics topics = Topics.of(plan.bootstrapServers())) {
      topics.create(OptionalInt.of(plan.partitions()), Optional.empty());
      return true;
    } catch (CommandFailed e) {
      LOG.info("The broker is not ready: {}", e.getMessage());
      return false;
    }
  }

  private Optional<String> failure() {
    Optional<String> ofProcess =
        all()
            .filter(process -> process.deathsInARow() >= ATTEMPTS)
            .findFirst()
            .map(
                process ->
                    "%s ended %d times before it was up: %s; more in %s"
                        .formatted(
                            process.name(),
                            process.deathsInARow(),
                            lastWords(process.name()),
                            folder.log(process.name())));
    return ofProcess
        .or(() -> jobs.stream().flatMap(job -> job.refusal().stream()).findFirst())
        .or(() -> jobs.stream().flatMap(job -> failing(job).stream()).findFirst());
  }

  /** Why a job that Flink has taken fails again and again; empty if it does not. */
  private Optional<String> failing(ClusterJob job) {
    List<String> failures =
        job.isUp() ? List.of() : job.id().map(id -> flink.failures(id, ATTEMPTS)).orElse(List.of());
    return failures.size() < ATTEMPTS
        ? Optional.empty()
        : Optional.of(
            "%s fails again and again%s: %s; more in %s"
                .formatted(
                    job.name(),
                    job.state()
                        .restoredFrom()
                        .map(from -> " after it was restored from " + from)
                        .orElse(""),
                    Causes.innermost(failures.get(0)).orElse("for no reason it gives"),
                    folder.log(ClusterPlan.JOB_MANAGER)));
  }

  /** The last thing a process said of an error, in one line. */
  private String lastWords(String process) {
    String last = "it said nothing";
    for (var file : List.of(folder.log(process), ClusterProcess.output(folder, process))) {
      try (Stream<String> lines = Files.lines(file)) {
        Optional<String> error =
            lines
                .filter(line -> line.contains("Exception") || line.contains("Error"))
                .reduce((earlier, later) -> later);
        if (error.isPresent()) {
          return error.get().strip();
        }
      } catch (IOException e) {
        LOG.debug("{} has left no {}", process, file, e);
      }
    }
    return last;
  }

  private void tell(ClusterState state) {
    if (!state.equals(told)) {
      told = state;
      folder.keep(state);
    }
    hasBeenUp |= state.up();
  }
}
