package io.gradflow.cli;

import static org.awaitility.Awaitility.await;

import java.lang.reflect.Method;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.client.program.StreamContextEnvironment;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.DeploymentOptions;
import org.apache.flink.metrics.Counter;
import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.runtime.client.JobStatusMessage;
import org.apache.flink.runtime.execution.ExecutionState;
import org.apache.flink.runtime.executiongraph.AccessExecutionGraph;
import org.apache.flink.runtime.minicluster.MiniCluster;
import org.apache.flink.runtime.minicluster.MiniClusterConfiguration;
import org.apache.flink.runtime.testutils.InMemoryReporter;
import org.apache.flink.test.util.MiniClusterPipelineExecutorServiceLoader;

/**
 * Jobs started by their mains, as Flink's client does it, on a Flink in this JVM under a given
 * configuration. Their metrics can be read at any time, exactly.
 */
final class JobsUnderTest implements AutoCloseable {
  private static final Duration STARTING = Duration.ofSeconds(60);

  private final Configuration configuration;
  private final InMemoryReporter metrics = InMemoryReporter.create();
  private final MiniCluster cluster;

  /**
   * Starts the cluster: one TaskManager.
   *
   * @param configuration of the cluster and of each job
   */
  JobsUnderTest(Configuration configuration, int slots) throws Exception {
    this.configuration = metrics.addToConfiguration(new Configuration(configuration));
    cluster =
        new MiniCluster(
            new MiniClusterConfiguration.Builder()
                .setConfiguration(this.configuration)
                .setNumTaskManagers(1)
                .setNumSlotsPerTaskManager(slots)
                .withRandomPorts()
                .build());
    cluster.start();
  }

  /**
   * Calls a job's main and returns when all the job's tasks run.
   *
   * @param mainClass its full name
   * @param name the job's
   */
  void start(String mainClass, String name, String... arguments) throws Exception {
    Configuration submitted =
        MiniClusterPipelineExecutorServiceLoader.updateConfigurationForMiniCluster(
            new Configuration(configuration), List.of(), List.of());
    submitted.set(DeploymentOptions.ATTACHED, false);
    Method main = Class.forName(mainClass).getMethod("main", String[].class);
    StreamContextEnvironment.setAsContext(
        new MiniClusterPipelineExecutorServiceLoader(cluster),
        submitted,
        getClass().getClassLoader(),
        true,
        false);
    try {
      main.invoke(null, (Object) arguments);
    } finally {
      StreamContextEnvironment.unsetAsContext();
    }
    await().atMost(STARTING).until(() -> allTasksRun(name));
  }

  private boolean allTasksRun(String name) throws Exception {
    AccessExecutionGraph graph =
        cluster.getExecutionGraph(job(name).getJobId()).get(10, TimeUnit.SECONDS);
    for (var task : graph.getAllExecutionVertices()) {
      if (task.getExecutionState() != ExecutionState.RUNNING) {
        return false;
      }
    }
    return graph.getState() == JobStatus.RUNNING;
  }

  JobStatus status(String name) throws Exception {
    return job(name).getJobState();
  }

  private JobStatusMessage job(String name) throws Exception {
    return cluster.listJobs().get(10, TimeUnit.SECONDS).stream()
        .filter(job -> job.getJobName().equals(name))
        .findFirst()
        .orElseThrow(() -> new AssertionError("expected a job " + name + ", got none"));
  }

  /** The sum of a counter over all operators and subtasks of a job. */
  long count(String job, String counter) {
    return metricsOf(job, counter).stream()
        .mapToLong(metric -> ((Counter) metric).getCount())
        .sum();
  }

  /** The value of a gauge that a job has once. */
  long gauge(String job, String gauge) {
    List<Metric> found = metricsOf(job, gauge);
    if (found.size() != 1) {
      throw new AssertionError("expected one gauge %s of %s, got %s".formatted(gauge, job, found));
    }
    return ((Number) ((Gauge<?>) found.get(0)).getValue()).longValue();
  }

  private List<Metric> metricsOf(String job, String name) {
    return metrics.getMetricsByGroup().entrySet().stream()
        .filter(group -> job.equals(group.getKey().getAllVariables().get("<job_name>")))
        .map(Map.Entry::getValue)
        .filter(named -> named.containsKey(name))
        .map(named -> named.get(name))
        .toList();
  }

  /** Cancels the jobs and stops the cluster. */
  @Override
  public void close() throws Exception {
    cluster.close();
  }
}
