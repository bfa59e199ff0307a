package io.gradflow.benchmarks.quality;

import io.gradflow.core.incident.Alert;
import io.gradflow.core.norm.Step;
import io.gradflow.core.shard.Manifest;
import io.gradflow.training.zoo.Family;
import io.gradflow.training.zoo.Truth;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.LongStream;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code gradflow quality}: how well faults are found. */
@Command(
    name = "gradflow quality",
    description = {
      "Trains small networks of many families, healthy and faulty, lets gradflow and what it is"
          + " compared with watch them, and prints how well each finds the faults. What a training"
          + " publishes is kept in .gradflow/quality and made anew when what makes it has changed."
          + " Progress goes to standard error.",
      ""
    },
    mixinStandardHelpOptions = true,
    sortOptions = false,
    footer = {"", "Exit codes: 0 measured, 1 something failed, 2 used wrongly"})
final class Quality implements Callable<Integer> {
  /** Seeds that systems are judged by begin here: detectors were developed on those below. */
  static final long FIRST_SEED = 100;

  /** Seeds that systems are tuned by begin here, far from those that they are judged by. */
  static final long FIRST_TUNING_SEED = 1_000;

  private static final int MOST_SOAKS = 1;

  /** As how the result is printed. */
  enum Format {
    TEXT,
    MARKDOWN,
    JSON
  }

  @Spec private CommandSpec spec;

  @Option(
      names = "--seeds",
      paramLabel = "N",
      description = "trainings of each family that systems are judged by (${DEFAULT-VALUE})")
  private int seeds = 10;

  @Option(
      names = "--tuning-seeds",
      paramLabel = "N",
      description = "trainings of each family that they are tuned by; 0: not (${DEFAULT-VALUE})")
  private int tuningSeeds = 4;

  @Option(
      names = "--families",
      split = ",",
      paramLabel = "NAME",
      description = "these alone, e.g. dead-layer,he-descent")
  private List<String> families = List.of();

  @Option(
      names = "--systems",
      split = ",",
      paramLabel = "NAME",
      description = "gradflow and these alone, e.g. ZClip; none: gradflow")
  private List<String> systems;

  @Option(names = "--short", description = "one seed of each family but the soak, untuned")
  private boolean isShort;

  @Option(names = "--fresh", description = "make all traces anew")
  private boolean fresh;

  @Option(
      names = "--format",
      paramLabel = "FORMAT",
      description =
          "text, markdown or json (${DEFAULT-VALUE}); json is one object on the last line",
      defaultValue = "text")
  private Format format;

  @Option(
      names = "--out",
      paramLabel = "DIR",
      description = "also write table.md, result.json and pictures there")
  private Path out;

  @Option(
      names = "--explain",
      paramLabel = "FAMILY:SEED",
      description =
          "instead print what is wrong in one training, and every alert of gradflow in it and its twin")
  private String explain;

  @Option(names = "--threads", paramLabel = "N", description = "threads (${DEFAULT-VALUE})")
  private int threads = 2;

  public static void main(String[] arguments) {
    System.exit(
        commandLine()
            .setOut(new PrintWriter(System.out, true, StandardCharsets.UTF_8))
            .setErr(new PrintWriter(System.err, true, StandardCharsets.UTF_8))
            .execute(arguments));
  }

  static CommandLine commandLine() {
    return new CommandLine(new Quality())
        .setCaseInsensitiveEnumValuesAllowed(true)
        .setParameterExceptionHandler(
            (mistake, arguments) -> {
              CommandLine command = mistake.getCommandLine();
              command
                  .getErr()
                  .printf("gradflow: %s; see gradflow quality --help%n", mistake.getMessage());
              return command.getCommandSpec().exitCodeOnInvalidInput();
            })
        .setExecutionExceptionHandler(
            (failure, command, arguments) -> {
              if (!(failure instanceof IOException)) {
                throw failure;
              }
              command.getErr().printf("gradflow: %s%n", failure);
              return command.getCommandSpec().exitCodeOnExecutionException();
            });
  }

  @Override
  public Integer call() throws Exception {
    require(seeds >= 1, "expected --seeds of 1 or more, got " + seeds);
    require(tuningSeeds >= 0, "expected --tuning-seeds of 0 or more, got " + tuningSeeds);
    require(threads >= 1 && threads <= 64, "expected --threads between 1 and 64, got " + threads);
    List<Family> chosen =
        families.isEmpty()
            ? Arrays.asList(Family.values())
            : families.stream().map(this::family).toList();
    List<Watcher> watchers = watchers();
    String workspace = System.getProperty("gradflow.workspace", ".gradflow");
    Traces traces = new Traces(Path.of(workspace, "quality"));
    if (fresh) {
      traces.clear();
    }
    traces.clearOthers();
    if (explain != null) {
      explain(traces, wanted(explain));
      return 0;
    }
    List<Long> judging =
        LongStream.range(FIRST_SEED, FIRST_SEED + (isShort ? 1 : seeds)).boxed().toList();
    List<Long> tuning =
        LongStream.range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + (isShort ? 0 : tuningSeeds))
            .boxed()
            .toList();
    Contest contest = new Contest(watchers, !isShort);
    List<Traces.Wanted> wanted = new ArrayList<>();
    for (Family family : chosen) {
      judging.stream()
          .limit(most(family))
          .forEach(seed -> wanted.add(new Traces.Wanted(family, seed)));
      tuning.stream()
          .limit(most(family) / 2)
          .forEach(seed -> wanted.add(new Traces.Wanted(family, seed)));
    }
    watch(traces, wanted, contest);
    print(new Report(contest, judging, tuning));
    return 0;
  }

  /** Seeds of a family: a soak has as many steps as 200 other trainings. */
  private int most(Family family) {
    if (family != Family.SOAK) {
      return Integer.MAX_VALUE;
    }
    return isShort ? 0 : MOST_SOAKS;
  }

  private void require(boolean holds, String otherwise) {
    if (!holds) {
      throw new ParameterException(spec.commandLine(), otherwise);
    }
  }

  private Family family(String name) {
    for (Family family : Family.values()) {
      if (family.label().equals(name)) {
        return family;
      }
    }
    throw new ParameterException(
        spec.commandLine(),
        "expected families of: %s; got: %s"
            .formatted(
                Arrays.stream(Family.values()).map(Family::label).collect(Collectors.joining(" ")),
                name));
  }

  private Traces.Wanted wanted(String familyAndSeed) {
    int colon = familyAndSeed.lastIndexOf(':');
    try {
      return new Traces.Wanted(
          family(familyAndSeed.substring(0, Math.max(0, colon))),
          Long.parseLong(familyAndSeed.substring(colon + 1)));
    } catch (NumberFormatException e) {
      throw new ParameterException(
          spec.commandLine(), "expected FAMILY:SEED, e.g. dead-layer:3; got: " + familyAndSeed, e);
    }
  }

  private List<Watcher> watchers() {
    Map<String, Watcher> known = new LinkedHashMap<>();
    Baselines.all().forEach(baseline -> known.put(baseline.name(), baseline));
    List<Watcher> watchers = new ArrayList<>(List.of(new GradflowWatcher()));
    if (systems == null) {
      watchers.addAll(known.values());
      return watchers;
    }
    for (String name : systems) {
      require(
          name.equals("gradflow") || known.containsKey(name),
          "expected systems of: gradflow, %s; got: %s"
              .formatted(String.join(", ", known.keySet()), name));
      if (known.containsKey(name)) {
        watchers.add(known.get(name));
      }
    }
    return watchers;
  }

  // --- Watching ----------------------------------------------------------------------------------

  /** Trains what is not there yet and lets all systems watch, several trainings at a time. */
  private void watch(Traces traces, List<Traces.Wanted> wanted, Contest contest)
      throws IOException, InterruptedException {
    ExecutorService executor = Executors.newFixedThreadPool(threads);
    Countdown countdown = new Countdown(spec.commandLine().getErr(), wanted);
    try {
      Map<Traces.Wanted, Future<List<Watched>>> pending = new HashMap<>();
      // The longest first, lest one thread waits for the other at the end.
      wanted.stream()
          .sorted(Comparator.comparingInt(Quality::length).reversed())
          .forEach(
              each ->
                  pending.put(
                      each, executor.submit(() -> watch(traces, each, contest, countdown))));
      long bytes = 0;
      for (Traces.Wanted each : wanted) {
        boolean forTuning = each.seed() >= FIRST_TUNING_SEED;
        for (Watched watched : result(each, pending.remove(each))) {
          contest.add(watched.verdict(), forTuning);
          bytes += watched.trace().about().bytes();
        }
      }
      countdown.end(
          "%d trainings, %d MB of traces in %s"
              .formatted(wanted.size(), bytes >> 20, traces.folder()));
    } finally {
      executor.shutdownNow();
    }
  }

  /** How long a training takes, roughly, in those of most families. */
  private static int length(Traces.Wanted wanted) {
    return switch (wanted.family()) {
      case SOAK -> 40;
      case SLOW_DRIFT -> 8;
      default -> 1;
    };
  }

  private record Watched(Trace trace, Contest.Verdict verdict) {}

  private static List<Watched> watch(
      Traces traces, Traces.Wanted wanted, Contest contest, Countdown countdown)
      throws IOException {
    boolean made = !traces.has(wanted);
    List<Watched> watched = new ArrayList<>();
    for (Trace trace : traces.of(wanted)) {
      watched.add(new Watched(trace, contest.watch(trace)));
    }
    countdown.done(wanted, made);
    return watched;
  }

  private static <T> T result(Traces.Wanted wanted, Future<T> future)
      throws IOException, InterruptedException {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw new IOException(wanted.label() + " failed: " + e.getCause(), e.getCause());
    }
  }

  /** Says how far it is, every few seconds. */
  private static final class Countdown {
    private static final long EVERY_MS = 5_000;

    private final PrintWriter writer;
    private final int all;
    private final long allWork;
    private final long started = System.currentTimeMillis();
    private long said = started;
    private int done;
    private long doneWork;
    private int made;

    Countdown(PrintWriter writer, List<Traces.Wanted> wanted) {
      this.writer = writer;
      all = wanted.size();
      allWork = wanted.stream().mapToLong(Quality::length).sum();
    }

    synchronized void done(Traces.Wanted wanted, boolean wasMade) {
      done++;
      doneWork += length(wanted);
      made += wasMade ? 1 : 0;
      long now = System.currentTimeMillis();
      if (now - said >= EVERY_MS) {
        said = now;
        long left = (now - started) * (allWork - doneWork) / doneWork / 1000;
        writer.printf(
            "quality: %d of %d trainings (%d trained, the others kept from before), %d min %d s"
                + " left; last %s%n",
            done, all, made, left / 60, left % 60, wanted.label());
        writer.flush();
      }
    }

    synchronized void end(String what) {
      writer.printf("quality: %s, %d s%n", what, (System.currentTimeMillis() - started) / 1000);
      writer.flush();
    }
  }

  // --- Printing ----------------------------------------------------------------------------------

  private void print(Report report) throws IOException {
    PrintWriter output = spec.commandLine().getOut();
    if (out != null) {
      Files.createDirectories(out);
      Files.writeString(out.resolve("table.md"), report.markdown());
      Files.writeString(out.resolve("result.json"), report.json().toPrettyString() + "\n");
      for (Map.Entry<String, String> picture : Pictures.of(report).entrySet()) {
        Files.writeString(out.resolve(picture.getKey()), picture.getValue());
      }
    }
    switch (format) {
      case TEXT -> output.println(report.text());
      case MARKDOWN -> output.println(report.markdown());
      case JSON -> output.println(report.json());
    }
    output.flush();
  }

  private void explain(Traces traces, Traces.Wanted wanted) throws IOException {
    PrintWriter output = spec.commandLine().getOut();
    for (Trace trace : traces.of(wanted)) {
      Trace.About run = trace.about();
      output.printf(
          "%s: %d steps, %d layer-steps, delivery %s%n",
          run.label(),
          run.steps(),
          run.layerSteps(),
          run.overlay() == null ? "undisturbed" : run.overlay());
      if (run.truth().excluded() != null) {
        output.printf("  excluded: %s%n", run.truth().excluded());
      }
      for (Truth.Episode episode : run.truth().episodes()) {
        output.printf(
            "  fault %s from %d to %s, %s, layers %s, rank %d, to be found by %d%s%n",
            episode.cause(),
            episode.onset(),
            episode.end() == Long.MAX_VALUE ? "the end" : episode.end(),
            episode.abrupt() ? "abrupt" : "building up",
            episode.layers(),
            episode.rank(),
            episode.onset() + RunScore.deadline(run, episode),
            run.truth().expectedMiss() ? " (expected to be missed)" : "");
      }
      long[] now = new long[1];
      Watcher.Watch watch =
          new GradflowWatcher(alert -> output.println(line(now[0], alert))).watch(1);
      trace.read(
          new Trace.Reader() {
            @Override
            public void manifest(Manifest manifest) {
              watch.manifest(manifest);
            }

            @Override
            public void step(long at, Step step) {
              now[0] = at;
              watch.step(at, step);
            }
          });
      RunScore score = RunScore.of(run, watch.alarms(), true);
      for (RunScore.Found found : score.found()) {
        output.printf(
            "  => fault at %d: first alarm after %d, right cause after %d, alarms %d, place of the"
                + " right layer %d, rank %d (-1: none)%n",
            found.episode().onset(),
            found.any(),
            found.classed(),
            found.alarms(),
            found.layer(),
            found.rank());
      }
      for (Alarm alarm : score.falseAlarms()) {
        output.printf(
            "  => false %s at %d: %s%n",
            alarm.paged() >= 0 ? "page" : "alarm", alarm.opened(), alarm.readings().get(0).text());
      }
    }
    output.flush();
  }

  private static String line(long now, Alert alert) {
    return "  %6d %-8s %-8s %-18s %-9s opened %d, onset %d, layer %s, rank %s, suspects %s: %s"
        .formatted(
            now,
            alert.state(),
            alert.severity(),
            alert.kind(),
            GradflowWatcher.cause(alert),
            alert.openedStep(),
            alert.onsetStep(),
            alert.rootLayer(),
            alert.rootRank(),
            alert.suspects().stream()
                .map(
                    suspect ->
                        (suspect.layer() == null ? "" : suspect.layer())
                            + (suspect.rank() == null ? "" : "@" + suspect.rank()))
                .toList(),
            alert.message());
  }
}
