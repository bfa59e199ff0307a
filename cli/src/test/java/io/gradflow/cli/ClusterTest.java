package io.gradflow.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.TimeUnit;
import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.CoreOptions;
import org.apache.flink.configuration.RestOptions;
import org.apache.flink.configuration.StateBackendOptions;
import org.apache.flink.configuration.TaskManagerOptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A cluster of processes, as far as it goes without starting one. */
class ClusterTest {
  private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
  private static final ClusterPlan PLAN =
      new ClusterPlan(19092, 19093, 18081, 16123, 2, 4, "flink.jar", "kafka.jar", List.of());

  @TempDir Path root;

  private ClusterFolder folder;
  private final StringWriter out = new StringWriter();
  private final StringWriter err = new StringWriter();

  @BeforeEach
  void open() {
    folder = new ClusterFolder(root.resolve("cluster"));
  }

  @Test
  void aJobGoesOnFromTheNewestCheckpointThatIsComplete() throws IOException {
    assertThat(folder.newestCheckpoint("NormJob")).isEmpty();

    checkpoint("NormJob", "aaaa", 7, START.plusSeconds(1));
    Path newest = checkpoint("NormJob", "bbbb", 2, START.plusSeconds(2));
    checkpoint("AlertJob", "cccc", 9, START.plusSeconds(3));
    Files.createDirectories(folder.checkpoints("NormJob").resolve("bbbb/chk-3"));

    assertThat(folder.newestCheckpoint("NormJob")).contains(newest);
  }

  private Path checkpoint(String job, String submission, int number, Instant complete)
      throws IOException {
    Path checkpoint =
        Files.createDirectories(
            folder.checkpoints(job).resolve(submission).resolve("chk-" + number));
    Path metadata = Files.createFile(checkpoint.resolve("_metadata"));
    Files.setLastModifiedTime(metadata, FileTime.from(complete));
    return checkpoint;
  }

  @Test
  void aPidThatNowBelongsToAnotherProcessIsNotTakenForTheOldOne() throws IOException {
    long self = ProcessHandle.current().pid();
    folder.note("broker", self);
    assertThat(folder.process("broker")).map(ProcessHandle::pid).contains(self);

    Files.setLastModifiedTime(folder.pid("broker"), FileTime.from(START.minusSeconds(86_400)));
    assertThat(folder.process("broker")).isEmpty();
    assertThat(folder.process("jobmanager")).isEmpty();
  }

  @Test
  void whatDiesIsStartedAgainAfterAPauseThatDoublesUpToHalfAMinute() throws Exception {
    ClusterProcess process =
        new ClusterProcess(folder, "sleeper", 0, () -> List.of("sleep", "600"));
    try {
      Instant now = START;
      process.keepRunning(now);
      assertThat(process.runs()).isTrue();
      assertThat(process.diedSince(now)).isFalse();

      for (int death = 1; death <= 3; death++) {
        kill(folder.process("sleeper").orElseThrow());
        assertThat(process.diedSince(now)).isTrue();
        assertThat(process.diedSince(now)).as("a death is told once").isFalse();
        Duration pause = ClusterProcess.pauseAfter(death);
        process.keepRunning(now.plus(pause).minusMillis(1));
        assertThat(process.runs()).isFalse();
        now = now.plus(pause);
        process.keepRunning(now);
        assertThat(process.runs()).isTrue();
      }
      assertThat(process.state().restarts()).isEqualTo(3);
      assertThat(process.deathsInARow()).isEqualTo(3);

      process.isUpAt(now);
      kill(folder.process("sleeper").orElseThrow());
      assertThat(process.diedSince(now.plusSeconds(120))).isTrue();
      assertThat(process.deathsInARow()).as("it had worked for two minutes").isEqualTo(1);
    } finally {
      process.replace();
    }
    assertThat(ClusterProcess.pauseAfter(1)).isEqualTo(Duration.ofMillis(500));
    assertThat(ClusterProcess.pauseAfter(2)).isEqualTo(Duration.ofSeconds(1));
    assertThat(ClusterProcess.pauseAfter(1_000)).isEqualTo(Duration.ofSeconds(30));
  }

  private static void kill(ProcessHandle process) throws Exception {
    process.destroyForcibly();
    process.onExit().get(10, TimeUnit.SECONDS);
  }

  @Test
  void theUsersConfigurationGoesBeforeTheClustersButNotItsAddresses() throws IOException {
    Path file = root.resolve("my-flink.yaml");
    Files.writeString(
        file,
        """
        parallelism.default: 3
        state:
          backend:
            type: rocksdb
        execution.checkpointing.interval: 7 s
        rest.port: 1
        gradflow.alerts.delivery: exactly-once
        """);
    Configuration merged = ClusterConfiguration.of(folder, PLAN, ClusterConfiguration.read(file));

    assertThat(merged.get(CoreOptions.DEFAULT_PARALLELISM)).isEqualTo(3);
    assertThat(merged.get(TaskManagerOptions.NUM_TASK_SLOTS))
        .as("each TaskManager has room for both jobs")
        .isEqualTo(6);
    assertThat(merged.get(StateBackendOptions.STATE_BACKEND)).isEqualTo("rocksdb");
    assertThat(merged.get(CheckpointingOptions.CHECKPOINTING_INTERVAL))
        .isEqualTo(Duration.ofSeconds(7));
    assertThat(merged.toMap()).containsEntry("gradflow.alerts.delivery", "exactly-once");
    assertThat(merged.get(RestOptions.PORT)).isEqualTo(18081);
    assertThat(merged.get(RestOptions.BIND_ADDRESS)).isEqualTo("127.0.0.1");
  }

  @Test
  void allJobsShareTheClassesOfNativeLibraries() {
    String[] shared =
        CoreOptions.getParentFirstLoaderPatterns(
            ClusterConfiguration.of(folder, PLAN, new Configuration()));
    assertThat(shared).contains("org.nd4j", "org.bytedeco");
  }

  @Test
  void whatIsWrittenForFlinkIsWhatFlinkReads() throws IOException {
    Configuration merged = ClusterConfiguration.of(folder, PLAN, new Configuration());
    Path file = root.resolve("written.yaml");
    Files.writeString(file, ClusterConfiguration.yaml(merged));

    assertThat(ClusterConfiguration.read(file).toMap()).isEqualTo(merged.toMap());
  }

  @Test
  void aFileThatIsNoConfigurationIsRefusedInOneLine() throws IOException {
    Path file = root.resolve("broken.yaml");
    Files.writeString(file, "a: [1\n");
    assertThatThrownBy(() -> ClusterConfiguration.read(file))
        .isInstanceOf(CommandFailed.class)
        .hasMessageStartingWith(file + ": expected Flink's configuration in YAML, got ")
        .message()
        .hasLineCount(1);
  }

  @Test
  void whatTheJobsWouldRefuseIsRefusedBeforeAnythingStarts() {
    Cluster.Wanted wanted =
        new Cluster.Wanted(
            OptionalInt.of(0),
            OptionalInt.of(0),
            2,
            4,
            new Configuration(),
            List.of("--gradflow.alerts.delivery", "sometimes"));
    assertThatThrownBy(
            () ->
                Cluster.in(folder)
                    .up(
                        wanted,
                        new Cluster.Built(root.resolve("jobs.jar"), "flink.jar", "cli.jar"),
                        new Progress(new PrintWriter(err))))
        .isInstanceOf(CommandFailed.class)
        .hasMessage(
            "option gradflow.alerts.delivery: expected at-least-once or exactly-once, got 'sometimes'");
    assertThat(folder.root()).doesNotExist();
  }

  @Test
  void aPrintedStackTraceIsReducedToItsInnermostCause() {
    assertThat(
            Causes.innermost(
                """
                java.lang.Exception: Exception while creating StreamOperatorStateContext.
                \tat org.apache.flink.Some.method(Some.java:315)
                Caused by: org.apache.flink.util.FlinkException: Could not restore
                \tat org.apache.flink.Other.method(Other.java:1)
                \t... 12 more
                Caused by: java.io.FileNotFoundException: /chk-1/_metadata
                \t... 16 more
                """))
        .contains("FileNotFoundException: /chk-1/_metadata");
    assertThat(Causes.innermost("Job has been submitted with JobID 00ff")).isEmpty();
  }

  @Test
  void saysThatThereIsNoCluster() {
    assertThat(cluster("status")).isEqualTo(1);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: no cluster was ever started in %s; start one: ./gradflow cluster up%n"
                .formatted(folder.root()));
    assertThat(cluster("down")).isZero();
    assertThat(out.toString()).isEqualTo("nothing ran in %s%n".formatted(folder.root()));
  }

  @Test
  void theStatusOfAClusterThatWasStoppedIsDown() throws IOException {
    folder.keep(PLAN);

    assertThat(cluster("status", "--format", "json")).isEqualTo(1);

    JsonNode status = new ObjectMapper().readTree(out.toString());
    assertThat(status.get("up").asBoolean()).isFalse();
    assertThat(status.get("processes").findValuesAsText("name"))
        .containsExactly("supervisor", "broker", "jobmanager", "taskmanager-1", "taskmanager-2");
    assertThat(status.get("jobs").findValuesAsText("state")).containsExactly("GONE", "GONE");
  }

  @Test
  void freshRemovesTheClustersOwnAndNothingElse() throws IOException {
    folder.keep(PLAN);
    checkpoint("NormJob", "aaaa", 1, START);
    Path foreign = Files.writeString(folder.root().resolve("notes.txt"), "mine");

    Cluster.in(folder).forget();

    assertThat(folder.root()).isDirectoryContaining(path -> path.equals(foreign));
    assertThat(folder.newestCheckpoint("NormJob")).isEmpty();
    assertThat(folder.plan()).isEmpty();
  }

  @Test
  void refusesWhatMakesNoCluster() {
    assertThat(cluster("up", "--taskmanagers", "0")).isEqualTo(2);
    assertThat(err.toString())
        .isEqualTo(
            "gradflow: --taskmanagers: expected at least 1, got 0; see gradflow cluster up --help%n"
                .formatted());
    assertThat(cluster("up", "--config", root.resolve("absent.yaml").toString())).isEqualTo(2);
    assertThat(err.toString())
        .contains("--config: expected a readable file, got " + root.resolve("absent.yaml"));
  }

  private int cluster(String command, String... options) {
    String[] all = new String[options.length + 4];
    all[0] = "cluster";
    all[1] = command;
    all[2] = "--dir";
    all[3] = folder.root().toString();
    System.arraycopy(options, 0, all, 4, options.length);
    return Gradflow.run(new PrintWriter(out, true), new PrintWriter(err, true), all);
  }
}
