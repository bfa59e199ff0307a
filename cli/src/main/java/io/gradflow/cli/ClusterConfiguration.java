package io.gradflow.cli;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.ConfigurationUtils;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.ExternalizedCheckpointRetention;
import org.apache.flink.configuration.HeartbeatManagerOptions;
import org.apache.flink.configuration.JobManagerOptions;
import org.apache.flink.configuration.MemorySize;
import org.apache.flink.configuration.MetricOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.configuration.SecurityOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.configuration.WebOptions;

/** Flink's configuration on a cluster of processes. */
final class ClusterConfiguration {
  private ClusterConfiguration() {}

  /** The user's settings go before the defaults, addresses and folders before all. */
  static Configuration of(ClusterFolder folder, ClusterPlan plan, Configuration wanted) {
    Configuration configuration = defaults();
    configuration.addAll(wanted);
    if (!configuration.contains(TaskManagerOptions.NUM_TASK_SLOTS)) {
      // Room for both jobs on each TaskManager: losing one of several stops nothing.
      configuration.set(
          TaskManagerOptions.NUM_TASK_SLOTS,
          ClusterPlan.JOBS.size() * configuration.get(CoreOptions.DEFAULT_PARALLELISM));
    }
    configuration.addAll(decided(folder, plan));
    return configuration;
  }

  /** Reads a {@code config.yaml} of Flink, by whatever name. */
  static Configuration read(Path file) {
    try {
      return FlinkConfigFile.read(file);
    } catch (IOException | RuntimeException e) {
      throw new CommandFailed(
          "%s: expected Flink's configuration in YAML, got %s".formatted(file, Causes.innermost(e)),
          e);
    }
  }

  /** The lines of Flink's {@code config.yaml}. */
  static String yaml(Configuration configuration) {
    return String.join("\n", ConfigurationUtils.convertConfigToWritableLines(configuration, false))
        + "\n";
  }

  /** What a cluster's Flink is set to unless its user says otherwise. */
  private static Configuration defaults() {
    Configuration defaults = new Configuration();
    defaults.set(CoreOptions.DEFAULT_PARALLELISM, 2);
    // Spread, so that the work of two TaskManagers is done by two.
    defaults.set(
        TaskManagerOptions.TASK_MANAGER_LOAD_BALANCE_MODE,
        TaskManagerOptions.TaskManagerLoadBalanceMode.SLOTS);
    defaults.set(TaskManagerOptions.TOTAL_PROCESS_MEMORY, MemorySize.ofMebiBytes(1280));
    defaults.set(TaskManagerOptions.MANAGED_MEMORY_SIZE, MemorySize.ofMebiBytes(128));
    defaults.set(TaskManagerOptions.NETWORK_MEMORY_MIN, MemorySize.ofMebiBytes(64));
    defaults.set(TaskManagerOptions.NETWORK_MEMORY_MAX, MemorySize.ofMebiBytes(64));
    defaults.set(JobManagerOptions.TOTAL_PROCESS_MEMORY, MemorySize.ofMebiBytes(1024));
    defaults.set(
        CheckpointingOptions.EXTERNALIZED_CHECKPOINT_RETENTION,
        ExternalizedCheckpointRetention.RETAIN_ON_CANCELLATION);
    // On one machine a process that does not answer for seconds is dead.
    defaults.set(HeartbeatManagerOptions.HEARTBEAT_INTERVAL, Duration.ofSeconds(2));
    defaults.set(HeartbeatManagerOptions.HEARTBEAT_TIMEOUT, Duration.ofSeconds(30));
    defaults.set(RestartStrategyOptions.RESTART_STRATEGY, "exponential-delay");
    defaults.set(
        RestartStrategyOptions.RESTART_STRATEGY_EXPONENTIAL_DELAY_MAX_BACKOFF,
        Duration.ofSeconds(30));
    // What the page and the supervisor see is no older.
    defaults.set(WebOptions.REFRESH_INTERVAL, Duration.ofSeconds(1));
    defaults.set(MetricOptions.METRIC_FETCHER_UPDATE_INTERVAL, Duration.ofSeconds(1));
    // The page shows and does not act. Whoever reaches REST can still submit: it stays on loopback.
    defaults.set(WebOptions.SUBMIT_ENABLE, false);
    defaults.set(SecurityOptions.DELEGATION_TOKENS_ENABLED, false);
    // A native library is loaded once in a JVM: by the class loader that all jobs share.
    defaults.set(
        CoreOptions.ALWAYS_PARENT_FIRST_LOADER_PATTERNS_ADDITIONAL,
        List.of("org.nd4j", "org.bytedeco"));
    return defaults;
  }

  /** What nobody may say but the cluster itself. */
  private static Configuration decided(ClusterFolder folder, ClusterPlan plan) {
    Configuration decided = new Configuration();
    decided.set(JobManagerOptions.ADDRESS, "127.0.0.1");
    decided.set(JobManagerOptions.BIND_HOST, "127.0.0.1");
    decided.set(JobManagerOptions.PORT, plan.rpcPort());
    decided.set(RestOptions.ADDRESS, "127.0.0.1");
    decided.set(RestOptions.BIND_ADDRESS, "127.0.0.1");
    decided.set(RestOptions.PORT, plan.webPort());
    decided.set(RestOptions.BIND_PORT, Integer.toString(plan.webPort()));
    decided.set(TaskManagerOptions.HOST, "127.0.0.1");
    decided.set(TaskManagerOptions.BIND_HOST, "127.0.0.1");
    decided.set(CoreOptions.TMP_DIRS, folder.temporary().toString());
    return decided;
  }
}
