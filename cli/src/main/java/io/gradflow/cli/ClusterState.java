package io.gradflow.cli;

import java.time.Instant;
import java.util.List;
import java.util.Optional;

/**
 * What the supervisor of a cluster saw last.
 *
 * @param processes all but the supervisor itself
 * @param jobs both
 * @param failure why the supervisor gave up before the cluster was ever up; empty if it did not
 */
record ClusterState(List<OfProcess> processes, List<OfJob> jobs, Optional<String> failure) {

  /**
   * @param pid of its latest incarnation; 0 if it waits to be started again
   * @param port its clients' port; 0 if it has none of its own
   * @param up whether it has shown that it works
   * @param startSeconds from its start until then; 0 before
   * @param restarts how often it was started again
   * @param started when it was last started
   */
  record OfProcess(
      String name,
      long pid,
      int port,
      boolean up,
      double startSeconds,
      int restarts,
      Optional<Instant> started) {}

  /**
   * @param id Flink's, of the latest submission; empty before Flink has taken it
   * @param up whether all its tasks ran at once
   * @param startSeconds from its submission until then; 0 before
   * @param restoredFrom the checkpoint of that submission; empty if it began anew
   * @param submissions how often it was submitted since the cluster was started
   */
  record OfJob(
      String name,
      Optional<String> id,
      boolean up,
      double startSeconds,
      Optional<String> restoredFrom,
      int submissions) {}

  /** Whether everything has shown that it works. */
  boolean up() {
    return processes.stream().allMatch(OfProcess::up) && jobs.stream().allMatch(OfJob::up);
  }
}
