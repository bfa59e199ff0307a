package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.datatype.jdk8.Jdk8Module;
import com.fasterxml.jackson.datatype.jsr310.JavaTimeModule;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.Duration;
import java.time.Instant;
import java.util.Comparator;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Where a cluster of processes keeps everything: its plan, its state, each process's pid and log,
 * the broker's data and the jobs' checkpoints.
 *
 * @param root the folder, absolute
 */
record ClusterFolder(Path root) {
  private static final ObjectMapper JSON =
      new ObjectMapper().registerModule(new Jdk8Module()).registerModule(new JavaTimeModule());

  /** How far the clocks of a process's start and of a file may be apart. */
  private static final Duration CLOCKS = Duration.ofSeconds(2);

  ClusterFolder {
    root = root.toAbsolutePath().normalize();
  }

  /** Flink's configuration folder, with the broker's properties and the loggers' in it too. */
  Path conf() {
    return root.resolve("conf");
  }

  /** gradflow's own jars, as they were when the cluster was started. */
  Path lib() {
    return root.resolve("lib");
  }

  /** The jar of both jobs. */
  Path jobJar() {
    return root.resolve("gradflow-jobs.jar");
  }

  /** The broker's data. */
  Path broker() {
    return root.resolve("broker");
  }

  /** What Flink writes and forgets. */
  Path temporary() {
    return root.resolve("tmp");
  }

  /** Where the checkpoints of a job are kept, of all its submissions. */
  Path checkpoints(String job) {
    return root.resolve("checkpoints").resolve(job);
  }

  /** What the processes log and print. */
  Path logs() {
    return root.resolve("logs");
  }

  /** The log of a process. */
  Path log(String process) {
    return logs().resolve(process + ".log");
  }

  /** Everything a cluster puts into the folder, which may hold what is others'. */
  Stream<Path> contents() {
    return Stream.of(
            "conf",
            "lib",
            "gradflow-jobs.jar",
            "broker",
            "tmp",
            "checkpoints",
            "logs",
            "pids",
            "plan.json",
            "state.json")
        .map(root::resolve);
  }

  /** The file that holds the process's pid and nothing else. */
  Path pid(String process) {
    return root.resolve("pids").resolve(process + ".pid");
  }

  /**
   * The process of that name, if it runs. A pid that has meanwhile been given to another process is
   * not taken for it: that one started after the pid was noted.
   */
  Optional<ProcessHandle> process(String name) {
    Path file = pid(name);
    try {
      if (!Files.exists(file)) {
        return Optional.empty();
      }
      Instant noted = Files.getLastModifiedTime(file).toInstant();
      return ProcessHandle.of(Long.parseLong(Files.readString(file).strip()))
          .filter(ProcessHandle::isAlive)
          .filter(
              process ->
                  process
                      .info()
                      .startInstant()
                      .map(started -> started.isBefore(noted.plus(CLOCKS)))
                      .orElse(true));
    } catch (IOException | NumberFormatException e) {
      throw new CommandFailed(
          "%s: expected a process id; correct or remove the file".formatted(file), e);
    }
  }

  /** Notes the pid of a process that was just started. */
  void note(String process, long pid) {
    write(pid(process), Long.toString(pid) + "\n");
  }

  /**
   * The newest checkpoint of a job that is complete: Flink writes its {@code _metadata} last, and
   * under another name until it is whole.
   */
  Optional<Path> newestCheckpoint(String job) {
    Path all = checkpoints(job);
    if (!Files.isDirectory(all)) {
      return Optional.empty();
    }
    // checkpoints/JOB/<id of the submission>/chk-<n>/_metadata
    try (Stream<Path> found = Files.find(all, 3, (path, of) -> path.endsWith("_metadata"))) {
      return found
          .max(Comparator.comparing(ClusterFolder::modified))
          .map(metadata -> metadata.getParent());
    } catch (IOException e) {
      throw unusable(all, e);
    }
  }

  private static Instant modified(Path file) {
    try {
      return Files.getLastModifiedTime(file).toInstant();
    } catch (IOException e) {
      return Instant.EPOCH; // Flink has just removed it.
    }
  }

  /** What was asked for and decided; empty if no cluster was ever started here. */
  Optional<ClusterPlan> plan() {
    return read(root.resolve("plan.json"), ClusterPlan.class);
  }

  void keep(ClusterPlan plan) {
    write(root.resolve("plan.json"), json(plan));
  }

  /** What the supervisor saw last; empty before it has looked. */
  Optional<ClusterState> state() {
    return read(root.resolve("state.json"), ClusterState.class);
  }

  void keep(ClusterState state) {
    write(root.resolve("state.json"), json(state));
  }

  /** Forgets what a former supervisor saw. */
  void forgetState() {
    delete(root.resolve("state.json"));
  }

  /** Removes the pid of a process that was stopped. */
  void forget(String process) {
    delete(pid(process));
  }

  private static void delete(Path file) {
    try {
      Files.deleteIfExists(file);
    } catch (IOException e) {
      throw unusable(file, e);
    }
  }

  private static <T> Optional<T> read(Path file, Class<T> type) {
    try {
      return Files.exists(file)
          ? Optional.of(JSON.readValue(file.toFile(), type))
          : Optional.empty();
    } catch (IOException e) {
      throw unusable(file, e);
    }
  }

  private static String json(Object value) {
    try {
      return JSON.writerWithDefaultPrettyPrinter().writeValueAsString(value) + "\n";
    } catch (IOException e) {
      throw new IllegalStateException("not writable as JSON: " + value, e);
    }
  }

  /** Writes a file whole or not at all, for those who read it meanwhile. */
  static void write(Path file, String content) {
    try {
      Files.createDirectories(file.getParent());
      Path whole = file.resolveSibling(file.getFileName() + ".new");
      Files.writeString(whole, content);
      Files.move(whole, file, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    } catch (IOException e) {
      throw unusable(file, e);
    }
  }

  private static CommandFailed unusable(Path path, IOException e) {
    return new CommandFailed(
        "cannot use %s: %s; free some space or check its owner"
            .formatted(path, Causes.innermost(e)),
        e);
  }
}
