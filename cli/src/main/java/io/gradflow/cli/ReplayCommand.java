package io.gradflow.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.gradflow.schema.Recorded;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code gradflow replay}: publishes recordings, or analyses them here. */
@Command(
    name = "replay",
    description = {
      "Replays what gradflow record saved.",
      "With --bootstrap-server it publishes the records to that cluster, whose jobs do the rest."
          + " Without, it starts a broker, Flink and the jobs on this machine and prints the"
          + " incidents: those of the live run, with the same ids."
    },
    mixinStandardHelpOptions = true,
    versionProvider = Gradflow.Version.class)
final class ReplayCommand implements Callable<Integer> {
  private static final OptionalInt ANY_FREE = OptionalInt.of(0);

  @Spec private CommandSpec spec;

  @Parameters(
      paramLabel = "FILE",
      arity = "1..*",
      description = "Recordings: of several runs, or of parts of one.")
  private List<Path> files;

  @Option(
      names = "--as",
      paramLabel = "RUN",
      description = "Under another name, and so with other incident ids. One run only.")
  private Optional<String> as = Optional.empty();

  @Option(
      names = "--speed",
      paramLabel = "X",
      description =
          "X times as fast as it was recorded; 1 is as recorded (default: as fast as it goes).")
  private Optional<Double> speed = Optional.empty();

  @Option(
      names = "--bootstrap-server",
      paramLabel = "HOST:PORT",
      description = "Publish to this Kafka cluster (default: analyse on this machine).")
  private Optional<String> bootstrapServers = Optional.empty();

  @Option(
      names = "--format",
      paramLabel = "text|json",
      defaultValue = "text",
      description =
          "A line for each change of an incident, or one object (default: ${DEFAULT-VALUE}).")
  private Format format;

  private long published;
  private long began;

  @Override
  public Integer call() throws InterruptedException {
    if (speed.isPresent() && !(speed.get() > 0 && Double.isFinite(speed.get()))) {
      throw new ParameterException(
          spec.commandLine(), "--speed: expected a number above 0, got " + speed.get());
    }
    if (as.isPresent() && as.get().isBlank()) {
      throw new ParameterException(spec.commandLine(), "--as: expected a name, got none");
    }
    Recordings recordings = Recordings.of(files);
    if (as.isPresent() && recordings.runs().size() > 1) {
      throw new CommandFailed(
          "--as renames one run, the files hold %d: %s; replay them one by one"
              .formatted(recordings.runs().size(), String.join(", ", recordings.runs())));
    }
    if (bootstrapServers.isPresent()) {
      publish(recordings, bootstrapServers.get());
    } else {
      analyse(recordings);
    }
    return 0;
  }

  private void publish(Recordings recordings, String brokers) throws InterruptedException {
    try (Topics topics = Topics.of(brokers)) {
      topics.require(recordings.topics());
    }
    play(recordings, brokers, Optional.empty());
    PrintWriter out = spec.commandLine().getOut();
    if (format == Format.JSON) {
      ObjectNode report = new ObjectMapper().createObjectNode();
      as.map(List::of)
          .orElseGet(() -> List.copyOf(recordings.runs()))
          .forEach(report.putArray("runs")::add);
      out.println(report.put("records", published).put("bootstrapServer", brokers));
    } else {
      out.printf(
          Locale.ROOT,
          "published %d records of %s to %s%n",
          published,
          as.orElseGet(() -> String.join(", ", recordings.runs())),
          brokers);
    }
  }

  private void analyse(Recordings recordings) throws InterruptedException {
    PrintWriter err = spec.commandLine().getErr();
    PrintWriter out = spec.commandLine().getOut();
    Progress progress = new Progress(err);
    LocalStack.Settings settings =
        new LocalStack.Settings(Workspace.current(), ANY_FREE, ANY_FREE, 2, 4);
    try (LocalStack stack = LocalStack.start(settings, progress)) {
      LocalJobs jobs =
          progress.start(
              "jobs",
              () ->
                  recordings.haveShards() ? LocalJobs.start(stack) : LocalJobs.startAlertJob(stack),
              running -> recordings.haveShards() ? "both running" : "AlertJob running");
      String brokers = stack.kafka().bootstrapServers();
      try (Analysis analysis =
          new Analysis(
              brokers,
              alert -> {
                if (format == Format.TEXT) {
                  out.println(AlertText.line(alert));
                  out.flush();
                }
              })) {
        long start = System.nanoTime();
        play(recordings, brokers, Optional.of(analysis));
        analysis
            .settle(jobs, recordings.lastSteps().stream().map(this::renamed).toList())
            .forEach(err::println);
        progress.report(
            "replay", published + " records", Duration.ofNanos(System.nanoTime() - start));
        if (format == Format.JSON) {
          out.println(analysis.report(published));
        } else {
          err.println("  " + analysis.summary());
        }
        out.flush();
      }
    }
  }

  private io.gradflow.core.StepId renamed(io.gradflow.core.StepId id) {
    return as.map(run -> new io.gradflow.core.StepId(run, id.attempt(), id.stream(), id.step()))
        .orElse(id);
  }

  /** Publishes all records, and lets whoever analyses them look on meanwhile. */
  private void play(Recordings recordings, String brokers, Optional<Analysis> analysis)
      throws InterruptedException {
    Pulse pulse = new Pulse(spec.commandLine().getErr());
    try (Republisher republisher = new Republisher(brokers)) {
      began = System.nanoTime();
      recordings.play(
          (record, at) -> {
            await(at, republisher, analysis);
            Recorded named = named(record);
            republisher.publish(named.topic().topicName(), named.key(), named.value());
            published++;
            pulse.beat(
                () -> "replayed %d of %d records".formatted(published, recordings.records()));
          });
      republisher.flush();
    }
  }

  private Recorded named(Recorded record) {
    try {
      return as.map(record::as).orElse(record);
    } catch (IllegalArgumentException e) {
      throw new CommandFailed(e.getMessage(), e);
    }
  }

  /**
   * Waits for a record's turn: that long after the first one as it was recorded, over the speed.
   */
  private void await(long at, Republisher republisher, Optional<Analysis> analysis)
      throws InterruptedException {
    if (speed.isEmpty()) {
      return;
    }
    long due = began + Math.round(at * 1e6 / speed.get());
    if (due - System.nanoTime() > TimeUnit.MILLISECONDS.toNanos(50)) {
      republisher.flush();
    }
    for (long left = due - System.nanoTime(); left > 0; left = due - System.nanoTime()) {
      if (analysis.isPresent()) {
        analysis.get().look(Duration.ofNanos(Math.min(left, 200_000_000)));
      } else {
        TimeUnit.NANOSECONDS.sleep(left);
      }
    }
  }
}
