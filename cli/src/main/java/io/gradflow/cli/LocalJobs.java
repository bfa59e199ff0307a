package io.gradflow.cli;

import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.JobSettings;
import io.gradflow.jobs.NormJob;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;

/** Both jobs on a local stack, between its topics. They end with the stack. */
final class LocalJobs {
  private static final Duration STARTING = Duration.ofSeconds(60);

  private final List<LocalFlink.Job> jobs;

  private LocalJobs(List<LocalFlink.Job> jobs) {
    this.jobs = jobs;
  }

  /** Submits both and returns when all their tasks run. */
  static LocalJobs start(LocalStack stack) {
    LocalJobs started =
        new LocalJobs(
            List.of(
                submit(stack, NormJob.NAME, NormJob::define),
                submit(stack, AlertJob.NAME, AlertJob::define)));
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
   * Returns if both still run.
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
