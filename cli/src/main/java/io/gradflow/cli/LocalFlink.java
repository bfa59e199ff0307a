package io.gradflow.cli;

import java.net.URI;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.flink.api.common.JobID;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.MetricOptions;
import org.apache.flink.configuration.PipelineOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.SecurityOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.configuration.WebOptions;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionGraph;
import org.apache.flink.runtime.executiongraph.AccessExecutionVertex;
import org.apache.flink.runtime.jobmaster.JobResult;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.minicluster.RpcServiceSharing;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.graph.StreamGraph;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A Flink cluster in this JVM, JobManager and one TaskManager, with Flink's own web page on the
 * loopback interface.
 *
 * <p>The page shows and does not act: jobs are submitted, cancelled and rescaled only by the
 * command. Jobs take their classes from this JVM's class path.
 */
final class LocalFlink implements AutoCloseable {
  /** A job that fails is restarted so often before it counts as failed. */
  private static final int RESTARTS = 3;

  private static final Logger LOG = LoggerFactory.getLogger(LocalFlink.class);
  private static final Duration CLOSING = Duration.ofSeconds(15);
  private static final Duration ANSWER = Duration.ofSeconds(10);
  private static final Duration POLL = Duration.ofMillis(10);

  private final MiniCluster cluster;
  private final Configuration configuration;
  private final Path folder;
  private final Workspace workspace;
  private final int webPort;

  private LocalFlink(
      MiniCluster cluster,
      Configuration configuration,
      Path folder,
      Workspace workspace,
      int webPort) {
    this.cluster = cluster;
    this.configuration = configuration;
    this.folder = folder;
    this.workspace = workspace;
    this.webPort = webPort;
  }

  /**
   * Starts a cluster and returns when it accepts jobs.
   *
   * @param workspace where its folder for checkpoints and temporary files is made
   * @param webPort a free port for the web page
   * @param slots how many slots the TaskManager has: one job of parallelism p takes p of them
   */
  static LocalFlink start(Workspace workspace, int webPort, int slots) {
    Path folder = workspace.newFolder("flink");
    Configuration configuration = configuration(workspace, folder, webPort);
    MiniCluster cluster =
        new MiniCluster(
            new MiniClusterConfiguration.Builder()
                .setConfiguration(configuration)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(slots)
                .setRpcServiceSharing(RpcServiceSharing.SHARED)
                .build());
    LocalFlink flink = new LocalFlink(cluster, configuration, folder, workspace, webPort);
    try {
      cluster.start();
      return flink;
    } catch (Exception | LinkageError e) {
      // LinkageError: classes that register for the end of the process do not load once it ends.
      flink.close();
      throw new CommandFailed(
          "Flink did not start with its web page on port %d: %s; more in %s"
              .formatted(webPort, Causes.innermost(e), workspace.log()),
          e);
    }
  }

  private static Configuration configuration(Workspace workspace, Path folder, int webPort) {
    Configuration configuration = new Configuration();
    configuration.set(RestOptions.ADDRESS, "127.0.0.1");
    configuration.set(RestOptions.BIND_ADDRESS, "127.0.0.1");
    configuration.set(RestOptions.PORT, webPort);
    configuration.set(RestOptions.BIND_PORT, Integer.toString(webPort));
    configuration.set(WebOptions.SUBMIT_ENABLE, false);
    configuration.set(WebOptions.CANCEL_ENABLE, false);
    configuration.set(WebOptions.RESCALE_ENABLE, false);
    configuration.set(WebOptions.LOG_PATH, workspace.log().toString());
    configuration.set(CoreOptions.TMP_DIRS, folder.resolve("tmp").toString());
    configuration.set(
        CheckpointingOptions.CHECKPOINTS_DIRECTORY,
        folder.resolve("checkpoints").toUri().toString());
    configuration.set(CheckpointingOptions.CHECKPOINTING_INTERVAL, Duration.ofSeconds(1));
    configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
    configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, RESTARTS);
    configuration.set(
        RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ofMillis(200));
    configuration.set(SecurityOptions.DELEGATION_TOKENS_ENABLED, false);
    configuration.set(MetricOptions.REPORTERS_LIST, "positions");
    configuration.setString(
        "metrics.reporter.positions.factory.class", SourcePositions.Factory.class.getName());
    configuration.set(PipelineOptions.GENERIC_TYPES, false);
    configuration.set(CoreOptions.DEFAULT_PARALLELISM, 1);
    // Two jobs of a few tasks: a laptop keeps its memory for the training.
    configuration.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(64));
    configuration.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(64));
    configuration.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(64));
    return configuration;
  }

  /** Flink's web page. */
  URI web() {
    return URI.create("http://127.0.0.1:" + webPort);
  }

  /** An environment to define one job in, with this cluster's checkpoints and restarts. */
  StreamExecutionEnvironment environment() {
    return StreamExecutionEnvironment.getExecutionEnvironment(new Configuration(configuration));
  }

  /** Submits the job and returns when the cluster has taken it, before its tasks run. */
  Job submit(StreamGraph graph) {
    String name = graph.getJobName();
    try {
      JobID id = answer(cluster.submitJob(graph)).getJobID();
      return new Job(name, id);
    } catch (ExecutionException | TimeoutException e) {
      throw new CommandFailed(
          "Flink did not take the job %s: %s; more in %s"
              .formatted(name, Causes.innermost(e), workspace.log()),
          e);
    }
  }

  /**
   * Cancels what runs, stops the cluster, waiting no longer than some seconds, removes its data.
   */
  @Override
  public void close() {
    Closing.within(CLOSING, "Flink cluster", cluster::close);
    Workspace.remove(folder);
  }

  private static <T> T answer(CompletableFuture<T> future)
      throws ExecutionException, TimeoutException {
    try {
      return future.get(ANSWER.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new CommandFailed("interrupted while Flink was asked", e);
    }
  }

  /** A job on this cluster. */
  final class Job {
    private final String name;
    private final JobID id;
    private final CompletableFuture<JobResult> result;

    private Job(String name, JobID id) {
      this.name = name;
      this.id = id;
      this.result = cluster.requestJobResult(id);
    }

    String name() {
      return name;
    }

    /** The job's page. */
    URI web() {
      return LocalFlink.this.web().resolve("/#/job/running/" + id + "/overview");
    }

    /**
     * Returns when every task runs.
     *
     * @throws CommandFailed if the job ends before that, or the time is over
     */
    void awaitRunning(Duration limit) {
      long deadline = System.nanoTime() + limit.toNanos();
      while (!allTasksRun()) {
        throwIfFailed();
        if (System.nanoTime() > deadline) {
          throw new CommandFailed(
              "the job %s did not run within %d s; more in %s"
                  .formatted(name, limit.toSeconds(), workspace.log()));
        }
        pause();
      }
    }

    /** Why the job ended for good though nobody cancelled it, in one line; empty while it runs. */
    Optional<String> failure() {
      if (!result.isDone()) {
        return Optional.empty();
      }
      if (result.isCompletedExceptionally()) {
        return Optional.of("the job %s was lost; more in %s".formatted(name, workspace.log()));
      }
      return result
          .join()
          .getSerializedThrowable()
          .map(
              cause ->
                  "the job %s failed: %s; more in %s"
                      .formatted(name, Causes.innermost(cause), workspace.log()));
    }

    /** Whether the job has come to an end of any kind. */
    boolean ended() {
      return result.isDone();
    }

    /**
     * Returns when the job has ended by itself or by {@link #cancel()}.
     *
     * @throws CommandFailed if it failed, or has not ended when the time is over
     */
    void awaitEnd(Duration limit) {
      try {
        result.get(limit.toMillis(), TimeUnit.MILLISECONDS);
      } catch (TimeoutException e) {
        throw new CommandFailed(
            "the job %s did not end within %d s".formatted(name, limit.toSeconds()), e);
      } catch (ExecutionException e) {
        LOG.warn("The result of the job {} was lost", name, e); // failure() says so below.
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new CommandFailed("interrupted while the job " + name + " ran", e);
      }
      throwIfFailed();
    }

    /** Takes a checkpoint: when this returns, the job's sinks have flushed what came before. */
    void checkpoint() {
      try {
        answer(cluster.triggerCheckpoint(id));
      } catch (ExecutionException | TimeoutException e) {
        throw new CommandFailed(
            "the job %s took no checkpoint: %s".formatted(name, Causes.innermost(e)), e);
      }
    }

    private void throwIfFailed() {
      failure()
          .ifPresent(
              cause -> {
                throw new CommandFailed(cause);
              });
    }

    /** Stops the job and returns when it has stopped; a job that has ended stays as it is. */
    void cancel() {
      if (ended()) {
        return;
      }
      try {
        answer(cluster.cancelJob(id));
        answer(result);
      } catch (ExecutionException | TimeoutException e) {
        throw new CommandFailed(
            "the job %s cannot be cancelled: %s".formatted(name, Causes.innermost(e)), e);
      }
    }

    private boolean allTasksRun() {
      try {
        AccessExecutionGraph graph = answer(cluster.getExecutionGraph(id));
        if (graph.getState() != JobStatus.RUNNING) {
          return false;
        }
        for (AccessExecutionVertex task : graph.getAllExecutionVertices()) {
          if (task.getExecutionState() != ExecutionState.RUNNING
              && task.getExecutionState() != ExecutionState.FINISHED) {
            return false;
          }
        }
        return true;
      } catch (ExecutionException | TimeoutException e) {
        return false; // The result says why; a slow answer is asked for again until the limit.
      }
    }

    private void pause() {
      try {
        TimeUnit.MILLISECONDS.sleep(POLL.toMillis());
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new CommandFailed("interrupted while the job " + name + " started", e);
      }
    }
  }
}
