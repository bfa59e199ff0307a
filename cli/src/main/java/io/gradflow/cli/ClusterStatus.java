package io.gradflow.cli;

import com.fasterxml.jackson.annotation.JsonInclude;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.JobSettings;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Stream;
import org.apache.flink.configuration.GlobalConfiguration;

/**
 * How a cluster is at one moment, asked from its processes, its Flink and its broker.
 *
 * @param up whether nothing is down
 * @param folder of the cluster
 * @param bootstrapServers of its broker
 * @param web Flink's page
 * @param processes the supervisor and those it keeps
 * @param jobs both
 */
@JsonInclude(JsonInclude.Include.ALWAYS)
record ClusterStatus(
    boolean up,
    String folder,
    String bootstrapServers,
    String web,
    List<OfProcess> processes,
    List<OfJob> jobs) {

  /**
   * @param pid null if it does not run
   * @param port null if it has none of its own
   * @param restarts how often its supervisor started it again
   */
  record OfProcess(
      String name, boolean up, Long pid, Integer port, int restarts, Long upSeconds, String log) {}

  /**
   * @param state Flink's word, or GONE
   * @param restarts how often Flink restarted it since its submission; null if Flink does not say
   * @param submissions how often its supervisor submitted it
   * @param restoredFrom the checkpoint of the last submission; null if it began anew
   * @param checkpointAgeSeconds since the last checkpoint was complete; null before the first
   * @param lag records of its input that it has not committed to have read; null if the broker does
   *     not say
   */
  record OfJob(
      String name,
      boolean up,
      String id,
      String state,
      Integer restarts,
      int submissions,
      String restoredFrom,
      Long checkpointAgeSeconds,
      Long lag) {}

  /** Asks; empty if no cluster was ever started in the folder. */
  static Optional<ClusterStatus> of(ClusterFolder folder) {
    return folder.plan().map(plan -> of(folder, plan));
  }

  private static ClusterStatus of(ClusterFolder folder, ClusterPlan plan) {
    ClusterState told =
        folder.state().orElse(new ClusterState(List.of(), List.of(), Optional.empty()));
    List<OfProcess> processes =
        Stream.concat(Stream.of(ClusterPlan.SUPERVISOR), plan.processNames().stream())
            .map(name -> process(folder, name, told))
            .toList();
    FlinkRest flink = new FlinkRest(plan.web());
    boolean brokerUp =
        processes.stream().anyMatch(one -> one.name().equals(ClusterPlan.BROKER) && one.up());
    List<OfJob> jobs =
        ClusterPlan.JOBS.stream()
            .map(job -> job(folder, plan, job, told, flink, brokerUp))
            .toList();
    return new ClusterStatus(
        processes.stream().allMatch(OfProcess::up) && jobs.stream().allMatch(OfJob::up),
        folder.root().toString(),
        plan.bootstrapServers(),
        plan.web().toString(),
        processes,
        jobs);
  }

  private static OfProcess process(ClusterFolder folder, String name, ClusterState told) {
    Optional<ProcessHandle> running = folder.process(name);
    Optional<ClusterState.OfProcess> seen =
        told.processes().stream().filter(one -> one.name().equals(name)).findFirst();
    return new OfProcess(
        name,
        running.isPresent() && seen.map(ClusterState.OfProcess::up).orElse(true),
        running.map(ProcessHandle::pid).orElse(null),
        seen.map(ClusterState.OfProcess::port).filter(port -> port > 0).orElse(null),
        seen.map(ClusterState.OfProcess::restarts).orElse(0),
        running
            .flatMap(process -> process.info().startInstant())
            .map(ClusterStatus::secondsSince)
            .orElse(null),
        folder.log(name).toString());
  }

  private static OfJob job(
      ClusterFolder folder,
      ClusterPlan plan,
      ClusterPlan.Job job,
      ClusterState told,
      FlinkRest flink,
      boolean brokerUp) {
    Optional<ClusterState.OfJob> seen =
        told.jobs().stream().filter(one -> one.name().equals(job.name())).findFirst();
    Optional<String> id = seen.flatMap(ClusterState.OfJob::id);
    Optional<FlinkRest.JobView> view = id.flatMap(flink::job);
    OptionalLong lag = brokerUp ? lag(folder, plan, job) : OptionalLong.empty();
    return new OfJob(
        job.name(),
        view.map(FlinkRest.JobView::runs).orElse(false),
        id.orElse(null),
        view.map(FlinkRest.JobView::state).orElse("GONE"),
        id.flatMap(flink::restarts).orElse(null),
        seen.map(ClusterState.OfJob::submissions).orElse(0),
        seen.flatMap(ClusterState.OfJob::restoredFrom).orElse(null),
        id.flatMap(flink::lastCheckpoint).map(ClusterStatus::secondsSince).orElse(null),
        lag.isPresent() ? lag.getAsLong() : null);
  }

  private static OptionalLong lag(ClusterFolder folder, ClusterPlan plan, ClusterPlan.Job job) {
    String prefix =
        JobSettings.resolve(
                plan.allJobArguments().toArray(String[]::new),
                System.getenv(),
                GlobalConfiguration.loadConfiguration(folder.conf().toString()))
            .get(GradflowOptions.GROUP_ID_PREFIX);
    try (Topics topics = Topics.of(plan.bootstrapServers())) {
      return topics.lag(prefix + "-" + job.group(), job.input());
    } catch (CommandFailed e) {
      return OptionalLong.empty();
    }
  }

  private static long secondsSince(Instant then) {
    return Math.max(0, Duration.between(then, Instant.now()).toSeconds());
  }

  /** For people. */
  void print(PrintWriter out) {
    out.printf("kafka %s, flink %s, folder %s%n", bootstrapServers, web, folder);
    for (OfProcess process : processes) {
      out.printf(
          Locale.ROOT,
          "  %-13s %-6s %s%n",
          process.name(),
          process.up() ? "up" : process.pid() == null ? "DOWN" : "starts",
          process.pid() == null
              ? "restarts %d, log %s".formatted(process.restarts(), process.log())
              : "pid %d%s, restarts %d, for %d s"
                  .formatted(
                      process.pid(),
                      process.port() == null ? "" : ", port " + process.port(),
                      process.restarts(),
                      process.upSeconds()));
    }
    for (OfJob job : jobs) {
      out.printf(
          Locale.ROOT,
          "  %-13s %-6s %s, restarts %s, submitted %d times%s, last checkpoint %s, lag %s%n",
          job.name(),
          job.up() ? "up" : "DOWN",
          job.state(),
          job.restarts() == null ? "unknown" : job.restarts(),
          job.submissions(),
          job.restoredFrom() == null ? "" : " from " + Path.of(job.restoredFrom()).getFileName(),
          job.checkpointAgeSeconds() == null ? "none" : job.checkpointAgeSeconds() + " s ago",
          job.lag() == null ? "unknown" : job.lag());
    }
  }
}
