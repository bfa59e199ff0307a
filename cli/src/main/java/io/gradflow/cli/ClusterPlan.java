package io.gradflow.cli;

import io.gradflow.jobs.AlertJob;
import io.gradflow.jobs.GradflowOptions;
import io.gradflow.jobs.NormJob;
import io.gradflow.schema.Topic;
import java.net.URI;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * What a cluster of processes is made of, decided once when it is started. Flink's own settings are
 * in its {@code config.yaml}.
 *
 * @param kafkaPort the broker's port for clients
 * @param controllerPort the broker's own
 * @param webPort Flink's REST and page
 * @param rpcPort the JobManager's, for TaskManagers
 * @param taskManagers how many, at least 1
 * @param partitions of every topic that has several
 * @param flinkClassPath Flink's lib folder
 * @param brokerClassPath the broker's libraries
 * @param jobArguments what both jobs are told, beside where Kafka is
 */
record ClusterPlan(
    int kafkaPort,
    int controllerPort,
    int webPort,
    int rpcPort,
    int taskManagers,
    int partitions,
    String flinkClassPath,
    String brokerClassPath,
    List<String> jobArguments) {
  static final String SUPERVISOR = "supervisor";
  static final String BROKER = "broker";
  static final String JOB_MANAGER = "jobmanager";

  /**
   * A job to be kept running.
   *
   * @param group the end of its consumer group
   * @param input the topic it must keep up with
   */
  record Job(String name, String entryClass, String group, Topic input) {}

  static final List<Job> JOBS =
      List.of(
          new Job(NormJob.NAME, NormJob.class.getName(), "norm", Topic.SHARDS),
          new Job(AlertJob.NAME, AlertJob.class.getName(), "alert", Topic.STEPS));

  List<String> taskManagerNames() {
    return IntStream.rangeClosed(1, taskManagers).mapToObj(i -> "taskmanager-" + i).toList();
  }

  /** All processes but the supervisor, in the order in which they start. */
  List<String> processNames() {
    return Stream.concat(Stream.of(BROKER, JOB_MANAGER), taskManagerNames().stream()).toList();
  }

  /** What a job's main is given. */
  List<String> allJobArguments() {
    return Stream.concat(
            Stream.of("--" + GradflowOptions.BOOTSTRAP_SERVERS.key(), bootstrapServers()),
            jobArguments.stream())
        .toList();
  }

  String bootstrapServers() {
    return "127.0.0.1:" + kafkaPort;
  }

  URI web() {
    return URI.create("http://127.0.0.1:" + webPort);
  }
}
