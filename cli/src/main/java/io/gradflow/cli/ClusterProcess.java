package io.gradflow.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One process of a cluster, as its supervisor sees it: started, watched, started again when it has
 * died. After each death in a row the pause before the next start doubles, up to half a minute.
 */
final class ClusterProcess {
  private static final Logger LOG = LoggerFactory.getLogger(ClusterProcess.class);
  private static final Duration FIRST_PAUSE = Duration.ofMillis(500);
  private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);

  /** A process that has worked for so long starts with a clean record. */
  private static final Duration STEADY = Duration.ofMinutes(1);

  /** Subtasks are the threads; a library that starts one a core in each of them slows all down. */
  private static final Map<String, String> ONE_THREAD = Map.of("OMP_NUM_THREADS", "1");

  private final ClusterFolder folder;
  private final String name;
  private final int port;
  private final Supplier<List<String>> commandLine;

  private Process process;
  private Instant started;
  private Instant next = Instant.MIN;
  private double startSeconds;
  private boolean up;
  private int starts;
  private int deathsInARow;

  /**
   * @param port its clients' port; 0 if it has none of its own
   */
  ClusterProcess(ClusterFolder folder, String name, int port, Supplier<List<String>> commandLine) {
    this.folder = folder;
    this.name = name;
    this.port = port;
    this.commandLine = commandLine;
  }

  String name() {
    return name;
  }

  /** Whether it has died since the last look. Each death is told once. */
  boolean diedSince(Instant now) {
    if (process == null || process.isAlive()) {
      return false;
    }
    deathsInARow = up && started.plus(STEADY).isBefore(now) ? 1 : deathsInARow + 1;
    Duration pause = pauseAfter(deathsInARow);
    LOG.warn(
        "{} (pid {}) ended with exit code {}; starting it again in {}",
        name,
        process.pid(),
        process.exitValue(),
        pause);
    next = now.plus(pause);
    process = null;
    up = false;
    return true;
  }

  /** How long to wait after so many deaths in a row, at least 1. */
  static Duration pauseAfter(int deaths) {
    Duration pause = FIRST_PAUSE.multipliedBy(1L << Math.min(deaths - 1, 10));
    return pause.compareTo(LONGEST_PAUSE) < 0 ? pause : LONGEST_PAUSE;
  }

  /** Starts it if it does not run and its pause is over. */
  void keepRunning(Instant now) {
    if (process != null || now.isBefore(next)) {
      return;
    }
    process = start(folder, name, commandLine.get(), ONE_THREAD);
    folder.note(name, process.pid());
    started = now;
    starts++;
    LOG.info("{} started with pid {}", name, process.pid());
  }

  /** Ends it at once, to be started anew without a pause. */
  void replace() {
    if (process != null) {
      process.destroyForcibly();
      process.onExit().join();
      process = null;
    }
    up = false;
    next = Instant.MIN;
  }

  boolean runs() {
    return process != null && process.isAlive();
  }

  boolean isUp() {
    return up;
  }

  /** It has shown that it works. */
  void isUpAt(Instant now) {
    up = true;
    startSeconds = Duration.between(started, now).toMillis() / 1e3;
    LOG.info("{} is up after {} s", name, startSeconds);
  }

  /** How often it ended since it last worked for some time. */
  int deathsInARow() {
    return deathsInARow;
  }

  ClusterState.OfProcess state() {
    return new ClusterState.OfProcess(
        name,
        process == null ? 0 : process.pid(),
        port,
        up,
        startSeconds,
        Math.max(0, starts - 1),
        Optional.ofNullable(started));
  }

  /**
   * Starts a process whose output goes to a file beside its log.
   *
   * @param environment what it gets beside this process's own
   */
  static Process start(
      ClusterFolder folder,
      String name,
      List<String> commandLine,
      Map<String, String> environment) {
    Path output = output(folder, name);
    try {
      Files.createDirectories(output.getParent());
      ProcessBuilder builder =
          new ProcessBuilder(commandLine)
              .directory(folder.root().toFile())
              .redirectInput(ProcessBuilder.Redirect.from(Path.of("/dev/null").toFile()))
              .redirectErrorStream(true)
              .redirectOutput(output.toFile());
      builder.environment().putAll(environment);
      return builder.start();
    } catch (IOException e) {
      throw new CommandFailed("%s cannot be started: %s".formatted(name, Causes.innermost(e)), e);
    }
  }

  /** What a process printed; its log is another file. */
  static Path output(ClusterFolder folder, String name) {
    return folder.log(name).resolveSibling(name + ".out");
  }
}
