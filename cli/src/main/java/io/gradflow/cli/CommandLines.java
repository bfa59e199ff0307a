package io.gradflow.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.apache.flink.client.cli.CliFrontend;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.apache.flink.core.execution.RecoveryClaimMode;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessSpec;
import org.apache.flink.runtime.clusterframework.TaskExecutorProcessUtils;
import org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint;
import org.apache.flink.runtime.jobmanager.JobManagerProcessSpec;
import org.apache.flink.runtime.jobmanager.JobManagerProcessUtils;
import org.apache.flink.runtime.taskexecutor.TaskManagerRunner;
import org.apache.flink.runtime.util.config.memory.ProcessMemoryUtils;

/**
 * How the processes of a cluster are started: what Flink's and Kafka's own scripts would run.
 *
 * <p>Memory is resolved here, as those scripts do, and passed to the JVM and to Flink alike.
 */
final class CommandLines {
  private static final String JAVA =
      Path.of(System.getProperty("java.home"), "bin", "java").toString();

  /** What Flink's distribution opens of the JDK, for Kryo, Netty and Pekko. */
  private static final List<String> OPENED =
      Stream.of(
              "java.base/java.lang",
              "java.base/java.net",
              "java.base/java.io",
              "java.base/java.nio",
              "java.base/sun.nio.ch",
              "java.base/java.lang.reflect",
              "java.base/java.text",
              "java.base/java.time",
              "java.base/java.util",
              "java.base/java.util.concurrent",
              "java.base/java.util.concurrent.atomic",
              "java.base/java.util.concurrent.locks")
          .map(opened -> "--add-opens=" + opened + "=ALL-UNNAMED")
          .toList();

  /** Processes that start often or work little: less compiling, one collecting thread. */
  private static final List<String> LIGHT =
      List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto");

  private final ClusterFolder folder;
  private final ClusterPlan plan;
  private final Configuration flink;

  /**
   * @param flink the cluster's configuration
   */
  CommandLines(ClusterFolder folder, ClusterPlan plan, Configuration flink) {
    this.folder = folder;
    this.plan = plan;
    this.flink = flink;
  }

  /**
   * The process that keeps the others running.
   *
   * @param classPath of the command itself
   */
  static List<String> supervisor(ClusterFolder folder, String classPath) {
    return java(
        Stream.of(
            LIGHT,
            List.of("-Xmx128m", "-Dgradflow.workspace=" + folder.root()),
            OPENED,
            logging(folder, ClusterPlan.SUPERVISOR),
            List.of("-cp", classPath, Gradflow.class.getName()),
            List.of("cluster", "supervise", "--dir", folder.root().toString())));
  }

  List<String> broker() {
    return java(
        Stream.of(
            List.of("-Xms256m", "-Xmx512m"),
            LIGHT,
            logging(folder, ClusterPlan.BROKER),
            List.of("-cp", plan.brokerClassPath(), "kafka.Kafka"),
            List.of(folder.conf().resolve("server.properties").toString())));
  }

  List<String> jobManager() {
    JobManagerProcessSpec memory = JobManagerProcessUtils.processSpecFromConfig(flink);
    return java(
        Stream.of(
            words(JobManagerProcessUtils.generateJvmParametersStr(memory, flink)),
            LIGHT,
            OPENED,
            words(flink.get(CoreOptions.FLINK_JVM_OPTIONS)),
            words(flink.get(CoreOptions.FLINK_JM_JVM_OPTIONS)),
            logging(folder, ClusterPlan.JOB_MANAGER),
            ofFlink(StandaloneSessionClusterEntrypoint.class),
            List.of("--configDir", folder.conf().toString()),
            words(JobManagerProcessUtils.generateDynamicConfigsStr(memory))));
  }

  List<String> taskManager(String name) {
    TaskExecutorProcessSpec memory = TaskExecutorProcessUtils.processSpecFromConfig(flink);
    return java(
        Stream.of(
            words(ProcessMemoryUtils.generateJvmParametersStr(memory)),
            List.of("-XX:+UseSerialGC"),
            OPENED,
            words(flink.get(CoreOptions.FLINK_JVM_OPTIONS)),
            words(flink.get(CoreOptions.FLINK_TM_JVM_OPTIONS)),
            logging(folder, name),
            ofFlink(TaskManagerRunner.class),
            List.of("--configDir", folder.conf().toString()),
            words(TaskExecutorProcessUtils.generateDynamicConfigsStr(memory)),
            List.of("-D", TaskManagerOptions.TASK_MANAGER_RESOURCE_ID.key() + "=" + name)));
  }

  /**
   * {@code flink run -d}: the jar's main runs in a process of its own, with the cluster's
   * configuration.
   *
   * @param checkpoint to go on from, which Flink owns from then on; empty to begin anew
   */
  List<String> submission(ClusterPlan.Job job, Optional<Path> checkpoint) {
    List<String> options = new ArrayList<>();
    options.add(
        "-D%s=%s"
            .formatted(
                CheckpointingOptions.CHECKPOINTS_DIRECTORY.key(),
                folder.checkpoints(job.name()).toUri()));
    checkpoint.ifPresent(
        path -> {
          options.add("-D%s=%s".formatted(StateRecoveryOptions.SAVEPOINT_PATH.key(), path.toUri()));
          options.add(
              "-D%s=%s"
                  .formatted(
                      StateRecoveryOptions.RESTORE_MODE.key(), RecoveryClaimMode.CLAIM.name()));
        });
    return java(
        Stream.of(
            List.of("-Xmx256m"),
            LIGHT,
            OPENED,
            logging(folder, submissionOf(job)),
            ofFlink(CliFrontend.class),
            List.of("run", "-d", "-c", job.entryClass()),
            options,
            List.of(folder.jobJar().toString()),
            plan.allJobArguments()));
  }

  /** Names the process that submits a job, and its log. */
  static String submissionOf(ClusterPlan.Job job) {
    return "submit-" + job.name();
  }

  private List<String> ofFlink(Class<?> main) {
    return List.of("-cp", plan.flinkClassPath(), main.getName());
  }

  /** Flink's page shows the file that {@code log.file} names. */
  private static List<String> logging(ClusterFolder folder, String process) {
    return List.of(
        "-Dlog.file=" + folder.log(process),
        "-Dlog4j2.configurationFile=" + folder.conf().resolve("log4j2.properties"));
  }

  private static List<String> words(String text) {
    return Stream.of(text.split(" ", -1)).filter(word -> !word.isEmpty()).toList();
  }

  private static List<String> java(Stream<List<String>> parts) {
    return Stream.concat(Stream.of(JAVA), parts.flatMap(List::stream)).toList();
  }
}
