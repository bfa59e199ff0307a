package io.gradflow.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One job of a cluster, as its supervisor sees it: submitted once to each JobManager, from the
 * newest retained checkpoint.
 */
final class ClusterJob {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterJob.class);
  private static final Pattern ID = Pattern.compile("JobID ([0-9a-f]{32})");
  private final ClusterFolder folder;
  private final ClusterPlan.Job job;
  private final CommandLines commandLines;

  private Process submission;
  private Instant submitted;
  private Instant next = Instant.MIN;
  private Optional<Path> checkpoint = Optional.empty();
  private Optional<String> id = Optional.empty();
  private Optional<String> refusal = Optional.empty();
  private double startSeconds;
  private boolean up;
  private int submissions;
  private int refusalsInARow;

  ClusterJob(ClusterFolder folder, ClusterPlan.Job job, CommandLines commandLines) {
    this.folder = folder;
    this.job = job;
    this.commandLines = commandLines;
  }

  /** The JobManager is gone, and the job with it. */
  void forget() {
    if (submission != null) {
      submission.destroyForcibly();
      submission = null;
    }
    id = Optional.empty();
    up = false;
    next = Instant.MIN;
  }

  /** Submits it if it is not, and looks what became of the submission. */
  void keepSubmitted(Instant now) {
    if (id.isPresent()) {
      return;
    }
    if (submission == null) {
      if (!now.isBefore(next)) {
        submit(now);
      }
    } else if (!submission.isAlive()) {
      taken(now);
    }
  }

  private void submit(Instant now) {
    checkpoint = folder.newestCheckpoint(job.name());
    LOG.info("submitting {} from {}", job.name(), checkpoint.map(Path::toString).orElse("nothing"));
    submission =
        ClusterProcess.start(
            folder,
            CommandLines.submissionOf(job),
            commandLines.submission(job, checkpoint),
            Map.of("FLINK_CONF_DIR", folder.conf().toString()));
    submitted = now;
    submissions++;
  }

  private void taken(Instant now) {
    int code = submission.exitValue();
    submission = null;
    String said = said();
    Matcher given = ID.matcher(said);
    if (code == 0 && given.find()) {
      id = Optional.of(given.group(1));
      refusalsInARow = 0;
      refusal = Optional.empty();
      return;
    }
    refusalsInARow++;
    Duration pause = ClusterProcess.pauseAfter(refusalsInARow);
    refusal =
        Optional.of(
            "Flink did not take the job %s: %s; more in %s"
                .formatted(
                    job.name(),
                    Causes.innermost(said).orElse("exit code " + code),
                    ClusterProcess.output(folder, CommandLines.submissionOf(job))));
    LOG.warn("{}; submitting it again in {}", refusal.get(), pause);
    next = now.plus(pause);
  }

  private String said() {
    try {
      return Files.readString(ClusterProcess.output(folder, CommandLines.submissionOf(job)));
    } catch (IOException e) {
      return Causes.innermost(e);
    }
  }

  String name() {
    return job.name();
  }

  boolean isUp() {
    return up;
  }

  /** All its tasks run. */
  void isUpAt(Instant now) {
    up = true;
    startSeconds = Duration.between(submitted, now).toMillis() / 1e3;
    LOG.info("{} runs after {} s as {}", job.name(), startSeconds, id.orElseThrow());
  }

  /** Flink's id for it; empty while it is not submitted. */
  Optional<String> id() {
    return id;
  }

  /** Why Flink did not take it the last time; empty if it did. */
  Optional<String> refusal() {
    return refusal;
  }

  ClusterState.OfJob state() {
    return new ClusterState.OfJob(
        job.name(), id, up, startSeconds, checkpoint.map(Path::toString), submissions);
  }
}
