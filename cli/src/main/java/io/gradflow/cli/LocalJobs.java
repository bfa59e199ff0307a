package io.gradflow.cli;

import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.JobSettings;
import io.gradflow.jobs.NormJob;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.BiConsumer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.apache.kafka.common.TopicPartition;

/** The jobs on a local stack, between its topics. They end with the stack. */
final class LocalJobs {
  private static final Duration STARTING = Duration.ofSeconds(60);
  private static final Duration POLL = Duration.ofMillis(20);

  private final List<LocalFlink.Job> jobs;

  private LocalJobs(List<LocalFlink.Job> jobs) {
    this.jobs = jobs;
  }

  /** Submits both and returns when all their tasks run. */
  static LocalJobs start(LocalStack stack) {
    return running(
        submit(stack, NormJob.NAME, NormJob::define),
        submit(stack, AlertJob.NAME, AlertJob::define));
  }

  /** Submits AlertJob alone, for steps that are there already. */
  static LocalJobs startAlertJob(LocalStack stack) {
    return running(submit(stack, AlertJob.NAME, AlertJob::define));
  }

  private static LocalJobs running(LocalFlink.Job... jobs) {
    LocalJobs started = new LocalJobs(List.of(jobs));
    started.jobs.forEach(job -> job.awaitRunning(STARTING));
    return started;
  }

  private static LocalFlink.Job submit(
      LocalStack stack,
      String name,
      BiConsumer<StreamExecutionEnvironment, JobSettings> definition) {
    StreamExecutionEnvironment environment = stack.flink().environment();
    String[] arguments = {
      "--" + GradflowOptions.BOOTSTRAP_SERVERS.key(), stack.kafka().bootstrapServers()
    };
    definition.accept(
        environment, JobSettings.resolve(arguments, Map.of(), environment.getConfiguration()));
    StreamGraph graph = environment.getStreamGraph();
    graph.setJobName(name);
    return stack.flink().submit(graph);
  }

  /**
   * Returns when AlertJob has read these positions of its topics and written all alerts that follow
   * from what is before them.
   *
   * @param ends offsets after the last record to be read
   * @return false if the time is over before that
   */
  boolean awaitAlertsOf(Map<TopicPartition, Long> ends, Duration limit)
      throws InterruptedException {
    long deadline = System.nanoTime() + limit.toNanos();
    while (!hasRead(AlertJob.NAME, ends)) {
      throwIfFailed();
      if (System.nanoTime() > deadline) {
        return false;
      }
      TimeUnit.MILLISECONDS.sleep(POLL.toMillis());
    }
    jobs.stream()
        .filter(job -> job.name().equals(AlertJob.NAME))
        .forEach(LocalFlink.Job::checkpoint);
    return true;
  }

  /** Whether a job has read these positions of its topics. */
  boolean hasRead(String job, Map<TopicPartition, Long> ends) {
    return ends.entrySet().stream()
        .allMatch(end -> SourcePositions.of(job, end.getKey()) >= end.getValue());
  }

  /**
   * Returns if all still run.
   *
   * @throws CommandFailed with the reason why one does not
   */
  void throwIfFailed() {
    for (LocalFlink.Job job : jobs) {
      job.failure()
          .ifPresent(
              why -> {
                throw new CommandFailed(why);
              });
    }
  }
}
